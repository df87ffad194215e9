-- project_ids: Numbers of projects by name.
SELECT id, name FROM projects WHERE name = ANY($1::text[]);

-- make_projects: Makes the projects that are missing.
INSERT INTO projects (name)
SELECT name FROM unnest($1::text[]) AS wanted (name)
ORDER BY name
ON CONFLICT (name) DO NOTHING;

-- known_ids: Which of these exchanges are recorded.
SELECT id FROM exchanges WHERE id = ANY($1::uuid[]);

-- known_erased: Which of these exchanges were erased by their ids.
SELECT w.id
FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN projects AS p
JOIN tombstones AS t
    ON t.project_id = p.id AND t.value_sha256 = sha256(convert_to('exchange:' || w.id, 'UTF8'));

-- lock_weeks: Shares projects (week -1) and weeks (project, its number) with other batches, and keeps erasures out of them.
SELECT pg_advisory_xact_lock_shared(project_id, week)
FROM (
    SELECT project_id, week FROM unnest($1::int4[], $2::int4[]) AS w (project_id, week)
    UNION
    SELECT project_id, -1 FROM unnest($1::int4[]) AS p (project_id)
    ORDER BY 1, 2
) AS ordered;

-- share_weeks: Shares weeks alone, for who inserts no exchange.
SELECT pg_advisory_xact_lock_shared(project_id, week)
FROM (SELECT project_id, week FROM unnest($1::int4[], $2::int4[]) AS w (project_id, week) ORDER BY 1, 2) AS ordered;

-- insert_exchanges: Inserts what is neither there nor erased; says which ids it inserted and which a tombstone stopped.
WITH batch AS (
    SELECT * FROM unnest(
        $1::int4[], $2::uuid[], $3::date[], $4::timestamptz[], $5::int8[], $6::int8[],
        $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
        $14::text[], $15::text[], $16::int2[], $17::text[], $18::text[], $19::text[], $20::bool[],
        $21::int8[], $22::int8[], $23::bytea[], $24::bytea[], $25::bool[],
        $26::text[], $27::text[], $28::text[], $29::text[], $30::text[],
        $31::text[], $32::text[], $33::text[], $34::text[], $35::text[], $36::text[],
        $37::int8[], $38::int8[], $39::int8[], $40::int8[], $41::int8[], $42::int8[],
        $43::text[], $44::text[], $45::text[], $46::text[], $47::text[], $48::int4[],
        $49::text[], $50::text[], $51::uuid[], $52::text[], $53::int2[], $54::int8[],
        $55::int8[], $56::int8[], $57::int8[], $58::int8[], $59::numeric[], $60::text[], $61::text[],
        $62::bytea[], $63::uuid[], $64::uuid[], $65::text[]
    ) AS b (
        project_id, id, week, started_at, duration_us, ttft_us,
        method, path, query, route, upstream, authority, http_version,
        model, model_served, status, outcome, reason, detail, stream,
        request_bytes, response_bytes, request_sha256, response_sha256, request_complete,
        request_content_type, request_content_encoding, response_content_type, response_content_encoding, upstream_id,
        finish_reason, service_tier, error_type, error_code, usage, usage_source,
        input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, total_tokens,
        end_user, key, key_tail, conversation, tags, retry_count,
        capture_status, log_mode, recorder_id, boot, slot, accept_number,
        input_audio_tokens, output_audio_tokens, input_image_tokens, output_image_tokens,
        cost, price_version, cost_status,
        answer_key, conversation_id, parent_id, joined_by
    )
), erased AS MATERIALIZED (
    SELECT DISTINCT b.id, t.erasure_id
    FROM batch AS b
    CROSS JOIN LATERAL (
        VALUES ('exchange:' || b.id), ('user:' || b.end_user), ('key:' || b.key),
            ('conversation:' || b.conversation), ('conversation:' || b.conversation_id)
    ) AS named (value)
    JOIN tombstones AS t
        ON t.project_id = b.project_id AND t.value_sha256 = sha256(convert_to(named.value, 'UTF8'))
        AND (t.until IS NULL OR t.until >= b.started_at)
), inserted AS (
    INSERT INTO exchanges (
        project_id, id, week, started_at, duration_us, ttft_us,
        method, path, query, route, upstream, authority, http_version,
        model, model_served, status, outcome, reason, detail, stream,
        request_bytes, response_bytes, request_sha256, response_sha256, request_complete,
        request_content_type, request_content_encoding, response_content_type, response_content_encoding, upstream_id,
        finish_reason, service_tier, error_type, error_code, usage, usage_source,
        input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, total_tokens,
        end_user, key, key_tail, conversation, tags, retry_count,
        capture_status, log_mode, recorder_id, boot, slot, accept_number,
        input_audio_tokens, output_audio_tokens, input_image_tokens, output_image_tokens,
        cost, price_version, cost_status,
        answer_key, conversation_id, parent_id, joined_by
    )
    SELECT
        b.project_id, b.id, b.week, b.started_at, b.duration_us, b.ttft_us,
        b.method, b.path, b.query, b.route, b.upstream, b.authority, b.http_version,
        b.model, b.model_served, b.status, b.outcome, b.reason, b.detail, b.stream,
        b.request_bytes, b.response_bytes, b.request_sha256, b.response_sha256, b.request_complete,
        b.request_content_type, b.request_content_encoding, b.response_content_type, b.response_content_encoding,
        b.upstream_id,
        b.finish_reason, b.service_tier, b.error_type, b.error_code, b.usage::jsonb, b.usage_source,
        b.input_tokens, b.cached_tokens, b.cache_write_tokens, b.output_tokens, b.reasoning_tokens, b.total_tokens,
        b.end_user, b.key, b.key_tail, b.conversation, b.tags::jsonb, b.retry_count,
        b.capture_status, b.log_mode, b.recorder_id, b.boot, b.slot, b.accept_number,
        b.input_audio_tokens, b.output_audio_tokens, b.input_image_tokens, b.output_image_tokens,
        b.cost, b.price_version, b.cost_status,
        b.answer_key, b.conversation_id, b.parent_id, b.joined_by
    FROM batch AS b
    WHERE NOT EXISTS (SELECT FROM erased WHERE erased.id = b.id)
    ORDER BY b.project_id, b.id
    ON CONFLICT (project_id, id) DO NOTHING
    RETURNING id
)
SELECT id, NULL::uuid AS erasure_id FROM inserted
UNION ALL
SELECT id, erasure_id FROM erased;

-- add_stopped: Counts exchanges that erasures stopped on their way (erasures, how many, recorder).
INSERT INTO erasure_progress AS p (erasure_id, recorder_id, stopped)
SELECT erasure_id, $3::uuid, stopped FROM unnest($1::uuid[], $2::int8[]) AS w (erasure_id, stopped)
ORDER BY 1
ON CONFLICT (erasure_id, recorder_id) DO UPDATE SET stopped = p.stopped + excluded.stopped;

-- count_objects: Counts usages that several exchanges tell, each on the first of them; gives the exchanges that count.
INSERT INTO usage_counted (project_id, authority, object_sha256, exchange_id)
SELECT * FROM unnest($1::int4[], $2::text[], $3::bytea[], $4::uuid[])
ON CONFLICT (project_id, authority, object_sha256) DO NOTHING
RETURNING exchange_id;

-- uncount: Leaves exchanges (project, id) with the provider's usage object alone, and says why ($3).
UPDATE exchanges AS e SET
    input_tokens = NULL, cached_tokens = NULL, cache_write_tokens = NULL, output_tokens = NULL,
    reasoning_tokens = NULL, total_tokens = NULL, input_audio_tokens = NULL, output_audio_tokens = NULL,
    input_image_tokens = NULL, output_image_tokens = NULL,
    cost = NULL, price_version = NULL, cost_status = $3
FROM unnest($1::int4[], $2::uuid[]) AS r (project_id, id)
WHERE e.project_id = r.project_id AND e.id = r.id;

-- known_pieces: Which of these slices are there (project, week, nodes).
SELECT node FROM pieces WHERE project_id = $1 AND week = $2 AND node = ANY($3::bytea[]);

-- forget_counted: Forgets what was counted before a time.
DELETE FROM usage_counted WHERE counted_at < $1::timestamptz;

-- insert_pieces: Inserts slices, in the order given, that are not there yet.
INSERT INTO pieces (project_id, week, node, parent, raw_bytes, coding, data)
SELECT * FROM unnest($1::int4[], $2::date[], $3::bytea[], $4::bytea[], $5::int4[], $6::int2[], $7::bytea[])
ON CONFLICT (project_id, week, node) DO NOTHING;

-- insert_transcripts: Inserts the manifests of exchanges that were inserted by the same transaction.
INSERT INTO transcripts (
    project_id, id, week, request_headers, response_headers, trailers,
    request_head, request_tip, request_tail, response_tip,
    chunk_times, request_preview, response_preview, facts, talk_tip
)
SELECT
    project_id, id, week, request_headers, response_headers, trailers,
    request_head, request_tip, request_tail, response_tip,
    chunk_times, request_preview, response_preview, facts::jsonb, talk_tip
FROM unnest(
    $1::int4[], $2::uuid[], $3::date[], $4::bytea[], $5::bytea[], $6::bytea[],
    $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[],
    $11::bytea[], $12::text[], $13::text[], $14::text[], $15::uuid[]
) AS t (
    project_id, id, week, request_headers, response_headers, trailers,
    request_head, request_tip, request_tail, response_tip,
    chunk_times, request_preview, response_preview, facts, talk_tip
)
ON CONFLICT (project_id, id) DO NOTHING;

-- insert_segments: Accounts for segments that are let go; a replay adds nothing.
INSERT INTO segments (
    boot, slot, counter, recorder_id, first_accept_number, last_accept_number,
    recorded, "off", quarantined, expired, erased, dropped, carried, damaged_bytes, torn_bytes
)
SELECT * FROM unnest(
    $1::text[], $2::int2[], $3::int8[], $4::uuid[], $5::int8[], $6::int8[],
    $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::int8[], $15::int8[]
)
ON CONFLICT (boot, slot, counter) DO NOTHING;

-- heartbeat: Says that a recorder lives, and how far behind it is.
INSERT INTO recorders (id, host, version, started_at, last_seen, lag_seconds, journal_bytes)
VALUES ($1, $2, $3, $4, clock_timestamp(), $5, $6)
ON CONFLICT (id) DO UPDATE SET
    host = excluded.host,
    version = excluded.version,
    started_at = excluded.started_at,
    last_seen = excluded.last_seen,
    lag_seconds = excluded.lag_seconds,
    journal_bytes = excluded.journal_bytes;

-- clock: What time it is at the database.
SELECT clock_timestamp();
