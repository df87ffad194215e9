-- lock_partition: Lets one process at a time make a partition; released with the transaction.
SELECT pg_advisory_xact_lock(7594032148);

-- exists: Tells whether there is such a table.
SELECT to_regclass(quote_ident($1::text)) IS NOT NULL;

-- create_text: Writes the statement that makes a table like a partitioned one (table, partition); text stays in its row.
SELECT format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', $2::text, $1::text)
    || CASE WHEN $1::text IN ('search_tail', 'search_text') THEN ' WITH (toast_tuple_target = 8160)' ELSE '' END;

-- attach_text: Writes the statement that attaches a partition (table, partition, lower bound, upper bound excluded).
SELECT format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', $1::text, $2::text, $3::text, $4::text);

-- detach_text: Writes the statement that takes a partition out without stopping readers (table, partition, go on).
SELECT format(
    'ALTER TABLE %I DETACH PARTITION %I %s', $1::text, $2::text, CASE WHEN $3::bool THEN 'FINALIZE' ELSE 'CONCURRENTLY' END
);

-- drop_text: Writes the statement that drops a table.
SELECT format('DROP TABLE IF EXISTS %I', $1::text);

-- list: Lists partitions with their sizes, those too that are half or wholly detached.
SELECT
    p.relname AS table_name,
    c.relname AS partition_name,
    coalesce(i.inhrelid IS NOT NULL AND NOT i.inhdetachpending, false) AS attached,
    coalesce(i.inhdetachpending, false) AS detaching,
    pg_total_relation_size(c.oid) AS size_bytes,
    greatest(c.reltuples, 0)::int8 AS estimated_rows
FROM pg_class AS p
JOIN pg_class AS c
    ON c.relnamespace = p.relnamespace AND c.relkind = 'r'
    AND c.relname ~ ('^' || p.relname || '_(m[0-9]{4}_[0-9]{2}|w[0-9]{4}_[0-9]{2}_[0-9]{2})$')
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid AND i.inhparent = p.oid
WHERE p.relkind = 'p' AND p.relname = ANY($1::text[]) AND pg_table_is_visible(p.oid)
ORDER BY p.relname, c.relname;
