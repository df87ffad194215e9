-- kept: A page of exchanges between two ids whose bodies are kept, oldest first, with what was derived from them.
SELECT e.*, t.request_preview, t.response_preview, t.facts
FROM exchanges AS e
JOIN transcripts AS t USING (project_id, id)
WHERE e.id > $1::uuid AND e.id < $2::uuid AND e.log_mode = 'full'
ORDER BY e.id
LIMIT $3::int8;

-- set_exchanges: Sets what is derived, for exchanges between two ids; a conversation is only given, never changed.
UPDATE exchanges AS e SET
    stream = n.stream, route = n.route, capture_status = n.capture_status, model = n.model,
    model_served = n.model_served, upstream_id = n.upstream_id, finish_reason = n.finish_reason,
    service_tier = n.service_tier, error_type = n.error_type, error_code = n.error_code, end_user = n.end_user,
    usage = n.usage::jsonb, usage_source = n.usage_source, input_tokens = n.input_tokens,
    cached_tokens = n.cached_tokens, cache_write_tokens = n.cache_write_tokens, output_tokens = n.output_tokens,
    reasoning_tokens = n.reasoning_tokens, total_tokens = n.total_tokens,
    input_audio_tokens = n.input_audio_tokens, output_audio_tokens = n.output_audio_tokens,
    input_image_tokens = n.input_image_tokens, output_image_tokens = n.output_image_tokens,
    cost = n.cost, price_version = n.price_version, cost_status = n.cost_status, answer_key = n.answer_key,
    conversation_id = coalesce(e.conversation_id, n.conversation_id),
    parent_id = coalesce(e.parent_id, n.parent_id), joined_by = coalesce(e.joined_by, n.joined_by)
FROM unnest(
    $3::int4[], $4::uuid[], $5::bool[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
    $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::int8[], $19::int8[], $20::int8[],
    $21::int8[], $22::int8[], $23::int8[], $24::int8[], $25::int8[], $26::int8[], $27::int8[], $28::numeric[],
    $29::text[], $30::text[], $31::bytea[], $32::uuid[], $33::uuid[], $34::text[]
) AS n (
    project_id, id, stream, route, capture_status, model, model_served, upstream_id, finish_reason,
    service_tier, error_type, error_code, end_user, usage, usage_source, input_tokens, cached_tokens, cache_write_tokens,
    output_tokens, reasoning_tokens, total_tokens, input_audio_tokens, output_audio_tokens, input_image_tokens,
    output_image_tokens, cost, price_version, cost_status, answer_key, conversation_id, parent_id, joined_by
)
WHERE e.id BETWEEN $1::uuid AND $2::uuid AND e.project_id = n.project_id AND e.id = n.id;

-- set_transcripts: Sets previews, facts and where talk ends (or leaves that), for exchanges between two ids.
UPDATE transcripts AS t SET
    request_preview = n.request_preview, response_preview = n.response_preview, facts = n.facts::jsonb,
    talk_tip = coalesce(n.talk_tip, t.talk_tip)
FROM unnest($3::int4[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::uuid[])
    AS n (project_id, id, request_preview, response_preview, facts, talk_tip)
WHERE t.id BETWEEN $1::uuid AND $2::uuid AND t.project_id = n.project_id AND t.id = n.id;

-- keep_metadata: Sets metadata in facts again that was set after recording (ids), for exchanges between two ids.
UPDATE transcripts AS t SET facts = jsonb_set(
    CASE WHEN t.facts ? 'request' THEN t.facts ELSE jsonb_set(coalesce(t.facts, '{}'), '{request}', '{}') END,
    '{request,metadata}', e.metadata
)
FROM exchanges AS e
WHERE t.id BETWEEN $1::uuid AND $2::uuid AND e.id BETWEEN $1 AND $2 AND e.id = ANY($3::uuid[])
    AND t.project_id = e.project_id AND t.id = e.id AND e.metadata IS NOT NULL;

-- lock_exchanges: Locks exchanges between two ids; gives those whose usage is as it was read.
SELECT e.id FROM exchanges AS e
JOIN unnest($3::int4[], $4::uuid[], $5::numeric[], $6::text[]) AS n (project_id, id, cost, cost_status)
    ON e.project_id = n.project_id AND e.id = n.id
WHERE e.id BETWEEN $1::uuid AND $2::uuid
    AND e.cost IS NOT DISTINCT FROM n.cost AND e.cost_status IS NOT DISTINCT FROM n.cost_status
ORDER BY e.id
FOR UPDATE OF e;

-- forget_empty_hours: Removes sums between two times that count nothing any more.
DELETE FROM usage_hourly WHERE hour >= $1 AND hour <= $2 AND exchanges <= 0;

-- forget_empty_days: The same for sums of days.
DELETE FROM usage_daily WHERE day >= $1 AND day <= $2 AND exchanges <= 0;

-- forget_empty_models: The same for sums of days without key.
DELETE FROM usage_daily_models WHERE day >= $1 AND day <= $2 AND exchanges <= 0;

-- forget_empty_weeks: The same for sums of weeks.
DELETE FROM usage_weekly WHERE week > $1::date - 7 AND week <= $2 AND exchanges <= 0;

-- forget_empty_routes: The same for sums of hours without model and key.
DELETE FROM usage_hourly_routes WHERE hour >= $1 AND hour <= $2 AND exchanges <= 0;

-- forget_empty_tag_days: The same for sums by tag.
DELETE FROM usage_daily_tags WHERE day >= $1 AND day <= $2 AND exchanges <= 0;

-- forget_empty_user_days: The same for sums by user.
DELETE FROM usage_daily_users WHERE day >= $1 AND day <= $2 AND exchanges <= 0;

-- position: How far a run with these bounds is.
SELECT value FROM meta WHERE key = $1;

-- set_position: Notes how far a run is.
INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- forget_position: Forgets a run that is done.
DELETE FROM meta WHERE key = $1;
