-- by_indexes: Looks things up by indexes alone until the transaction ends: partitions grow faster than statistics.
SET LOCAL enable_seqscan = off;

-- find_answers: Exchanges (project, link key, from id, before id, before time, own id) that gave an answer, latest first.
  -- ANY of one key: ordered by the key, too, no plan can walk along all ids instead of along the key's.
SELECT
    w.project_id, w.link_key, c.id, c.started_at, c.conversation_id, c.parent_id, c.key, c.end_user,
    v.last_id, v.name, v.merged_into
FROM unnest($1::int4[], $2::bytea[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::uuid[])
    AS w (project_id, link_key, since, before, started_at, own_id)
CROSS JOIN LATERAL (
    SELECT e.id, e.started_at, e.conversation_id, e.parent_id, e.key, e.end_user
    FROM exchanges AS e
    WHERE e.project_id = w.project_id AND e.answer_key = ANY(ARRAY[w.link_key])
        AND e.id >= w.since AND e.id < w.before
        AND e.conversation_id IS NOT NULL AND (e.started_at, e.id) < (w.started_at, w.own_id)
    ORDER BY e.answer_key DESC, e.id DESC
    LIMIT 16
) AS c
LEFT JOIN conversations AS v ON v.project_id = w.project_id AND v.id = c.conversation_id;

-- find_alike: Exchanges (project, first half of a link key, from id, before id) that gave an answer after other talk.
SELECT
    w.project_id, w.link_key, c.id, c.started_at, c.conversation_id, c.parent_id, c.key, c.end_user,
    v.last_id, v.name, v.merged_into
FROM unnest($1::int4[], $2::bytea[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::uuid[])
    AS w (project_id, link_key, since, before, started_at, own_id)
CROSS JOIN LATERAL (
    SELECT e.id, e.started_at, e.conversation_id, e.parent_id, e.key, e.end_user
    FROM exchanges AS e
    WHERE e.project_id = w.project_id AND e.id >= w.since AND e.id < w.before AND e.conversation_id IS NOT NULL
        AND e.answer_key >= w.link_key AND e.answer_key < w.link_key || '\xffffffffffffffffff'::bytea
    LIMIT 64
) AS c
LEFT JOIN conversations AS v ON v.project_id = w.project_id AND v.id = c.conversation_id;

-- find_offers: The same as find_answers for further answers of exchanges that gave several.
SELECT
    w.project_id, w.link_key, e.id, e.started_at, e.conversation_id, e.parent_id, e.key, e.end_user,
    v.last_id, v.name, v.merged_into
FROM unnest($1::int4[], $2::bytea[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::uuid[])
    AS w (project_id, link_key, since, before, started_at, own_id)
CROSS JOIN LATERAL (
    SELECT exchange_id
    FROM conversation_links AS l
    WHERE l.project_id = w.project_id AND l.link_key = w.link_key AND l.is_offer
        AND l.exchange_id >= w.since AND l.exchange_id < w.before
    ORDER BY exchange_id DESC
    LIMIT 16
) AS l
JOIN exchanges AS e ON e.project_id = w.project_id AND e.id = l.exchange_id
LEFT JOIN conversations AS v ON v.project_id = w.project_id AND v.id = e.conversation_id
WHERE e.conversation_id IS NOT NULL;

-- find_responses: The first exchange that showed each of these answers (project, upstream's id, before id).
SELECT
    w.project_id, w.upstream_id, c.id, c.started_at, c.conversation_id, c.parent_id, c.key, c.end_user,
    v.last_id, v.name, v.merged_into
FROM unnest($1::int4[], $2::text[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::uuid[])
    AS w (project_id, upstream_id, since, before, started_at, own_id)
CROSS JOIN LATERAL (
    SELECT e.id, e.started_at, e.conversation_id, e.parent_id, e.key, e.end_user
    FROM exchanges AS e
    WHERE e.project_id = w.project_id AND e.upstream_id = ANY(ARRAY[w.upstream_id])
        AND e.id >= w.since AND e.id < w.before
        AND e.conversation_id IS NOT NULL AND (e.started_at, e.id) < (w.started_at, w.own_id)
    ORDER BY e.upstream_id, e.id
    LIMIT 1
) AS c
LEFT JOIN conversations AS v ON v.project_id = w.project_id AND v.id = c.conversation_id;

-- find_requests: The latest exchange with the same request (project, SHA-256, key, from id, before id).
SELECT
    w.project_id, w.sha256, c.id, c.started_at, c.conversation_id, c.parent_id, c.key, c.end_user,
    v.last_id, v.name, v.merged_into
FROM unnest($1::int4[], $2::bytea[], $3::text[], $4::uuid[], $5::uuid[], $6::timestamptz[], $7::uuid[])
    AS w (project_id, sha256, key, since, before, started_at, own_id)
CROSS JOIN LATERAL (
    SELECT e.id, e.started_at, e.conversation_id, e.parent_id, e.key, e.end_user
    FROM exchanges AS e
    WHERE e.project_id = w.project_id
        AND substr(e.request_sha256, 1, 3) = ANY(ARRAY[substr(w.sha256, 1, 3)])
        AND e.request_sha256 = w.sha256 AND e.id >= w.since AND e.id < w.before
        AND e.key IS NOT DISTINCT FROM w.key AND e.conversation_id IS NOT NULL
        AND (e.started_at, e.id) < (w.started_at, w.own_id)
    ORDER BY substr(e.request_sha256, 1, 3) DESC, e.id DESC
    LIMIT 1
) AS c
LEFT JOIN conversations AS v ON v.project_id = w.project_id AND v.id = c.conversation_id;

-- find_names: Conversations by their names (project, who gave it, name).
SELECT n.project_id, n.source, n.name, coalesce(v.merged_into, n.conversation_id) AS conversation_id, v.last_id
FROM unnest($1::int4[], $2::text[], $3::text[]) AS w (project_id, source, name)
JOIN conversation_names AS n USING (project_id, source, name)
LEFT JOIN conversations AS v ON v.project_id = n.project_id AND v.id = n.conversation_id;

-- lock_merging: Lets one batch at a time make one of two conversations; released with the transaction.
SELECT pg_advisory_xact_lock(7594032150);

-- lock_conversations: Locks conversations (project, id), in the order that all batches share.
SELECT c.project_id, c.id, c.merged_into
FROM conversations AS c
JOIN unnest($1::int4[], $2::uuid[]) AS w (project_id, id) USING (project_id, id)
ORDER BY c.project_id, c.id
FOR UPDATE OF c;

-- count_in: Adds exchanges to conversations, in their order; gives those that were joined to older ones meanwhile.
WITH counted AS (
    INSERT INTO conversations AS c (project_id, id, last_id, exchanges, name)
    SELECT project_id, id, last_id, exchanges, name
    FROM unnest($1::int4[], $2::uuid[], $3::uuid[], $4::int4[], $5::text[]) AS w (project_id, id, last_id, exchanges, name)
    ORDER BY project_id, id
    ON CONFLICT (project_id, id) DO UPDATE SET
        last_id = greatest(c.last_id, excluded.last_id),
        exchanges = c.exchanges + excluded.exchanges,
        name = coalesce(c.name, excluded.name)
    RETURNING project_id, id, merged_into
)
SELECT project_id, id, merged_into FROM counted WHERE merged_into IS NOT NULL;

-- add_names: Names conversations (project, who gave it, name, id), in order; the first one stays.
INSERT INTO conversation_names (project_id, source, name, conversation_id)
SELECT * FROM unnest($1::int4[], $2::text[], $3::text[], $4::uuid[])
ORDER BY 1, 2, 3
ON CONFLICT (project_id, source, name) DO NOTHING;

-- other_names: Names (project, who gave it, name, id) that are another conversation's.
SELECT n.project_id, w.conversation_id AS id, n.conversation_id AS other_id
FROM unnest($1::int4[], $2::text[], $3::text[], $4::uuid[]) AS w (project_id, source, name, conversation_id)
JOIN conversation_names AS n USING (project_id, source, name)
WHERE n.conversation_id <> w.conversation_id;

-- add_links: Notes loose ends (project, link key, exchange, is an offer), in order, at most 8 for a key.
INSERT INTO conversation_links (project_id, link_key, exchange_id, is_offer)
SELECT w.project_id, w.link_key, w.exchange_id, w.is_offer
FROM unnest($1::int4[], $2::bytea[], $3::uuid[], $4::bool[]) AS w (project_id, link_key, exchange_id, is_offer)
WHERE (
    SELECT count(*) FROM (
        SELECT FROM conversation_links AS l
        WHERE l.project_id = w.project_id AND l.link_key = w.link_key
        LIMIT 8
    ) AS there
) < 8
ORDER BY 1, 2, 3
ON CONFLICT (project_id, link_key, exchange_id) DO NOTHING;

-- find_waiting: Exchanges that wait for answers (project, link key, id of who gave it): what continues what.
SELECT
    w.project_id, w.link_key, e.id, e.conversation_id, v.name, w.giver_id,
    g.conversation_id AS giver_conversation_id, gv.name AS giver_name
FROM unnest($1::int4[], $2::bytea[], $3::uuid[]) AS w (project_id, link_key, giver_id)
JOIN conversation_links AS l
    ON l.project_id = w.project_id AND l.link_key = w.link_key AND NOT l.is_offer
JOIN exchanges AS e ON e.project_id = l.project_id AND e.id = l.exchange_id
JOIN exchanges AS g
    ON g.project_id = w.project_id AND g.id = w.giver_id AND (g.started_at, g.id) < (e.started_at, e.id)
LEFT JOIN conversations AS v ON v.project_id = e.project_id AND v.id = e.conversation_id
LEFT JOIN conversations AS gv ON gv.project_id = g.project_id AND gv.id = g.conversation_id
WHERE e.conversation_id IS NOT NULL AND g.conversation_id IS NOT NULL
ORDER BY w.project_id, e.id;

-- find_crossed: Loose ends noted within the last minutes ($1 seconds) whose answers were recorded at the same time.
SELECT l.project_id, l.link_key, g.id AS giver_id
FROM conversation_links AS l
CROSS JOIN LATERAL (
    SELECT e.id FROM exchanges AS e
    WHERE e.project_id = l.project_id AND e.answer_key = ANY(ARRAY[l.link_key])
        AND e.id <> l.exchange_id AND e.conversation_id IS NOT NULL
    ORDER BY e.answer_key DESC, e.id DESC
    LIMIT 1
) AS g
WHERE NOT l.is_offer AND l.noted_at > clock_timestamp() - make_interval(secs => $1);

-- forget_links: Forgets loose ends older than a number of days.
DELETE FROM conversation_links WHERE noted_at < clock_timestamp() - make_interval(days => $1);

-- adopt: Says what an exchange (project, id) continues, and by what.
UPDATE exchanges SET parent_id = $3, joined_by = $4 WHERE project_id = $1 AND id = $2;

-- unlink: Removes loose ends that are tied (project, link key, exchange).
DELETE FROM conversation_links AS l
USING unnest($1::int4[], $2::bytea[], $3::uuid[]) AS w (project_id, link_key, exchange_id)
WHERE l.project_id = w.project_id AND l.link_key = w.link_key AND l.exchange_id = w.exchange_id AND NOT l.is_offer;

-- move: Moves the exchanges of a conversation (project, from, to).
UPDATE exchanges SET conversation_id = $3 WHERE project_id = $1 AND conversation_id = $2;

-- merge: Adds a conversation's count to another's and points it there (project, from, to).
WITH younger AS (
    SELECT last_id, exchanges, name FROM conversations WHERE project_id = $1 AND id = $2
), older AS (
    UPDATE conversations AS c SET
        last_id = greatest(c.last_id, y.last_id),
        exchanges = c.exchanges + y.exchanges,
        name = coalesce(c.name, y.name)
    FROM younger AS y
    WHERE c.project_id = $1 AND c.id = $3
), named AS (
    UPDATE conversation_names SET conversation_id = $3 WHERE project_id = $1 AND conversation_id = $2
)
UPDATE conversations SET merged_into = $3, exchanges = 0, name = NULL WHERE project_id = $1 AND id = $2;

-- known_runs: Which ends of runs are there (project, week, tip).
SELECT project_id, week, tip FROM messages
JOIN unnest($1::int4[], $2::date[], $3::uuid[]) AS w (project_id, week, tip) USING (project_id, week, tip);

-- insert_runs: Inserts runs of what was said, in order, that are not there yet.
INSERT INTO messages (project_id, week, tip, parent, roles, kinds, content_keys)
SELECT * FROM unnest($1::int4[], $2::date[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::bytea[])
ORDER BY 1, 2, 3
ON CONFLICT (project_id, week, tip) DO NOTHING;

-- forget_conversations: Forgets conversations and their names of which nothing began at this id or later.
WITH gone AS (
    DELETE FROM conversations WHERE last_id < $1::uuid RETURNING project_id, id
)
DELETE FROM conversation_names AS n USING gone WHERE n.project_id = gone.project_id AND n.conversation_id = gone.id;
