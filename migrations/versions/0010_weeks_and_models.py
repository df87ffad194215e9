"""Sums of weeks by model and key, and of days without key."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
-- What is being written is waited for: it is to be in these sums, too.
LOCK TABLE usage_daily IN SHARE ROW EXCLUSIVE MODE;

CREATE TABLE usage_weekly (
    project_id int4 NOT NULL,
    week date NOT NULL,
    model text NOT NULL DEFAULT '',
    key text NOT NULL DEFAULT '',
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
    PRIMARY KEY (project_id, week, model, key)
) WITH (fillfactor = 70);

INSERT INTO usage_weekly
SELECT
    project_id, date_trunc('week', day)::date, model, key,
    sum(exchanges), sum(request_bytes), sum(response_bytes), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(cost), sum(unpriced),
    coalesce(sum(exchanges) FILTER (WHERE status_class >= 4 OR outcome NOT IN ('completed', 'client_left')), 0),
    sum(duration_histogram), sum(ttft_histogram)
FROM usage_daily
GROUP BY 1, 2, 3, 4;

CREATE TABLE usage_daily_models (
    project_id int4 NOT NULL,
    day date NOT NULL,
    model text NOT NULL DEFAULT '',
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
    duration_histogram numeric NOT NULL,
    ttft_histogram numeric NOT NULL,
    unpriced int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, day, model, route, status_class, outcome)
) WITH (fillfactor = 70);

INSERT INTO usage_daily_models
SELECT
    project_id, day, model, route, status_class, outcome,
    sum(exchanges), sum(request_bytes), sum(response_bytes), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(cost), sum(duration_histogram), sum(ttft_histogram), sum(unpriced)
FROM usage_daily
GROUP BY 1, 2, 3, 4, 5, 6;

ANALYZE usage_weekly, usage_daily_models;

UPDATE meta SET value = '10' WHERE key = 'schema_version';
UPDATE meta SET value = '4' WHERE key = 'min_writer';
"""
    )


def downgrade() -> None:
    raise NotImplementedError("restore a copy: migrations go forward only")
