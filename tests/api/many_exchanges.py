"""Many exchanges in no time: one that is recorded, copied inside the database with ids of their own."""

from __future__ import annotations

COPIED = ("exchanges", "transcripts")


def copy_exchange(postgres_server, database_url: str, count: int) -> None:
    """Copies the oldest exchange `count` times, a millisecond apart; their bodies are shared."""
    for table in COPIED:
        names = postgres_server.psql(
            database_url,
            "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
            f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND attname <> 'id'",
        )
        postgres_server.psql(
            database_url,
            f"INSERT INTO {table} (id, {names}) "
            "SELECT (lpad(to_hex(('x' || substr(replace(e.id::text, '-', ''), 1, 12))::bit(48)::int8 + n), 12, '0') "
            f"|| '70008' || lpad(to_hex(n), 15, '0'))::uuid, {names} "
            f"FROM (SELECT * FROM {table} ORDER BY id LIMIT 1) AS e, generate_series(1, {count}) AS n",
        )
