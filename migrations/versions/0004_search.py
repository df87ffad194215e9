"""Full text by signatures; migrations/schema.sql says what its tables are for."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
CREATE TABLE search_tail (
    project_id int4 NOT NULL,
    exchange_id uuid NOT NULL,
    message int4 NOT NULL,
    folded text COLLATE "C" NOT NULL,
    casing bytea,
    PRIMARY KEY (project_id, exchange_id, message)
) PARTITION BY RANGE (exchange_id);

ALTER TABLE search_tail ALTER COLUMN folded SET STORAGE EXTERNAL;

CREATE TABLE search_text (
    project_id int4 NOT NULL,
    week date NOT NULL,
    id int8 NOT NULL,
    exchange_id uuid,
    message int4 NOT NULL,
    same_as int8,
    text_hash int8,
    folded text COLLATE "C",
    casing bytea,
    PRIMARY KEY (project_id, week, id)
) PARTITION BY RANGE (week);

ALTER TABLE search_text ALTER COLUMN folded SET STORAGE EXTERNAL;

CREATE INDEX search_text_by_exchange ON search_text (project_id, exchange_id);

CREATE INDEX search_text_by_hash ON search_text (project_id, week, text_hash) WHERE text_hash IS NOT NULL;

CREATE INDEX search_text_by_holder ON search_text (project_id, week, same_as) WHERE same_as IS NOT NULL;

CREATE TABLE search_segments (
    project_id int4 NOT NULL,
    week date NOT NULL,
    segment int4 NOT NULL,
    level int2 NOT NULL,
    blocks int4 NOT NULL,
    first_id uuid NOT NULL,
    last_id uuid NOT NULL,
    block_ids bytea NOT NULL,
    PRIMARY KEY (project_id, week, segment, level)
) PARTITION BY RANGE (week);

ALTER TABLE search_segments ALTER COLUMN block_ids SET STORAGE EXTERNAL;

CREATE TABLE search_sig (
    project_id int4 NOT NULL,
    week date NOT NULL,
    segment int4 NOT NULL,
    level int2 NOT NULL,
    stripe int2 NOT NULL,
    bits bytea NOT NULL,
    PRIMARY KEY (project_id, week, segment, level, stripe)
) PARTITION BY RANGE (week);

ALTER TABLE search_sig ALTER COLUMN bits SET STORAGE EXTERNAL;

UPDATE meta SET value = '4' WHERE key = 'schema_version';
"""
    )


def downgrade() -> None:
    raise NotImplementedError("restore a copy: migrations go forward only")
