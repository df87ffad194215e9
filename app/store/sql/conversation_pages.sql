-- newest: Conversations of projects before an id, the newest first, at most so many.
SELECT c.* FROM unnest($1::int4[]) AS p (id) CROSS JOIN LATERAL (
    SELECT c.project_id, c.id, c.last_id, c.exchanges, c.name FROM conversations AS c
    WHERE c.project_id = p.id AND c.id < $2::uuid AND c.merged_into IS NULL
    ORDER BY c.id DESC
    LIMIT $3::int8
) AS c
ORDER BY c.id DESC
LIMIT $3::int8;

-- oldest: Conversations of projects after an id, the oldest first, at most so many.
SELECT c.* FROM unnest($1::int4[]) AS p (id) CROSS JOIN LATERAL (
    SELECT c.project_id, c.id, c.last_id, c.exchanges, c.name FROM conversations AS c
    WHERE c.project_id = p.id AND c.id > $2::uuid AND c.merged_into IS NULL
    ORDER BY c.id
    LIMIT $3::int8
) AS c
ORDER BY c.id
LIMIT $3::int8;

-- of_exchanges: The conversations of some exchanges, whose ids are between two.
SELECT c.project_id, c.id, c.last_id, c.exchanges, c.name FROM (
    SELECT DISTINCT e.project_id, e.conversation_id FROM exchanges AS e
    WHERE e.id = ANY($1::uuid[]) AND e.id BETWEEN $2::uuid AND $3::uuid AND e.conversation_id IS NOT NULL
) AS e
JOIN conversations AS c ON c.project_id = e.project_id AND c.id = e.conversation_id;

-- members: Exchanges of some conversations (project, id, last id) that are between two ids and wanted, so many of each.
SELECT w.id AS conversation_id, e.id
FROM unnest($3::int4[], $4::uuid[], $5::uuid[]) AS w (project_id, id, last_id)
CROSS JOIN LATERAL (
    SELECT e.id FROM exchanges AS e
    WHERE e.project_id = w.project_id AND e.conversation_id = w.id AND e.id <= w.last_id
        AND e.id >= $1::uuid AND e.id < $2::uuid
        /* and wanted */
    LIMIT $6::int8
) AS e;

-- beginnings: How conversations (project, id, last id) began, and when the last of their exchanges did.
SELECT
    w.id, e.started_at, e.model, e.upstream, e.end_user, e.key, t.request_preview AS title, l.started_at AS last_at
FROM unnest($1::int4[], $2::uuid[], $3::uuid[]) AS w (project_id, id, last_id)
LEFT JOIN LATERAL (
    SELECT * FROM exchanges AS e WHERE e.project_id = w.project_id AND e.id = w.id LIMIT 1
) AS e ON true
LEFT JOIN LATERAL (
    SELECT * FROM transcripts AS t WHERE t.project_id = w.project_id AND t.id = w.id LIMIT 1
) AS t ON true
LEFT JOIN LATERAL (
    SELECT * FROM exchanges AS e WHERE e.project_id = w.project_id AND e.id = w.last_id LIMIT 1
) AS l ON true;

-- sums: What the exchanges of some conversations (project, id, last id) add up to, so many of each at most.
SELECT w.id, s.* FROM unnest($1::int4[], $2::uuid[], $3::uuid[]) AS w (project_id, id, last_id)
CROSS JOIN LATERAL (
    SELECT
        count(*) AS counted, array_agg(DISTINCT m.model) FILTER (WHERE m.model IS NOT NULL) AS models,
        sum(m.input_tokens)::int8 AS input_tokens, sum(m.output_tokens)::int8 AS output_tokens, sum(m.cost) AS cost,
        count(*) FILTER (WHERE m.cost IS NULL AND m.cost_status <> 'repeated') AS unpriced
    FROM (
        SELECT coalesce(e.model, e.model_served) AS model, e.input_tokens, e.output_tokens, e.cost, e.cost_status FROM exchanges AS e
        WHERE e.project_id = w.project_id AND e.conversation_id = w.id AND e.id <= w.last_id
        LIMIT $4::int8
    ) AS m
) AS s;

-- conversation: One conversation, or the one that it was joined to.
SELECT c.project_id, c.id, c.last_id, c.exchanges, c.name
FROM conversations AS j
JOIN conversations AS c ON c.project_id = j.project_id AND c.id = coalesce(j.merged_into, j.id)
WHERE j.id = $1::uuid AND j.project_id = ANY($2::int4[]);

-- turns: The first exchanges of a conversation (project, id, last id), at most so many.
SELECT e.* FROM exchanges AS e
WHERE e.project_id = $1::int4 AND e.conversation_id = $2::uuid AND e.id <= $3::uuid
ORDER BY e.id
LIMIT $4::int8;
