"""Turns the migrations into one SQL script; app/store/database/migrate.py runs it, in one transaction, over asyncpg.

Always alembic's offline mode: no SQLAlchemy engine, no second driver, and `?sslmode=` in a URL means what it says.
"""

from __future__ import annotations

from alembic import context

if not context.is_offline_mode():
    raise SystemExit("migrations are run by `verbatim db upgrade`")

# No BEGIN and COMMIT in the script: whoever runs it holds the transaction and its lock.
context.configure(dialect_name="postgresql", transactional_ddl=False)
with context.begin_transaction():
    context.run_migrations()
