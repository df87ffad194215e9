-- limit_adding: One process and a helper, and the memory that sums of histograms take; more would contend with recording.
SET LOCAL max_parallel_workers_per_gather = 1;
SET LOCAL work_mem = '32MB';
SET LOCAL plan_cache_mode = force_custom_plan;

-- sums: Sums by two groups (Spans: hours, days; projects, model, key, outcome, status classes, groups, times?, most, known).
SELECT
    first, second, exchanges, errors, request_bytes, response_bytes,
    input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost, unpriced,
    numeric_send(durations) AS durations, numeric_send(ttfts) AS ttfts
FROM (SELECT
    coalesce(date_part('epoch', g.first_time)::int8::text, g.first) AS first,
    coalesce(date_part('epoch', g.second_time)::int8::text, g.second) AS second,
    sum(u.exchanges)::int8 AS exchanges,
    sum(CASE
        WHEN u.status_class >= 4 OR u.outcome NOT IN ('completed', 'client_left') THEN u.exchanges ELSE u.errors
    END)::int8 AS errors,
    sum(u.request_bytes)::int8 AS request_bytes, sum(u.response_bytes)::int8 AS response_bytes,
    sum(u.input_tokens)::int8 AS input_tokens, sum(u.cached_tokens)::int8 AS cached_tokens,
    sum(u.output_tokens)::int8 AS output_tokens, sum(u.reasoning_tokens)::int8 AS reasoning_tokens,
    sum(u.cost) AS cost, sum(u.unpriced)::int8 AS unpriced,
    sum(u.duration_histogram) FILTER (WHERE $10::bool) AS durations,
    sum(u.ttft_histogram) FILTER (WHERE $10::bool) AS ttfts
FROM (
    SELECT
        project_id, hour AS at, model, route, key, status_class, outcome, 0 AS errors,
        exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost,
        unpriced, duration_histogram, ttft_histogram
    FROM usage_hourly WHERE hour >= ($1::timestamptz[])[1] AND hour < ($1::timestamptz[])[2]
    UNION ALL
    SELECT
        project_id, hour AS at, model, route, key, status_class, outcome, 0 AS errors,
        exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost,
        unpriced, duration_histogram, ttft_histogram
    FROM usage_hourly WHERE hour >= ($1::timestamptz[])[3] AND hour < ($1::timestamptz[])[4]
    UNION ALL
    SELECT
        project_id, hour AS at, '', route, '', status_class, outcome, 0 AS errors,
        exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost,
        unpriced, duration_histogram, ttft_histogram
    FROM usage_hourly_routes WHERE hour >= ($1::timestamptz[])[5] AND hour < ($1::timestamptz[])[6]
    UNION ALL
    SELECT
        project_id, day::timestamp AT TIME ZONE 'UTC' AS at, model, route, key, status_class, outcome, 0 AS errors,
        exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost,
        unpriced, duration_histogram, ttft_histogram
    FROM usage_daily WHERE day >= ($2::date[])[1] AND day < ($2::date[])[2]
    UNION ALL
    SELECT
        project_id, day::timestamp AT TIME ZONE 'UTC' AS at, model, route, key, status_class, outcome, 0 AS errors,
        exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost,
        unpriced, duration_histogram, ttft_histogram
    FROM usage_daily WHERE day >= ($2::date[])[3] AND day < ($2::date[])[4]
    UNION ALL
    SELECT
        project_id, week::timestamp AT TIME ZONE 'UTC' AS at, model, '', key, 0::int2, 'completed', errors,
        exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost,
        unpriced, duration_histogram, ttft_histogram
    FROM usage_weekly WHERE week >= ($2::date[])[5] AND week < ($2::date[])[6]
    UNION ALL
    SELECT
        project_id, day::timestamp AT TIME ZONE 'UTC' AS at, model, route, '', status_class, outcome, 0 AS errors,
        exchanges, request_bytes, response_bytes, input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost,
        unpriced, duration_histogram, ttft_histogram
    FROM usage_daily_models WHERE day >= ($2::date[])[7] AND day < ($2::date[])[8]
) AS u CROSS JOIN LATERAL (SELECT
    CASE $8::text WHEN 'hour' THEN u.at WHEN 'day' THEN date_trunc('day', u.at, 'UTC') END AS first_time,
    CASE $9::text WHEN 'hour' THEN u.at WHEN 'day' THEN date_trunc('day', u.at, 'UTC') END AS second_time,
    CASE $8::text
        WHEN 'model' THEN u.model WHEN 'key' THEN u.key WHEN 'project' THEN u.project_id::text
        WHEN 'status' THEN u.status_class::text WHEN 'outcome' THEN u.outcome WHEN 'endpoint' THEN u.route
    END AS first,
    CASE $9::text
        WHEN 'model' THEN u.model WHEN 'key' THEN u.key WHEN 'project' THEN u.project_id::text
        WHEN 'status' THEN u.status_class::text WHEN 'outcome' THEN u.outcome WHEN 'endpoint' THEN u.route
    END AS second
) AS g
WHERE u.project_id = ANY($3::int4[])
    AND ($4::text IS NULL OR u.model = $4) AND ($5::text IS NULL OR u.key = $5)
    AND ($6::text IS NULL OR u.outcome = $6) AND ($7::int2[] IS NULL OR u.status_class = ANY($7))
GROUP BY g.first_time, g.second_time, g.first, g.second
ORDER BY -- the first times; else groups that are known otherwise, and then the largest
    CASE WHEN $11::int8 IS NOT NULL THEN g.first_time END, CASE WHEN $11::int8 IS NOT NULL THEN g.second_time END,
    CASE WHEN $11::int8 IS NOT NULL THEN (coalesce(g.first, ''), coalesce(g.second, '')) IN (
        SELECT coalesce(k.first, ''), coalesce(k.second, '') FROM unnest($12::text[], $13::text[]) AS k (first, second)
    ) END DESC,
    CASE WHEN $11::int8 IS NOT NULL THEN sum(u.exchanges) END DESC,
    CASE WHEN $11::int8 IS NOT NULL THEN g.first END, CASE WHEN $11::int8 IS NOT NULL THEN g.second END
LIMIT $11::int8) AS summed;

-- tags: Sums of whole days by a tag and another group (from day, before day, projects, tag, groups, times?, most).
WITH tagged AS (
    SELECT * FROM usage_daily_tags
    WHERE project_id = ANY($3::int4[]) AND name = $4::text AND day >= $1::date AND day < $2::date
), u AS (
    SELECT
        project_id, day, value, exchanges, errors, request_bytes, response_bytes,
        input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost, unpriced, duration_histogram, ttft_histogram
    FROM tagged
    UNION ALL
    SELECT
        project_id, day, '', -exchanges, -errors, -request_bytes, -response_bytes,
        -input_tokens, -cached_tokens, -output_tokens, -reasoning_tokens, -cost, -unpriced,
        -duration_histogram, -ttft_histogram
    FROM tagged
    UNION ALL
    SELECT
        project_id, (hour AT TIME ZONE 'UTC')::date, '', exchanges,
        CASE WHEN status_class >= 4 OR outcome NOT IN ('completed', 'client_left') THEN exchanges ELSE 0 END,
        request_bytes, response_bytes,
        input_tokens, cached_tokens, output_tokens, reasoning_tokens, cost, unpriced, duration_histogram, ttft_histogram
    FROM usage_hourly_routes
    WHERE project_id = ANY($3) AND hour >= $1::timestamp AT TIME ZONE 'UTC' AND hour < $2::timestamp AT TIME ZONE 'UTC'
)
SELECT
    coalesce(((g.first_time - DATE '1970-01-01') * 86400::int8)::text, g.first) AS first,
    coalesce(((g.second_time - DATE '1970-01-01') * 86400::int8)::text, g.second) AS second,
    sum(u.exchanges)::int8 AS exchanges, sum(u.errors)::int8 AS errors,
    sum(u.request_bytes)::int8 AS request_bytes, sum(u.response_bytes)::int8 AS response_bytes,
    sum(u.input_tokens)::int8 AS input_tokens, sum(u.cached_tokens)::int8 AS cached_tokens,
    sum(u.output_tokens)::int8 AS output_tokens, sum(u.reasoning_tokens)::int8 AS reasoning_tokens,
    sum(u.cost) AS cost, sum(u.unpriced)::int8 AS unpriced,
    numeric_send(sum(u.duration_histogram) FILTER (WHERE $7::bool)) AS durations,
    numeric_send(sum(u.ttft_histogram) FILTER (WHERE $7::bool)) AS ttfts
FROM u CROSS JOIN LATERAL (SELECT
    CASE $5::text WHEN 'day' THEN u.day END AS first_time,
    CASE $6::text WHEN 'day' THEN u.day END AS second_time,
    CASE $5::text WHEN 'tag' THEN u.value WHEN 'project' THEN u.project_id::text END AS first,
    CASE $6::text WHEN 'tag' THEN u.value WHEN 'project' THEN u.project_id::text END AS second
) AS g
GROUP BY g.first_time, g.second_time, g.first, g.second
HAVING sum(u.exchanges) > 0
ORDER BY coalesce(g.first_time, g.second_time), sum(u.exchanges) DESC
LIMIT $8::int8;

-- tags_suffice: Whether sums by a tag tell all of some days (projects, tag, from day, before day).
SELECT NOT EXISTS (
    SELECT FROM usage_unsummed_tags
    WHERE project_id = ANY($1::int4[]) AND name IN ($2::text, '') AND day >= $3::date AND day < $4::date
) AND (SELECT value FROM meta WHERE key = 'tags_summed_since')::date <= greatest($3::date, (
    SELECT (started_at AT TIME ZONE 'UTC')::date FROM exchanges ORDER BY id LIMIT 1
));

-- first_days: The first day of which projects have sums, and the first of which they have sums of users.
SELECT
    (SELECT min(d.day) FROM unnest($1::int4[]) AS p (id), LATERAL (
        SELECT min(u.day) AS day FROM usage_daily AS u WHERE u.project_id = p.id
    ) AS d) AS others,
    (SELECT min(d.day) FROM unnest($1::int4[]) AS p (id), LATERAL (
        SELECT min(u.day) AS day FROM usage_daily_users AS u WHERE u.project_id = p.id
    ) AS d) AS users;

-- users: Sums of whole days by two groups, of exchanges that have a user (from day, before day, projects, model, user, groups).
SELECT
    coalesce(((g.first_time - DATE '1970-01-01') * 86400::int8)::text, g.first) AS first,
    coalesce(((g.second_time - DATE '1970-01-01') * 86400::int8)::text, g.second) AS second,
    sum(u.exchanges)::int8 AS exchanges, NULL::int8 AS errors,
    sum(u.request_bytes)::int8 AS request_bytes, sum(u.response_bytes)::int8 AS response_bytes,
    sum(u.input_tokens)::int8 AS input_tokens, sum(u.cached_tokens)::int8 AS cached_tokens,
    sum(u.output_tokens)::int8 AS output_tokens, sum(u.reasoning_tokens)::int8 AS reasoning_tokens,
    sum(u.cost) AS cost, sum(u.unpriced)::int8 AS unpriced, NULL::bytea AS durations, NULL::bytea AS ttfts
FROM usage_daily_users AS u CROSS JOIN LATERAL (SELECT
    CASE $6::text WHEN 'day' THEN u.day END AS first_time,
    CASE $7::text WHEN 'day' THEN u.day END AS second_time,
    CASE $6::text
        WHEN 'user' THEN u.end_user WHEN 'model' THEN u.model WHEN 'project' THEN u.project_id::text
    END AS first,
    CASE $7::text
        WHEN 'user' THEN u.end_user WHEN 'model' THEN u.model WHEN 'project' THEN u.project_id::text
    END AS second
) AS g
WHERE u.project_id = ANY($3::int4[]) AND u.day >= $1::date AND u.day < $2::date
    AND ($4::text IS NULL OR u.model = $4) AND ($5::text IS NULL OR u.end_user = $5)
GROUP BY g.first_time, g.second_time, g.first, g.second
ORDER BY coalesce(g.first_time, g.second_time), sum(u.exchanges) DESC
LIMIT $8::int8;

-- exchanges: Sums of exchanges by two groups (from id, before id, groups, their tags, bounds of buckets, times?, most).
WITH lanes AS MATERIALIZED (
    SELECT array_agg(('1e' || n * 12)::numeric ORDER BY n) AS of_bucket FROM generate_series(0, 240) AS n
), told AS (
    SELECT
        e.*,
        CASE $3::text
            WHEN 'hour' THEN (floor(date_part('epoch', e.started_at))::int8 / 3600 * 3600)::text
            WHEN 'day' THEN (floor(date_part('epoch', e.started_at))::int8 / 86400 * 86400)::text
            WHEN 'model' THEN coalesce(e.model, e.model_served, '') WHEN 'user' THEN coalesce(e.end_user, '')
            WHEN 'key' THEN coalesce(e.key, '') WHEN 'project' THEN e.project_id::text
            WHEN 'status' THEN coalesce(e.status / 100, 0)::text WHEN 'status_code' THEN coalesce(e.status, 0)::text
            WHEN 'outcome' THEN e.outcome WHEN 'endpoint' THEN e.route
            WHEN 'tag' THEN coalesce(e.tags ->> $5::text, '')
        END AS first,
        CASE $4::text
            WHEN 'hour' THEN (floor(date_part('epoch', e.started_at))::int8 / 3600 * 3600)::text
            WHEN 'day' THEN (floor(date_part('epoch', e.started_at))::int8 / 86400 * 86400)::text
            WHEN 'model' THEN coalesce(e.model, e.model_served, '') WHEN 'user' THEN coalesce(e.end_user, '')
            WHEN 'key' THEN coalesce(e.key, '') WHEN 'project' THEN e.project_id::text
            WHEN 'status' THEN coalesce(e.status / 100, 0)::text WHEN 'status_code' THEN coalesce(e.status, 0)::text
            WHEN 'outcome' THEN e.outcome WHEN 'endpoint' THEN e.route
            WHEN 'tag' THEN coalesce(e.tags ->> $6::text, '')
        END AS second
    FROM exchanges AS e
    WHERE e.id >= $1::uuid AND e.id < $2::uuid
        /* and wanted */
)
SELECT
    first, second,
    count(*) AS exchanges,
    count(*) FILTER (WHERE status >= 400 OR outcome NOT IN ('completed', 'client_left')) AS errors,
    sum(request_bytes)::int8 AS request_bytes, sum(response_bytes)::int8 AS response_bytes,
    coalesce(sum(input_tokens), 0)::int8 AS input_tokens, coalesce(sum(cached_tokens), 0)::int8 AS cached_tokens,
    coalesce(sum(output_tokens), 0)::int8 AS output_tokens,
    coalesce(sum(reasoning_tokens), 0)::int8 AS reasoning_tokens,
    coalesce(sum(cost), 0) AS cost,
    count(*) FILTER (WHERE cost IS NULL AND cost_status <> 'repeated') AS unpriced,
    numeric_send(sum((SELECT of_bucket FROM lanes)[1 + width_bucket(duration_us::float8, $7::float8[])])
        FILTER (WHERE $8::bool)) AS durations,
    numeric_send(sum((SELECT of_bucket FROM lanes)[1 + width_bucket(ttft_us::float8, $7::float8[])])
        FILTER (WHERE $8::bool)) AS ttfts
FROM told
GROUP BY first, second
ORDER BY
    CASE WHEN $3::text IN ('hour', 'day') THEN first END, CASE WHEN $4::text IN ('hour', 'day') THEN second END,
    count(*) DESC
LIMIT $9::int8;

-- ends: The ids of the first exchange and of the last.
SELECT
    (SELECT id FROM exchanges ORDER BY id LIMIT 1) AS first_id,
    (SELECT id FROM exchanges ORDER BY id DESC LIMIT 1) AS last_id;
