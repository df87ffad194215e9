"""Erasures: what was asked for and how far it is, tombstones that name nobody, and metadata set later."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
ALTER TABLE exchanges ADD COLUMN metadata jsonb;

ALTER TABLE transcripts ADD COLUMN talk_tip uuid;

DROP INDEX erasures_by_value;
ALTER TABLE erasures ALTER COLUMN value DROP NOT NULL;
ALTER TABLE erasures ADD COLUMN erased_at timestamptz;
ALTER TABLE erasures ADD COLUMN counts jsonb NOT NULL DEFAULT '{}';

CREATE TABLE tombstones (
    project_id int4 NOT NULL,
    value_sha256 bytea NOT NULL,
    erasure_id uuid NOT NULL,
    until timestamptz,
    PRIMARY KEY (project_id, value_sha256, erasure_id)
);
INSERT INTO tombstones (project_id, value_sha256, erasure_id, until)
SELECT project_id, sha256(convert_to(kind || ':' || value, 'UTF8')), id, until FROM erasures;

ALTER TABLE erasure_progress ALTER COLUMN done_at DROP NOT NULL;
ALTER TABLE erasure_progress ALTER COLUMN done_at DROP DEFAULT;
ALTER TABLE erasure_progress ADD COLUMN stopped int8 NOT NULL DEFAULT 0;
ALTER TABLE erasure_progress ADD COLUMN quarantined int8 NOT NULL DEFAULT 0;
ALTER TABLE erasure_progress ADD COLUMN unreadable int8 NOT NULL DEFAULT 0;

CREATE TABLE erasure_nodes (
    project_id int4 NOT NULL,
    week date NOT NULL,
    node bytea NOT NULL,
    erasure_id uuid NOT NULL,
    kept bool NOT NULL DEFAULT false,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, week, node)
);

CREATE TABLE erasure_segments (
    project_id int4 NOT NULL,
    week date NOT NULL,
    segment int4 NOT NULL,
    erasure_id uuid NOT NULL,
    signed bool NOT NULL DEFAULT false,
    PRIMARY KEY (project_id, week, segment, erasure_id)
);

UPDATE meta SET value = '6' WHERE key = 'schema_version';
"""
    )


def downgrade() -> None:
    raise NotImplementedError("restore a copy: migrations go forward only")
