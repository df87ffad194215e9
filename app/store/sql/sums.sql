-- add_hourly: Adds sums, in the order of their key; histograms are texts of numbers.
INSERT INTO usage_hourly AS u (
    project_id, hour, model, route, key, status_class, outcome,
    exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
    cost, unpriced, duration_histogram, ttft_histogram
)
SELECT * FROM unnest(
    $1::int4[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::int2[], $7::text[],
    $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::int8[],
    $15::numeric[], $16::int8[], $17::text[]::numeric[], $18::text[]::numeric[]
)
ON CONFLICT (project_id, hour, model, route, key, status_class, outcome) DO UPDATE SET
    exchanges = u.exchanges + excluded.exchanges,
    request_bytes = u.request_bytes + excluded.request_bytes,
    response_bytes = u.response_bytes + excluded.response_bytes,
    input_tokens = u.input_tokens + excluded.input_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
    cost = u.cost + excluded.cost,
    unpriced = u.unpriced + excluded.unpriced,
    duration_histogram = u.duration_histogram + excluded.duration_histogram,
    ttft_histogram = u.ttft_histogram + excluded.ttft_histogram;

-- add_daily: The same by days.
INSERT INTO usage_daily AS u (
    project_id, day, model, route, key, status_class, outcome,
    exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
    cost, unpriced, duration_histogram, ttft_histogram
)
SELECT * FROM unnest(
    $1::int4[], $2::date[], $3::text[], $4::text[], $5::text[], $6::int2[], $7::text[],
    $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[], $14::int8[],
    $15::numeric[], $16::int8[], $17::text[]::numeric[], $18::text[]::numeric[]
)
ON CONFLICT (project_id, day, model, route, key, status_class, outcome) DO UPDATE SET
    exchanges = u.exchanges + excluded.exchanges,
    request_bytes = u.request_bytes + excluded.request_bytes,
    response_bytes = u.response_bytes + excluded.response_bytes,
    input_tokens = u.input_tokens + excluded.input_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
    cost = u.cost + excluded.cost,
    unpriced = u.unpriced + excluded.unpriced,
    duration_histogram = u.duration_histogram + excluded.duration_histogram,
    ttft_histogram = u.ttft_histogram + excluded.ttft_histogram;

-- add_weekly: The same by weeks, model and key; a week is its Monday, in UTC.
INSERT INTO usage_weekly AS u (
    project_id, week, model, key,
    exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
    cost, unpriced, errors, duration_histogram, ttft_histogram
)
SELECT * FROM unnest(
    $1::int4[], $2::date[], $3::text[], $4::text[],
    $5::int8[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[],
    $12::numeric[], $13::int8[], $14::int8[], $15::text[]::numeric[], $16::text[]::numeric[]
)
ON CONFLICT (project_id, week, model, key) DO UPDATE SET
    exchanges = u.exchanges + excluded.exchanges,
    request_bytes = u.request_bytes + excluded.request_bytes,
    response_bytes = u.response_bytes + excluded.response_bytes,
    input_tokens = u.input_tokens + excluded.input_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
    cost = u.cost + excluded.cost,
    unpriced = u.unpriced + excluded.unpriced,
    errors = u.errors + excluded.errors,
    duration_histogram = u.duration_histogram + excluded.duration_histogram,
    ttft_histogram = u.ttft_histogram + excluded.ttft_histogram;

-- add_daily_models: The same by days without key.
INSERT INTO usage_daily_models AS u (
    project_id, day, model, route, status_class, outcome,
    exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
    cost, unpriced, duration_histogram, ttft_histogram
)
SELECT * FROM unnest(
    $1::int4[], $2::date[], $3::text[], $4::text[], $5::int2[], $6::text[],
    $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[],
    $14::numeric[], $15::int8[], $16::text[]::numeric[], $17::text[]::numeric[]
)
ON CONFLICT (project_id, day, model, route, status_class, outcome) DO UPDATE SET
    exchanges = u.exchanges + excluded.exchanges,
    request_bytes = u.request_bytes + excluded.request_bytes,
    response_bytes = u.response_bytes + excluded.response_bytes,
    input_tokens = u.input_tokens + excluded.input_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
    cost = u.cost + excluded.cost,
    unpriced = u.unpriced + excluded.unpriced,
    duration_histogram = u.duration_histogram + excluded.duration_histogram,
    ttft_histogram = u.ttft_histogram + excluded.ttft_histogram;

-- add_hourly_routes: The same by hours without model and key.
INSERT INTO usage_hourly_routes AS u (
    project_id, hour, route, status_class, outcome,
    exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
    cost, unpriced, duration_histogram, ttft_histogram
)
SELECT * FROM unnest(
    $1::int4[], $2::timestamptz[], $3::text[], $4::int2[], $5::text[],
    $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[],
    $13::numeric[], $14::int8[], $15::text[]::numeric[], $16::text[]::numeric[]
)
ON CONFLICT (project_id, hour, route, status_class, outcome) DO UPDATE SET
    exchanges = u.exchanges + excluded.exchanges,
    request_bytes = u.request_bytes + excluded.request_bytes,
    response_bytes = u.response_bytes + excluded.response_bytes,
    input_tokens = u.input_tokens + excluded.input_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
    cost = u.cost + excluded.cost,
    unpriced = u.unpriced + excluded.unpriced,
    duration_histogram = u.duration_histogram + excluded.duration_histogram,
    ttft_histogram = u.ttft_histogram + excluded.ttft_histogram;

-- add_daily_users: Adds sums by user, in the order of their key.
INSERT INTO usage_daily_users AS u (
    project_id, day, end_user, model,
    exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
    cost, unpriced
)
SELECT * FROM unnest(
    $1::int4[], $2::date[], $3::text[], $4::text[],
    $5::int8[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[],
    $12::numeric[], $13::int8[]
)
ON CONFLICT (project_id, day, end_user, model) DO UPDATE SET
    exchanges = u.exchanges + excluded.exchanges,
    request_bytes = u.request_bytes + excluded.request_bytes,
    response_bytes = u.response_bytes + excluded.response_bytes,
    input_tokens = u.input_tokens + excluded.input_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
    cost = u.cost + excluded.cost,
    unpriced = u.unpriced + excluded.unpriced;

-- add_daily_tags: Adds sums by tag, in the order of their key; histograms are texts of numbers.
INSERT INTO usage_daily_tags AS u (
    project_id, day, name, value,
    exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens,
    cost, unpriced, errors, duration_histogram, ttft_histogram
)
SELECT * FROM unnest(
    $1::int4[], $2::date[], $3::text[], $4::text[],
    $5::int8[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[],
    $12::numeric[], $13::int8[], $14::int8[], $15::text[]::numeric[], $16::text[]::numeric[]
)
ON CONFLICT (project_id, name, day, value) DO UPDATE SET
    exchanges = u.exchanges + excluded.exchanges,
    request_bytes = u.request_bytes + excluded.request_bytes,
    response_bytes = u.response_bytes + excluded.response_bytes,
    input_tokens = u.input_tokens + excluded.input_tokens,
    cached_tokens = u.cached_tokens + excluded.cached_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
    cost = u.cost + excluded.cost,
    unpriced = u.unpriced + excluded.unpriced,
    errors = u.errors + excluded.errors,
    duration_histogram = u.duration_histogram + excluded.duration_histogram,
    ttft_histogram = u.ttft_histogram + excluded.ttft_histogram;

-- unsummed_tags: Names of tags that are not summed (projects, days).
SELECT u.project_id, u.day, u.name
FROM unnest($1::int4[], $2::date[]) AS w (project_id, day)
JOIN usage_unsummed_tags AS u USING (project_id, day);

-- unsum_tags: Notes names of tags that are not summed (projects, days, names).
INSERT INTO usage_unsummed_tags (project_id, day, name) SELECT * FROM unnest($1::int4[], $2::date[], $3::text[])
ON CONFLICT DO NOTHING;
