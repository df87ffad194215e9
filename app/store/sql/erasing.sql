-- add_erasure: Notes what is to be erased (id, project, kind, value, until); without a time what began until now.
INSERT INTO erasures (id, project_id, kind, value, until)
VALUES ($1, $2, $3::text, $4, CASE WHEN $3 = 'exchange' THEN NULL ELSE coalesce($5::timestamptz, clock_timestamp()) END)
RETURNING until;

-- add_tombstones: Stops what is so named from being inserted (project, erasure, until, `kind:value` each).
INSERT INTO tombstones (project_id, value_sha256, erasure_id, until)
SELECT DISTINCT $1::int4, sha256(convert_to(w.named, 'UTF8')), $2::uuid, $3::timestamptz
FROM unnest($4::text[]) AS w (named)
ON CONFLICT (project_id, value_sha256, erasure_id) DO NOTHING;

-- erasures: Erasures requested before one (or all), the latest first (id or NULL, limit).
SELECT e.*, p.name AS project FROM erasures AS e JOIN projects AS p ON p.id = e.project_id
WHERE $1::uuid IS NULL OR e.id < $1::uuid
ORDER BY e.id DESC
LIMIT $2::int8;

-- erasure: One erasure.
SELECT e.*, p.name AS project FROM erasures AS e JOIN projects AS p ON p.id = e.project_id WHERE e.id = $1::uuid;

-- erased_exchange: The erasure of an exchange by its id.
SELECT t.erasure_id
FROM projects AS p
JOIN tombstones AS t
    ON t.project_id = p.id AND t.value_sha256 = sha256(convert_to('exchange:' || $1::uuid, 'UTF8'))
ORDER BY t.erasure_id
LIMIT 1;

-- progress: What recorders that did something, or were seen within a month, did for erasures (erasures, seconds).
SELECT
    w.id AS erasure_id, r.id AS recorder_id, r.host, r.last_seen, p.done_at,
    r.last_seen > clock_timestamp() - make_interval(secs => $2::float8) AS is_live,
    coalesce(p.stopped, 0) AS stopped, coalesce(p.quarantined, 0) AS quarantined,
    coalesce(p.unreadable, 0) AS unreadable
FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN recorders AS r
LEFT JOIN erasure_progress AS p ON p.erasure_id = w.id AND p.recorder_id = r.id
WHERE p.recorder_id IS NOT NULL OR r.last_seen > clock_timestamp() - interval '30 days'
ORDER BY w.id, r.id;

-- project_of: The project of an exchange.
SELECT project_id FROM exchanges WHERE id = $1::uuid;

-- named_conversations: What a conversation (project, id or NULL, name) is by now: ids, old ones too.
WITH RECURSIVE found AS (
    (
        SELECT id, merged_into FROM conversations WHERE project_id = $1::int4 AND id = $2::uuid
        UNION
        SELECT c.id, c.merged_into
        FROM conversation_names AS n
        JOIN conversations AS c ON c.project_id = n.project_id AND c.id = n.conversation_id
        WHERE n.project_id = $1 AND n.source IN ('client', 'provider') AND n.name = $3::text
    )
    UNION
    SELECT c.id, c.merged_into
    FROM found AS f
    JOIN conversations AS c ON c.project_id = $1 AND c.id = f.merged_into
)
SELECT id FROM found;

-- names_of: What conversations are called (project, ids).
SELECT name FROM conversation_names WHERE project_id = $1::int4 AND conversation_id = ANY($2::uuid[]);

-- count_targets: What an erasure is about (project, kind, value, ids, until).
SELECT
    count(*) AS exchanges, coalesce(sum(request_bytes + response_bytes), 0)::int8 AS body_bytes,
    count(DISTINCT conversation_id) AS conversations,
    min(started_at) AS first_started_at, max(started_at) AS last_started_at
FROM exchanges
WHERE project_id = $1::int4 AND ($5::timestamptz IS NULL OR started_at <= $5)
    AND (
        $2::text = 'user' AND end_user = $3::text OR $2 = 'key' AND key = $3
        OR $2 = 'exchange' AND id = ANY($4::uuid[]) OR $2 = 'conversation' AND conversation_id = ANY($4)
    );

-- unfinished: Erasures that the tables are not done with, the oldest first.
SELECT id, project_id, kind, value, until FROM erasures WHERE erased_at IS NULL ORDER BY id LIMIT $1::int8;

-- lock_erasure: An erasure that the tables are not done with, for one who works at it.
SELECT id FROM erasures WHERE id = $1::uuid AND erased_at IS NULL FOR UPDATE;

-- try_erasing: Lets one recorder at a time erase rows; released with the transaction.
SELECT pg_try_advisory_xact_lock(7594032151);

-- lock_erasing: The same, waiting for the other.
SELECT pg_advisory_xact_lock(7594032151);

-- plan_well: Keeps to indexes, since partitions grow faster than statistics, and has plans see values, to hash them.
SET LOCAL enable_seqscan = off;
SET LOCAL plan_cache_mode = force_custom_plan;

-- lock_alone: Waits for all batches of a project and week (or of a project, week -1), and keeps others out.
SELECT pg_advisory_xact_lock($1::int4, $2::int4);

-- is_waiting_for_recorders: Whether a recorder that lived lately may still have something (erasure, seconds).
SELECT EXISTS (
    SELECT FROM recorders AS r
    WHERE r.last_seen > clock_timestamp() - make_interval(secs => $2::float8)
        AND NOT EXISTS (
            SELECT FROM erasure_progress AS p
            WHERE p.erasure_id = $1::uuid AND p.recorder_id = r.id AND p.done_at IS NOT NULL
        )
);

-- targets_exchange: The exchanges that are to be erased, in order (project, value, ids, until, after id, limit).
SELECT id FROM exchanges
WHERE project_id = $1::int4 AND id = ANY($3::uuid[]) AND id > $5::uuid
    AND ($2::text IS NOT NULL OR $4::timestamptz IS NULL)
ORDER BY id
LIMIT $6::int8;

-- targets_user: The same for a user.
SELECT id FROM exchanges
WHERE project_id = $1::int4 AND end_user = $2::text AND started_at <= $4::timestamptz AND id > $5::uuid
    AND $3::uuid[] IS NOT NULL
ORDER BY id
LIMIT $6::int8;

-- targets_key: The same for a key.
SELECT id FROM exchanges
WHERE project_id = $1::int4 AND key = $2::text AND started_at <= $4::timestamptz AND id > $5::uuid
    AND $3::uuid[] IS NOT NULL
ORDER BY id
LIMIT $6::int8;

-- targets_conversation: The same for conversations (their ids are looked up first: an index has them in no order).
SELECT id FROM (
    SELECT id FROM exchanges
    WHERE project_id = $1::int4 AND conversation_id = ANY($3::uuid[]) AND started_at <= $4::timestamptz
        AND id > $5::uuid AND $2::text IS NOT NULL
    OFFSET 0
) AS found
ORDER BY id
LIMIT $6::int8;

-- delete_transcripts: Deletes manifests (project, ids, lowest id, highest id); gives what they ended with.
DELETE FROM transcripts
WHERE project_id = $1::int4 AND id = ANY($2::uuid[]) AND id BETWEEN $3::uuid AND $4::uuid
RETURNING
    array_remove(ARRAY[
        request_headers, response_headers, trailers, request_head, request_tip, request_tail,
        response_head, response_tip, response_tail
    ], NULL) AS ends,
    uuid_send(talk_tip) AS talk_tip;

-- note_nodes: Notes slices that lead to some ends (project, week, erasure, ends): nothing else may need them.
WITH RECURSIVE walk AS (
    SELECT node, parent FROM pieces WHERE project_id = $1::int4 AND week = $2::date AND node = ANY($4::bytea[])
    UNION
    SELECT p.node, p.parent
    FROM walk AS w JOIN pieces AS p ON p.project_id = $1 AND p.week = $2 AND p.node = w.parent
)
INSERT INTO erasure_nodes (project_id, week, node, erasure_id)
SELECT $1, $2, node, $3::uuid FROM walk ORDER BY node
ON CONFLICT (project_id, week, node) DO UPDATE SET kept = false, noted_at = clock_timestamp();

-- note_tips: Notes ends of what was said (project, week, erasure, tips), which nothing else may end with.
INSERT INTO erasure_nodes (project_id, week, node, erasure_id)
SELECT $1::int4, $2::date, tip, $3::uuid FROM unnest($4::bytea[]) AS t (tip) ORDER BY tip
ON CONFLICT (project_id, week, node) DO UPDATE SET kept = false, noted_at = clock_timestamp();

-- take_from_tags: Takes exchanges out of the sums by tag (project, ids, lowest id, highest id, bounds of buckets).
WITH lanes AS MATERIALIZED (
    SELECT array_agg(('1e' || n * 12)::numeric ORDER BY n) AS of_bucket FROM generate_series(0, 240) AS n
), gone AS (
    SELECT
        (e.started_at AT TIME ZONE 'UTC')::date AS day, t.key AS name, t.value,
        count(*) AS exchanges, sum(e.request_bytes)::int8 AS request_bytes, sum(e.response_bytes)::int8 AS response_bytes,
        coalesce(sum(e.input_tokens), 0)::int8 AS input_tokens, coalesce(sum(e.cached_tokens), 0)::int8 AS cached_tokens,
        coalesce(sum(e.output_tokens), 0)::int8 AS output_tokens,
        coalesce(sum(e.reasoning_tokens), 0)::int8 AS reasoning_tokens, coalesce(sum(e.cost), 0) AS cost,
        count(*) FILTER (WHERE e.cost IS NULL AND e.cost_status <> 'repeated') AS unpriced,
        count(*) FILTER (WHERE e.status >= 400 OR e.outcome NOT IN ('completed', 'client_left')) AS errors,
        sum((SELECT of_bucket FROM lanes)[1 + width_bucket(e.duration_us::float8, $5::float8[])]) AS durations,
        coalesce(sum((SELECT of_bucket FROM lanes)[1 + width_bucket(e.ttft_us::float8, $5::float8[])]), 0) AS ttfts
    FROM exchanges AS e CROSS JOIN LATERAL jsonb_each_text(e.tags) AS t
    WHERE e.project_id = $1::int4 AND e.id = ANY($2::uuid[]) AND e.id BETWEEN $3::uuid AND $4::uuid
    GROUP BY 1, 2, 3
)
UPDATE usage_daily_tags AS u SET
    exchanges = u.exchanges - g.exchanges,
    request_bytes = u.request_bytes - g.request_bytes, response_bytes = u.response_bytes - g.response_bytes,
    input_tokens = u.input_tokens - g.input_tokens, cached_tokens = u.cached_tokens - g.cached_tokens,
    output_tokens = u.output_tokens - g.output_tokens, reasoning_tokens = u.reasoning_tokens - g.reasoning_tokens,
    cost = u.cost - g.cost, unpriced = u.unpriced - g.unpriced, errors = u.errors - g.errors,
    duration_histogram = u.duration_histogram - g.durations, ttft_histogram = u.ttft_histogram - g.ttfts
FROM gone AS g
WHERE u.project_id = $1 AND u.day = g.day AND u.name = g.name AND u.value = g.value;

-- forget_empty_tags: Deletes sums by tag that count nothing any more (project, first day, last day).
DELETE FROM usage_daily_tags
WHERE project_id = $1::int4 AND day BETWEEN $2::date AND $3::date AND exchanges <= 0;

-- delete_exchanges: Deletes exchanges (project, ids, lowest id, highest id); gives their conversations.
DELETE FROM exchanges
WHERE project_id = $1::int4 AND id = ANY($2::uuid[]) AND id BETWEEN $3::uuid AND $4::uuid
RETURNING conversation_id;

-- delete_links: Deletes loose ends of exchanges (project, ids).
DELETE FROM conversation_links WHERE project_id = $1::int4 AND exchange_id = ANY($2::uuid[]);

-- shrink_conversations: Takes exchanges out of conversations (project, ids, how many); a name that nobody gave goes.
UPDATE conversations AS c SET
    exchanges = greatest(c.exchanges - w.gone, 0),
    last_id = coalesce((
        SELECT e.id FROM exchanges AS e
        WHERE e.project_id = c.project_id AND e.conversation_id = c.id ORDER BY e.id DESC LIMIT 1
    ), c.last_id),
    name = CASE WHEN EXISTS (
        SELECT FROM exchanges AS e
        WHERE e.project_id = c.project_id AND e.conversation_id = c.id AND e.conversation = c.name
    ) THEN c.name END
FROM unnest($2::uuid[], $3::int4[]) AS w (id, gone)
WHERE c.project_id = $1::int4 AND c.id = w.id;

-- delete_conversations: Deletes conversations (project, ids) that have no exchange any more.
DELETE FROM conversations AS c
WHERE c.project_id = $1::int4 AND c.id = ANY($2::uuid[]) AND c.merged_into IS NULL
    AND NOT EXISTS (SELECT FROM exchanges AS e WHERE e.project_id = c.project_id AND e.conversation_id = c.id);

-- delete_names: Deletes names of conversations (project, ids) that no exchange gives any more.
DELETE FROM conversation_names AS n
WHERE n.project_id = $1::int4 AND n.conversation_id = ANY($2::uuid[])
    AND NOT EXISTS (
        SELECT FROM exchanges AS e
        WHERE e.project_id = n.project_id AND e.conversation_id = n.conversation_id
            AND (n.source <> 'client' OR e.conversation = n.name)
    );

-- note_segments: Notes segments of the search that have texts of exchanges (project, exchanges, weeks, erasure).
INSERT INTO erasure_segments (project_id, week, segment, erasure_id)
SELECT DISTINCT project_id, week, (id / 131072)::int4 * 8, $4::uuid FROM search_text
WHERE project_id = $1::int4 AND exchange_id = ANY($2::uuid[]) AND week = ANY($3::date[])
ON CONFLICT (project_id, week, segment, erasure_id) DO UPDATE SET signed = false;

-- add_counts: Adds to what an erasure's receipt counts (erasure, names, numbers).
UPDATE erasures SET counts = counts || (
    SELECT coalesce(jsonb_object_agg(w.name, coalesce((counts ->> w.name)::int8, 0) + w.added), '{}')
    FROM unnest($2::text[], $3::int8[]) AS w (name, added)
)
WHERE id = $1::uuid;

-- places: Weeks in which something waits to be deleted or kept, with how much (all projects).
SELECT project_id, week, count(*) AS nodes FROM erasure_nodes WHERE NOT kept GROUP BY 1, 2 ORDER BY 1, 2;

-- now: The clock.
SELECT clock_timestamp();

-- candidates: What may be deleted in a week (project, week).
SELECT node FROM erasure_nodes WHERE project_id = $1::int4 AND week = $2::date AND NOT kept;

-- parents: The slices before some (project, week, nodes).
SELECT node, parent FROM pieces WHERE project_id = $1::int4 AND week = $2::date AND node = ANY($3::bytea[]);

-- ends_in_use: Which of some nodes and tips exchanges between two ids end with (project, from id, before id, nodes).
SELECT DISTINCT e.node
FROM transcripts AS t
CROSS JOIN LATERAL unnest(ARRAY[
    t.request_headers, t.response_headers, t.trailers, t.request_head, t.request_tip, t.request_tail,
    t.response_head, t.response_tip, t.response_tail, uuid_send(t.talk_tip)
]) AS e (node)
WHERE t.project_id = $1::int4 AND t.id >= $2::uuid AND t.id < $3::uuid AND e.node = ANY($4::bytea[]);

-- parents_in_use: Which of some nodes have a next slice that is none of them (project, week, nodes).
SELECT DISTINCT parent AS node FROM pieces
WHERE project_id = $1::int4 AND week = $2::date AND parent = ANY($3::bytea[]) AND node <> ALL($3);

-- newly_used: Which of some nodes exchanges use since a time (project, week, from id, before id, nodes, time).
WITH RECURSIVE walk AS (
    SELECT DISTINCT e.node
    FROM exchanges AS x
    JOIN transcripts AS t ON t.project_id = x.project_id AND t.id = x.id
    CROSS JOIN LATERAL unnest(ARRAY[
        t.request_headers, t.response_headers, t.trailers, t.request_head, t.request_tip, t.request_tail,
        t.response_head, t.response_tip, t.response_tail, uuid_send(t.talk_tip)
    ]) AS e (node)
    WHERE x.recorded_at >= $6::timestamptz AND x.project_id = $1::int4 AND x.id >= $3::uuid AND x.id < $4::uuid
        AND t.id >= $3 AND t.id < $4 AND e.node IS NOT NULL
    UNION
    SELECT p.parent
    FROM walk AS w JOIN pieces AS p ON p.project_id = $1 AND p.week = $2::date AND p.node = w.node
    WHERE p.parent IS NOT NULL
)
SELECT node FROM walk WHERE node = ANY($5::bytea[]);

-- delete_pieces: Deletes slices (project, week, nodes).
DELETE FROM pieces WHERE project_id = $1::int4 AND week = $2::date AND node = ANY($3::bytea[]);

-- delete_runs: Deletes runs of what was said (project, week, tips).
DELETE FROM messages WHERE project_id = $1::int4 AND week = $2::date AND tip = ANY($3::uuid[]);

-- forget_nodes: Forgets what was deleted (project, week, nodes); gives for which erasures, and whether it was a run.
DELETE FROM erasure_nodes WHERE project_id = $1::int4 AND week = $2::date AND node = ANY($3::bytea[])
RETURNING erasure_id, length(node) = 16 AS is_run;

-- keep_nodes: Says that nodes stay (project, week, nodes), unless they were noted again since a time.
UPDATE erasure_nodes SET kept = true
WHERE project_id = $1::int4 AND week = $2::date AND node = ANY($3::bytea[]) AND noted_at < $4::timestamptz;

-- is_waiting: Whether slices, runs or signatures are left of an erasure.
SELECT EXISTS (SELECT FROM erasure_nodes WHERE erasure_id = $1::uuid AND NOT kept)
    OR EXISTS (SELECT FROM erasure_segments WHERE erasure_id = $1 AND NOT signed);

-- forget_kept: Forgets what an erasure left to others; says which are runs.
DELETE FROM erasure_nodes WHERE erasure_id = $1::uuid AND kept RETURNING length(node) = 16 AS is_run;

-- forget_signed: Forgets segments of the search whose signatures were made anew for an erasure.
DELETE FROM erasure_segments WHERE erasure_id = $1::uuid;

-- delete_user_days: Deletes a user's sums (project, user, until), of the last day where nothing of it is left.
DELETE FROM usage_daily_users AS u
WHERE u.project_id = $1::int4 AND u.end_user = $2::text
    AND u.day <= ($3::timestamptz AT TIME ZONE 'UTC')::date
    AND NOT EXISTS (
        SELECT FROM exchanges AS e
        WHERE e.project_id = u.project_id AND e.end_user = u.end_user AND e.started_at > $3
            AND (e.started_at AT TIME ZONE 'UTC')::date = u.day
    );

-- finish: Says that nothing of an erasure is left in the tables.
UPDATE erasures SET erased_at = clock_timestamp(), value = NULL WHERE id = $1::uuid;

-- vacuum_texts: Writes the statements that give back what rows took (tables).
SELECT format('VACUUM (SKIP_LOCKED) %I', c.relname) AS statement
FROM pg_class AS c
WHERE c.relname = ANY($1::text[]) AND c.relkind = 'r' AND pg_table_is_visible(c.oid)
ORDER BY c.relname;

-- unreported: Erasures of which a recorder has not said that nothing is left on its disk.
SELECT e.id FROM erasures AS e
WHERE NOT EXISTS (
    SELECT FROM erasure_progress AS p
    WHERE p.erasure_id = e.id AND p.recorder_id = $1::uuid AND p.done_at IS NOT NULL
)
ORDER BY e.id;

-- report: Says that a recorder's disk has nothing of erasures (erasures, quarantined, unreadable, recorder).
INSERT INTO erasure_progress AS p (erasure_id, recorder_id, done_at, quarantined, unreadable)
SELECT erasure_id, $4::uuid, clock_timestamp(), quarantined, unreadable
FROM unnest($1::uuid[], $2::int8[], $3::int8[]) AS w (erasure_id, quarantined, unreadable)
ORDER BY 1
ON CONFLICT (erasure_id, recorder_id) DO UPDATE SET
    done_at = excluded.done_at, quarantined = p.quarantined + excluded.quarantined, unreadable = excluded.unreadable;

-- stopped: Which exchanges a tombstone stops (projects, ids, times, users, keys, conversations), and whose.
SELECT DISTINCT b.id, t.erasure_id
FROM unnest($1::text[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
    AS b (project, id, started_at, end_user, key, conversation)
JOIN projects AS p ON p.name = b.project
CROSS JOIN LATERAL (
    VALUES ('exchange:' || b.id), ('user:' || b.end_user), ('key:' || b.key), ('conversation:' || b.conversation)
) AS named (value)
JOIN tombstones AS t
    ON t.project_id = p.id AND t.value_sha256 = sha256(convert_to(named.value, 'UTF8'))
    AND (t.until IS NULL OR t.until >= b.started_at);
