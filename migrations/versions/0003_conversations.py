"""Conversations, and the chain of what was said in them; migrations/schema.sql says what they are for."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
ALTER TABLE exchanges
    ADD COLUMN parent_id uuid,
    ADD COLUMN joined_by text;

DROP INDEX exchanges_by_answer_key;

CREATE INDEX exchanges_by_answer_key ON exchanges (project_id, answer_key, id) WHERE answer_key IS NOT NULL;

CREATE INDEX exchanges_by_request ON exchanges (project_id, substr(request_sha256, 1, 3), id)
    WHERE conversation_id IS NOT NULL AND request_sha256 IS NOT NULL;

CREATE INDEX exchanges_by_conversation ON exchanges (project_id, conversation_id)
    WHERE conversation_id IS NOT NULL;

CREATE INDEX transcripts_by_facts ON transcripts USING gin (facts jsonb_path_ops) WITH (gin_pending_list_limit = 256);

CREATE TABLE messages (
    project_id int4 NOT NULL,
    week date NOT NULL,
    tip uuid NOT NULL,
    parent uuid,
    roles text NOT NULL,
    kinds text NOT NULL,
    content_keys bytea NOT NULL,
    PRIMARY KEY (project_id, week, tip)
) PARTITION BY RANGE (week);

CREATE TABLE conversations (
    project_id int4 NOT NULL,
    id uuid NOT NULL,
    last_id uuid NOT NULL,
    exchanges int4 NOT NULL,
    name text,
    merged_into uuid,
    PRIMARY KEY (project_id, id)
) WITH (fillfactor = 85);

CREATE TABLE conversation_names (
    project_id int4 NOT NULL,
    source text NOT NULL,
    name text NOT NULL,
    conversation_id uuid NOT NULL,
    PRIMARY KEY (project_id, source, name)
);

CREATE INDEX conversation_names_by_conversation ON conversation_names (project_id, conversation_id);

CREATE TABLE conversation_links (
    project_id int4 NOT NULL,
    link_key bytea NOT NULL,
    exchange_id uuid NOT NULL,
    is_offer bool NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, link_key, exchange_id)
);

CREATE INDEX conversation_links_by_time ON conversation_links (noted_at);

UPDATE meta SET value = '3' WHERE key = 'schema_version';
"""
    )


def downgrade() -> None:
    raise NotImplementedError("restore a copy: migrations go forward only")
