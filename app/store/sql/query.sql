-- projects: All projects.
SELECT id, name FROM projects ORDER BY id;

-- moment: The clock, and which transactions are under way: the oldest one, and the first that has not begun.
SELECT
    clock_timestamp() AS now,
    pg_snapshot_xmin(pg_current_snapshot())::text::int8 AS oldest,
    pg_snapshot_xmax(pg_current_snapshot())::text::int8 AS next;

-- recorded: Exchanges that were recorded after one (time, id) and before a time, in the order of recording.
SELECT id, recorded_at FROM exchanges
WHERE (recorded_at, id) > ($1::timestamptz, $2::uuid) AND recorded_at < $3::timestamptz
ORDER BY recorded_at, id
LIMIT $4::int8;

-- exchange: One exchange by its id.
SELECT * FROM exchanges WHERE id = $1::uuid;

-- previews: Previews of some exchanges of some projects, ids between two bounds.
SELECT id, request_preview, response_preview FROM transcripts
WHERE project_id = ANY($1::int4[]) AND id = ANY($2::uuid[]) AND id BETWEEN $3::uuid AND $4::uuid;

-- transcript: The manifest of one exchange.
SELECT
    project_id, week, request_headers, response_headers, trailers, request_head, request_tip, request_tail,
    response_head, response_tip, response_tail, chunk_times
FROM transcripts WHERE project_id = $1 AND id = $2::uuid;

-- chain: The slices from the first to a tip (project, week, tip), without their bytes.
WITH RECURSIVE walk AS (
    SELECT node, parent, raw_bytes, 0 AS depth FROM pieces WHERE project_id = $1 AND week = $2 AND node = $3::bytea
    UNION ALL
    SELECT p.node, p.parent, p.raw_bytes, w.depth + 1
    FROM walk AS w JOIN pieces AS p ON p.project_id = $1 AND p.week = $2 AND p.node = w.parent
)
SELECT node, parent, raw_bytes FROM walk ORDER BY depth DESC;

-- pieces: Slices by their nodes.
SELECT node, parent, raw_bytes, coding, data FROM pieces
WHERE project_id = $1 AND week = $2 AND node = ANY($3::bytea[]);

-- recorders: Recorders, the latest seen first.
SELECT
    id, host, version, started_at, last_seen, lag_seconds, journal_bytes,
    extract(epoch FROM clock_timestamp() - last_seen)::float8 AS silent_seconds
FROM recorders ORDER BY last_seen DESC;

-- account: What became of the exchanges in the segments that one boot of a proxy let go.
SELECT
    count(*) AS segments, min(first_accept_number) AS first_accept_number, max(last_accept_number) AS last_accept_number,
    coalesce(sum(recorded), 0)::int8 AS recorded, coalesce(sum("off"), 0)::int8 AS "off",
    coalesce(sum(quarantined), 0)::int8 AS quarantined, coalesce(sum(expired), 0)::int8 AS expired,
    coalesce(sum(erased), 0)::int8 AS erased, coalesce(sum(dropped), 0)::int8 AS dropped,
    coalesce(sum(damaged_bytes), 0)::int8 AS damaged_bytes, coalesce(sum(torn_bytes), 0)::int8 AS torn_bytes
FROM segments WHERE boot = $1 AND slot = $2;
