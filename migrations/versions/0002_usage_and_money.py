"""What a call used, in every unit, and what that cost; migrations/schema.sql says what it is for."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
ALTER TABLE exchanges
    ADD COLUMN input_audio_tokens int8,
    ADD COLUMN output_audio_tokens int8,
    ADD COLUMN input_image_tokens int8,
    ADD COLUMN output_image_tokens int8,
    ADD COLUMN cost_status text;

ALTER TABLE usage_hourly ADD COLUMN unpriced int8 NOT NULL DEFAULT 0;

ALTER TABLE usage_daily_users ADD COLUMN unpriced int8 NOT NULL DEFAULT 0;

CREATE TABLE usage_counted (
    project_id int4 NOT NULL,
    authority text NOT NULL,
    object_sha256 bytea NOT NULL,
    exchange_id uuid NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, authority, object_sha256)
);

UPDATE meta SET value = '2' WHERE key = 'schema_version';
"""
    )


def downgrade() -> None:
    raise NotImplementedError("restore a copy: migrations go forward only")
