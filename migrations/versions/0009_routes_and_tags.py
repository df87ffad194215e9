"""Sums of hours without model and key, and of days by tag."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
-- What is being written is waited for: it is to be in these sums, too.
LOCK TABLE usage_hourly IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE usage_hourly_routes (
    project_id int4 NOT NULL,
    hour timestamptz NOT NULL,
    route text NOT NULL DEFAULT '',
    status_class int2 NOT NULL DEFAULT 0,
    outcome text NOT NULL DEFAULT '',
    exchanges int8 NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    input_tokens int8 NOT NULL,
    cached_tokens int8 NOT NULL,
    output_tokens int8 NOT NULL,
    reasoning_tokens int8 NOT NULL,
    cost numeric NOT NULL DEFAULT 0,
    unpriced int8 NOT NULL DEFAULT 0,
    duration_histogram numeric NOT NULL,
    ttft_histogram numeric NOT NULL,
    PRIMARY KEY (project_id, hour, route, status_class, outcome)
) WITH (fillfactor = 70);

INSERT INTO usage_hourly_routes
SELECT
    project_id, hour, route, status_class, outcome,
    sum(exchanges), sum(request_bytes), sum(response_bytes), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(cost), sum(unpriced), sum(duration_histogram), sum(ttft_histogram)
FROM usage_hourly
GROUP BY 1, 2, 3, 4, 5;

CREATE TABLE usage_daily_tags (
    project_id int4 NOT NULL,
    day date NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    exchanges int8 NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    input_tokens int8 NOT NULL,
    cached_tokens int8 NOT NULL,
    output_tokens int8 NOT NULL,
    reasoning_tokens int8 NOT NULL,
    cost numeric NOT NULL DEFAULT 0,
    unpriced int8 NOT NULL DEFAULT 0,
    errors int8 NOT NULL,
    duration_histogram numeric NOT NULL,
    ttft_histogram numeric NOT NULL,
    PRIMARY KEY (project_id, name, day, value)
) WITH (fillfactor = 70);

CREATE TABLE usage_unsummed_tags (
    project_id int4 NOT NULL,
    day date NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (project_id, day, name)
);

INSERT INTO meta (key, value)
SELECT 'tags_summed_since', CASE
    WHEN EXISTS (SELECT FROM exchanges) THEN ((clock_timestamp() AT TIME ZONE 'UTC')::date + 1)::text ELSE '1970-01-01'
END;

UPDATE meta SET value = '9' WHERE key = 'schema_version';
UPDATE meta SET value = '3' WHERE key = 'min_writer';
"""
    )


def downgrade() -> None:
    raise NotImplementedError("restore a copy: migrations go forward only")
