-- lock_schema: Lets one process at a time change the schema; released with the transaction.
SELECT pg_advisory_xact_lock(7594032147);

-- limit_upgrade: Gives a migration time: others wait for it, and it may have much to do.
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '60s';

-- has_versions: Tells whether any migration has ever run here.
SELECT to_regclass('alembic_version') IS NOT NULL;

-- current_version: The last migration that ran.
SELECT version_num FROM alembic_version;

-- min_writer: The oldest version of the schema that a writer may still know.
SELECT value FROM meta WHERE key = 'min_writer';
