"""Indexes for lists by duration, tokens and cost, and for what is rare: failures and tags."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
CREATE INDEX exchanges_by_status ON exchanges (project_id, status, id) WHERE status <> 200;

CREATE INDEX exchanges_by_outcome ON exchanges (project_id, outcome, id) WHERE outcome <> 'completed';

CREATE INDEX exchanges_by_tags ON exchanges USING gin (tags jsonb_path_ops) WHERE tags <> '{}';

CREATE INDEX exchanges_by_duration ON exchanges (project_id, duration_us, id);

CREATE INDEX exchanges_by_tokens ON exchanges (project_id, total_tokens, id) WHERE total_tokens IS NOT NULL;

CREATE INDEX exchanges_by_cost ON exchanges (project_id, cost, id) WHERE cost IS NOT NULL;

UPDATE meta SET value = '5' WHERE key = 'schema_version';
"""
    )


def downgrade() -> None:
    raise NotImplementedError("restore a copy: migrations go forward only")
