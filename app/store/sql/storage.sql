-- rest: Bytes of the tables that have no partitions (names of those that have).
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8
FROM pg_class AS c
WHERE c.relkind = 'r' AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace
    AND c.relname = ANY(ARRAY[
        'meta', 'projects', 'conversations', 'conversation_names', 'conversation_links', 'usage_hourly',
        'usage_hourly_routes', 'usage_daily', 'usage_weekly', 'usage_daily_models', 'usage_daily_users',
        'usage_daily_tags', 'usage_unsummed_tags', 'usage_counted', 'segments', 'recorders', 'erasures', 'tombstones', 'erasure_progress',
        'erasure_nodes', 'erasure_segments', 'read_tokens'
    ]) AND c.relname <> ALL($1::text[]);

-- first: When the first exchange that is kept began.
SELECT started_at FROM exchanges ORDER BY id LIMIT 1;
