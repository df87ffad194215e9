-- limit_transaction: Sets the time limits of a transaction, inside it, so that it holds behind PgBouncer too.
SET LOCAL statement_timeout = '15s';
SET LOCAL lock_timeout = '5s';
SET LOCAL idle_in_transaction_session_timeout = '60s';
SET LOCAL synchronous_commit = on;

-- limit_reading: Sets the limits of a reading transaction; plans see values, so that filters that are off cost nothing.
SET LOCAL statement_timeout = '15s';
SET LOCAL lock_timeout = '5s';
SET LOCAL idle_in_transaction_session_timeout = '60s';
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL jit = off;

-- limit_maintenance: Sets the limits of a connection that changes partitions outside of a transaction.
SET lock_timeout = '5s';
SET statement_timeout = 0;

-- limit_statement: Bounds each further statement of a transaction ($1 is a time such as 700ms).
SELECT set_config('statement_timeout', $1::text, true);

-- statement_limit: What bounds each statement of a transaction now.
SELECT current_setting('statement_timeout');
