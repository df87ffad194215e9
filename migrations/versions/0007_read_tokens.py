"""Tokens that read one project."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
CREATE TABLE read_tokens (
    id uuid PRIMARY KEY,
    token_sha256 bytea NOT NULL UNIQUE,
    project text NOT NULL,
    name text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

UPDATE meta SET value = '7' WHERE key = 'schema_version';
"""
    )


def downgrade() -> None:
    raise NotImplementedError("restore a copy: migrations go forward only")
