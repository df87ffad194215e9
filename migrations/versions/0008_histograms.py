"""Histograms as numbers, which PostgreSQL adds by itself; sums of days."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
CREATE FUNCTION pg_temp.packed(counts int4[]) RETURNS numeric LANGUAGE sql AS $$
    SELECT coalesce(trim_scale(sum(n * power(10::numeric, 12 * (place - 1)))), 0)
    FROM unnest(counts) WITH ORDINALITY AS h (n, place)
    WHERE n <> 0
$$;

ALTER TABLE usage_hourly
    ALTER COLUMN duration_histogram TYPE numeric USING pg_temp.packed(duration_histogram),
    ALTER COLUMN ttft_histogram TYPE numeric USING pg_temp.packed(ttft_histogram);

DROP FUNCTION pg_temp.packed(int4[]);

CREATE TABLE usage_daily (
    project_id int4 NOT NULL,
    day date NOT NULL,
    model text NOT NULL DEFAULT '',
    route text NOT NULL DEFAULT '',
    key text NOT NULL DEFAULT '',
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
    PRIMARY KEY (project_id, day, model, route, key, status_class, outcome)
) WITH (fillfactor = 70);

INSERT INTO usage_daily
SELECT
    project_id, (hour AT TIME ZONE 'UTC')::date, model, route, key, status_class, outcome,
    sum(exchanges), sum(request_bytes), sum(response_bytes), sum(input_tokens), sum(cached_tokens), sum(output_tokens),
    sum(reasoning_tokens), sum(cost), sum(duration_histogram), sum(ttft_histogram), sum(unpriced)
FROM usage_hourly
GROUP BY 1, 2, 3, 4, 5, 6, 7;

UPDATE meta SET value = '8' WHERE key = 'schema_version';
UPDATE meta SET value = '2' WHERE key = 'min_writer';
"""
    )


def downgrade() -> None:
    raise NotImplementedError("restore a copy: migrations go forward only")
