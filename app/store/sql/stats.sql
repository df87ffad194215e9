-- hourly: Sums of whole hours by two groups (from hour, before hour, projects, model, key, outcome, status classes, groups).
SELECT
    g.first, g.second,
    sum(u.exchanges)::int8 AS exchanges,
    coalesce(sum(u.exchanges) FILTER (
        WHERE u.status_class >= 4 OR u.outcome NOT IN ('completed', 'client_left')
    ), 0)::int8 AS errors,
    sum(u.request_bytes)::int8 AS request_bytes, sum(u.response_bytes)::int8 AS response_bytes,
    sum(u.input_tokens)::int8 AS input_tokens, sum(u.cached_tokens)::int8 AS cached_tokens,
    sum(u.output_tokens)::int8 AS output_tokens, sum(u.reasoning_tokens)::int8 AS reasoning_tokens,
    sum(u.cost) AS cost, sum(u.unpriced)::int8 AS unpriced
FROM usage_hourly AS u CROSS JOIN LATERAL (SELECT
    CASE $8::text
        WHEN 'hour' THEN date_part('epoch', u.hour)::int8::text
        WHEN 'day' THEN (date_part('epoch', u.hour)::int8 / 86400 * 86400)::text
        WHEN 'model' THEN u.model WHEN 'key' THEN u.key WHEN 'project' THEN u.project_id::text
        WHEN 'status' THEN u.status_class::text WHEN 'outcome' THEN u.outcome WHEN 'endpoint' THEN u.route
    END AS first,
    CASE $9::text
        WHEN 'hour' THEN date_part('epoch', u.hour)::int8::text
        WHEN 'day' THEN (date_part('epoch', u.hour)::int8 / 86400 * 86400)::text
        WHEN 'model' THEN u.model WHEN 'key' THEN u.key WHEN 'project' THEN u.project_id::text
        WHEN 'status' THEN u.status_class::text WHEN 'outcome' THEN u.outcome WHEN 'endpoint' THEN u.route
    END AS second
) AS g
WHERE u.project_id = ANY($3::int4[]) AND u.hour >= $1::timestamptz AND u.hour < $2::timestamptz
    AND ($4::text IS NULL OR u.model = $4) AND ($5::text IS NULL OR u.key = $5)
    AND ($6::text IS NULL OR u.outcome = $6) AND ($7::int2[] IS NULL OR u.status_class = ANY($7))
GROUP BY g.first, g.second;

-- hourly_times: Histograms of the same: for each bucket how many took so long, and began to answer so late.
SELECT first, second, bucket, coalesce(sum(durations), 0)::int8 AS durations, coalesce(sum(ttfts), 0)::int8 AS ttfts
FROM (
    SELECT
        g.first, g.second,
        unnest(u.duration_histogram) AS durations, unnest(u.ttft_histogram) AS ttfts,
        generate_series(0, greatest(cardinality(u.duration_histogram), cardinality(u.ttft_histogram)) - 1) AS bucket
    FROM usage_hourly AS u CROSS JOIN LATERAL (SELECT
        CASE $8::text
            WHEN 'hour' THEN date_part('epoch', u.hour)::int8::text
            WHEN 'day' THEN (date_part('epoch', u.hour)::int8 / 86400 * 86400)::text
            WHEN 'model' THEN u.model WHEN 'key' THEN u.key WHEN 'project' THEN u.project_id::text
            WHEN 'status' THEN u.status_class::text WHEN 'outcome' THEN u.outcome WHEN 'endpoint' THEN u.route
        END AS first,
        CASE $9::text
            WHEN 'hour' THEN date_part('epoch', u.hour)::int8::text
            WHEN 'day' THEN (date_part('epoch', u.hour)::int8 / 86400 * 86400)::text
            WHEN 'model' THEN u.model WHEN 'key' THEN u.key WHEN 'project' THEN u.project_id::text
            WHEN 'status' THEN u.status_class::text WHEN 'outcome' THEN u.outcome WHEN 'endpoint' THEN u.route
        END AS second
    ) AS g
    WHERE u.project_id = ANY($3::int4[]) AND u.hour >= $1::timestamptz AND u.hour < $2::timestamptz
        AND ($4::text IS NULL OR u.model = $4) AND ($5::text IS NULL OR u.key = $5)
        AND ($6::text IS NULL OR u.outcome = $6) AND ($7::int2[] IS NULL OR u.status_class = ANY($7))
) AS h
WHERE durations > 0 OR ttfts > 0
GROUP BY first, second, bucket;

-- users: Sums of whole days by two groups, of exchanges that have a user (from day, before day, projects, model, user, groups).
SELECT
    g.first, g.second,
    sum(u.exchanges)::int8 AS exchanges, NULL::int8 AS errors,
    sum(u.request_bytes)::int8 AS request_bytes, sum(u.response_bytes)::int8 AS response_bytes,
    sum(u.input_tokens)::int8 AS input_tokens, sum(u.cached_tokens)::int8 AS cached_tokens,
    sum(u.output_tokens)::int8 AS output_tokens, sum(u.reasoning_tokens)::int8 AS reasoning_tokens,
    sum(u.cost) AS cost, sum(u.unpriced)::int8 AS unpriced
FROM usage_daily_users AS u CROSS JOIN LATERAL (SELECT
    CASE $6::text
        WHEN 'day' THEN ((u.day - DATE '1970-01-01') * 86400::int8)::text
        WHEN 'user' THEN u.end_user WHEN 'model' THEN u.model WHEN 'project' THEN u.project_id::text
    END AS first,
    CASE $7::text
        WHEN 'day' THEN ((u.day - DATE '1970-01-01') * 86400::int8)::text
        WHEN 'user' THEN u.end_user WHEN 'model' THEN u.model WHEN 'project' THEN u.project_id::text
    END AS second
) AS g
WHERE u.project_id = ANY($3::int4[]) AND u.day >= $1::date AND u.day < $2::date
    AND ($4::text IS NULL OR u.model = $4) AND ($5::text IS NULL OR u.end_user = $5)
GROUP BY g.first, g.second;

-- exchanges: Sums and histograms of exchanges by two groups (from id, before id, groups, their tags, bounds of buckets).
WITH told AS (
    SELECT
        e.*,
        CASE $3::text
            WHEN 'hour' THEN (date_part('epoch', e.started_at)::int8 / 3600 * 3600)::text
            WHEN 'day' THEN (date_part('epoch', e.started_at)::int8 / 86400 * 86400)::text
            WHEN 'model' THEN coalesce(e.model, e.model_served, '') WHEN 'user' THEN coalesce(e.end_user, '')
            WHEN 'key' THEN coalesce(e.key, '') WHEN 'project' THEN e.project_id::text
            WHEN 'status' THEN coalesce(e.status / 100, 0)::text WHEN 'status_code' THEN coalesce(e.status, 0)::text
            WHEN 'outcome' THEN e.outcome WHEN 'endpoint' THEN e.route
            WHEN 'tag' THEN coalesce(e.tags ->> $5::text, '')
        END AS first,
        CASE $4::text
            WHEN 'hour' THEN (date_part('epoch', e.started_at)::int8 / 3600 * 3600)::text
            WHEN 'day' THEN (date_part('epoch', e.started_at)::int8 / 86400 * 86400)::text
            WHEN 'model' THEN coalesce(e.model, e.model_served, '') WHEN 'user' THEN coalesce(e.end_user, '')
            WHEN 'key' THEN coalesce(e.key, '') WHEN 'project' THEN e.project_id::text
            WHEN 'status' THEN coalesce(e.status / 100, 0)::text WHEN 'status_code' THEN coalesce(e.status, 0)::text
            WHEN 'outcome' THEN e.outcome WHEN 'endpoint' THEN e.route
            WHEN 'tag' THEN coalesce(e.tags ->> $6::text, '')
        END AS second,
        width_bucket(e.duration_us::float8, $7::float8[]) AS duration_bucket,
        width_bucket(e.ttft_us::float8, $7::float8[]) AS ttft_bucket
    FROM exchanges AS e
    WHERE e.id >= $1::uuid AND e.id < $2::uuid
        /* and wanted */
)
SELECT
    first, second, duration_bucket, ttft_bucket,
    GROUPING(duration_bucket) = 0 AS is_duration, GROUPING(ttft_bucket) = 0 AS is_ttft,
    count(*) AS exchanges,
    count(*) FILTER (WHERE status >= 400 OR outcome NOT IN ('completed', 'client_left')) AS errors,
    sum(request_bytes)::int8 AS request_bytes, sum(response_bytes)::int8 AS response_bytes,
    coalesce(sum(input_tokens), 0)::int8 AS input_tokens, coalesce(sum(cached_tokens), 0)::int8 AS cached_tokens,
    coalesce(sum(output_tokens), 0)::int8 AS output_tokens,
    coalesce(sum(reasoning_tokens), 0)::int8 AS reasoning_tokens,
    coalesce(sum(cost), 0) AS cost,
    count(*) FILTER (WHERE cost IS NULL AND cost_status <> 'repeated') AS unpriced
FROM told
GROUP BY GROUPING SETS ((first, second), (first, second, duration_bucket), (first, second, ttft_bucket));

-- ends: The ids of the first exchange and of the last.
SELECT
    (SELECT id FROM exchanges ORDER BY id LIMIT 1) AS first_id,
    (SELECT id FROM exchanges ORDER BY id DESC LIMIT 1) AS last_id;
