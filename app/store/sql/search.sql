-- carried: Tells which answers that exchanges hold are of the week's talk that they go on with, by the same user and key.
SELECT w.number, w.node
FROM unnest($1::int4[], $2::int4[], $3::date[], $4::uuid[], $5::bytea[], $6::uuid[], $7::text[], $8::text[])
    AS w (number, project_id, week, node, link_key, parent_id, end_user, key)
JOIN messages AS m ON m.project_id = w.project_id AND m.week = w.week AND m.tip = w.node
JOIN exchanges AS e ON e.project_id = w.project_id AND e.id = w.parent_id
WHERE e.week = w.week AND e.log_mode = 'full' AND e.answer_key = w.link_key
    AND e.end_user IS NOT DISTINCT FROM w.end_user AND e.key IS NOT DISTINCT FROM w.key;

-- add_texts: Puts into the tail what exchanges said (project, exchange, message, folded text, casing).
INSERT INTO search_tail (project_id, exchange_id, message, folded, casing)
SELECT * FROM unnest($1::int4[], $2::uuid[], $3::int4[], $4::text[], $5::bytea[])
ON CONFLICT (project_id, exchange_id, message) DO NOTHING;

-- searched: Which of these exchanges between two ids are searched (ids, lowest id, highest id, first week, last week).
SELECT exchange_id FROM search_tail
WHERE exchange_id = ANY($1::uuid[]) AND exchange_id BETWEEN $2::uuid AND $3::uuid
UNION
SELECT exchange_id FROM search_text
WHERE project_id IN (SELECT id FROM projects) AND exchange_id = ANY($1::uuid[]) AND week BETWEEN $4::date AND $5::date;

-- parents: What some exchanges between two ids continue (ids, lowest id, highest id).
SELECT id, parent_id FROM exchanges
WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid AND parent_id IS NOT NULL;

-- erase_tail: Takes out of the tail what exchanges said (project, ids, lowest id, highest id).
DELETE FROM search_tail
WHERE project_id = $1::int4 AND exchange_id = ANY($2::uuid[]) AND exchange_id BETWEEN $3::uuid AND $4::uuid;

-- erase_names: Takes exchanges from texts that others say, too (project, ids, weeks).
UPDATE search_text AS s SET exchange_id = NULL, casing = NULL
WHERE s.project_id = $1::int4 AND s.exchange_id = ANY($2::uuid[]) AND s.week = ANY($3::date[])
    AND s.folded IS NOT NULL
    AND EXISTS (
        SELECT FROM search_text AS r
        WHERE r.project_id = s.project_id AND r.week = s.week AND r.same_as = s.id AND r.exchange_id <> ALL($2::uuid[])
    );

-- erase_texts: Takes out what exchanges said in closed segments (project, ids, weeks).
DELETE FROM search_text
WHERE project_id = $1::int4 AND exchange_id = ANY($2::uuid[]) AND week = ANY($3::date[])
RETURNING week, same_as;

-- erase_holders: Takes out texts that nobody says any more (project, weeks, ids of rows).
DELETE FROM search_text AS s
USING (SELECT DISTINCT week, id FROM unnest($2::date[], $3::int8[]) AS u (week, id)) AS w
WHERE s.project_id = $1::int4 AND s.week = w.week AND s.id = w.id AND s.exchange_id IS NULL
    AND NOT EXISTS (
        SELECT FROM search_text AS r WHERE r.project_id = s.project_id AND r.week = s.week AND r.same_as = s.id
    );

-- limit_searching: Keeps to indexes: a plan that reads a whole table for twenty blocks takes a hundred times as long.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_material = off;
SET LOCAL enable_memoize = off;
SET LOCAL max_parallel_workers_per_gather = 0;

-- tail_newest: The newest exchanges that say a word in the tail (project, word, from id, before id, limit).
SELECT exchange_id FROM search_tail
WHERE project_id = $1::int4 AND exchange_id >= $3::uuid AND exchange_id < $4::uuid AND strpos(folded, $2::text) > 0
ORDER BY exchange_id DESC
LIMIT $5::int8;

-- tail_oldest: The oldest exchanges that say a word in the tail (project, word, from id, before id, limit).
SELECT exchange_id FROM search_tail
WHERE project_id = $1::int4 AND exchange_id >= $3::uuid AND exchange_id < $4::uuid AND strpos(folded, $2::text) > 0
ORDER BY exchange_id
LIMIT $5::int8;

-- segments: Closed segments with exchanges between two ids (projects, weeks, from id, before id).
SELECT project_id, week, segment, level, blocks, first_id, last_id FROM search_segments
WHERE project_id = ANY($1::int4[]) AND week BETWEEN $2::date AND $3::date
    AND last_id >= $4::uuid AND first_id < $5::uuid;

-- block_ids: The bounds of the blocks of some segments (project, week, segments, level).
SELECT segment, block_ids FROM search_segments
WHERE project_id = $1::int4 AND week = $2::date AND segment = ANY($3::int4[]) AND level = $4::int2;

-- slices: Rows of segments' signatures (projects, weeks, segments, levels, bytes of a row, stripes, places, two weeks).
SELECT g.number, substring(s.bits FROM r.place * g.width + 1 FOR g.width) AS bits
FROM unnest($1::int4[], $2::date[], $3::int4[], $4::int2[], $5::int4[])
    WITH ORDINALITY AS g (project_id, week, segment, level, width, number)
CROSS JOIN unnest($6::int2[], $7::int4[]) AS r (stripe, place)
CROSS JOIN LATERAL (
    SELECT bits FROM search_sig
    WHERE project_id = g.project_id AND week = g.week AND week BETWEEN $8::date AND $9::date
        AND segment = g.segment AND level = g.level AND stripe = r.stripe
    OFFSET 0
) AS s;

-- verify_one: Exchanges of some blocks that say a word (project, week, blocks, word, from id, before id).
SELECT x.exchange_id
FROM unnest($3::int8[]) AS w (block)
CROSS JOIN LATERAL (
    SELECT s.exchange_id FROM search_text AS s
    WHERE s.project_id = $1::int4 AND s.week = $2::date AND s.id >= w.block * 16 AND s.id < w.block * 16 + 16
        AND s.exchange_id >= $5::uuid AND s.exchange_id < $6::uuid
        AND strpos(coalesce(s.folded, (
            SELECT h.folded FROM search_text AS h
            WHERE h.project_id = $1::int4 AND h.week = $2::date AND h.id = s.same_as
        )), $4::text) > 0
    OFFSET 0 -- block by block: else the planner reads the whole week once it is asked for some twenty
) AS x;

-- verify_many: The same for several words (how many of the first must be said, the others must not).
SELECT x.exchange_id
FROM unnest($3::int8[]) AS w (block)
CROSS JOIN LATERAL (
    SELECT t.exchange_id
    FROM (
        SELECT s.exchange_id, coalesce(s.folded, (
            SELECT h.folded FROM search_text AS h
            WHERE h.project_id = $1::int4 AND h.week = $2::date AND h.id = s.same_as
        )) AS folded
        FROM search_text AS s
        WHERE s.project_id = $1::int4 AND s.week = $2::date AND s.id >= w.block * 16 AND s.id < w.block * 16 + 16
            AND s.exchange_id >= $5::uuid AND s.exchange_id < $6::uuid
    ) AS t, LATERAL (
        SELECT bit_or(CASE WHEN strpos(t.folded, v.word) > 0 THEN 1 << (v.number::int4 - 1) ELSE 0 END) AS words
        FROM unnest($4::text[]) WITH ORDINALITY AS v (word, number)
    ) AS found
    GROUP BY t.exchange_id
    HAVING bit_or(found.words) = (1 << $7::int4) - 1
) AS x;

-- among: Which of these exchanges say the words (project, ids, words, how many of the first must be said, weeks).
SELECT t.exchange_id
FROM (
    SELECT i.id AS exchange_id, s.folded FROM unnest($2::uuid[]) AS i (id)
    JOIN search_tail AS s ON s.project_id = $1::int4 AND s.exchange_id = i.id
    UNION ALL
    SELECT i.id, coalesce(s.folded, (
        SELECT h.folded FROM search_text AS h
        WHERE h.project_id = $1::int4 AND h.week = s.week AND h.id = s.same_as
    ))
    FROM unnest($2::uuid[]) AS i (id)
    JOIN search_text AS s ON s.project_id = $1::int4 AND s.exchange_id = i.id AND s.week BETWEEN $5::date AND $6::date
) AS t, LATERAL (
    SELECT bit_or(CASE WHEN strpos(t.folded, v.word) > 0 THEN 1 << (v.number::int4 - 1) ELSE 0 END) AS words
    FROM unnest($3::text[]) WITH ORDINALITY AS v (word, number)
) AS found
GROUP BY t.exchange_id
HAVING bit_or(found.words) = (1 << $4::int4) - 1;

-- snippets: Where exchanges say words, once a word and row (project, ids, weeks, words, characters before and after).
SELECT t.exchange_id, t.message, t.casing, found.at_character,
    greatest(found.at_character - $6::int4, 1) AS from_character,
    substr(t.folded, greatest(found.at_character - $6::int4, 1), found.length + 2 * $6::int4) AS piece,
    length(t.folded) AS characters,
    length(substr(t.folded, 1, found.at_character)) - length(replace(substr(t.folded, 1, found.at_character), E'\x1e', ''))
        AS messages_before
FROM (
    SELECT i.id AS exchange_id, s.message, s.casing, s.folded FROM unnest($2::uuid[]) AS i (id)
    JOIN search_tail AS s ON s.project_id = $1::int4 AND s.exchange_id = i.id
    UNION ALL
    SELECT i.id, s.message, s.casing, coalesce(s.folded, (
        SELECT h.folded FROM search_text AS h
        WHERE h.project_id = $1::int4 AND h.week = s.week AND h.id = s.same_as
    ))
    FROM unnest($2::uuid[]) AS i (id)
    JOIN search_text AS s ON s.project_id = $1::int4 AND s.exchange_id = i.id AND s.week BETWEEN $3::date AND $4::date
) AS t, LATERAL (
    SELECT strpos(t.folded, v.word) AS at_character, length(v.word) AS length FROM unnest($5::text[]) AS v (word)
) AS found
WHERE found.at_character > 0
ORDER BY t.exchange_id, t.message, found.at_character;

-- lock_building: Lets one process at a time build; false where another one does. Released with the transaction.
SELECT pg_try_advisory_xact_lock(7594032149);

-- tails: Names of the weeks' tails.
SELECT c.relname::text AS partition_name
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'search_tail'::regclass AND NOT i.inhdetachpending
ORDER BY c.relname;

-- waiting: Texts and bytes of weeks' tails by project, counted up to a number of texts (first ids, end ids, most texts).
WITH RECURSIVE saying AS (
    SELECT w.number, w.first_id, w.end_id, t.project_id
    FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS w (first_id, end_id, number)
    CROSS JOIN LATERAL (
        SELECT project_id FROM search_tail
        WHERE exchange_id >= w.first_id AND exchange_id < w.end_id
        ORDER BY project_id LIMIT 1
    ) AS t
    UNION ALL
    SELECT p.number, p.first_id, p.end_id, t.project_id
    FROM saying AS p
    CROSS JOIN LATERAL (
        SELECT project_id FROM search_tail
        WHERE exchange_id >= p.first_id AND exchange_id < p.end_id AND project_id > p.project_id
        ORDER BY project_id LIMIT 1
    ) AS t
)
SELECT s.number, s.project_id, count(*) AS texts, sum(t.size_bytes) AS size_bytes
FROM saying AS s
CROSS JOIN LATERAL (
    SELECT octet_length(folded) AS size_bytes FROM search_tail
    WHERE project_id = s.project_id AND exchange_id >= s.first_id AND exchange_id < s.end_id
    ORDER BY exchange_id LIMIT $3::int8
) AS t
GROUP BY s.number, s.project_id;

-- take: The oldest texts of a week's tail (project, first id, end id, limit), within a number of bytes.
SELECT exchange_id, message, folded FROM (
    SELECT exchange_id, message, folded, sum(octet_length(folded)) OVER (ORDER BY exchange_id, message) AS so_far
    FROM (
        SELECT exchange_id, message, folded FROM search_tail
        WHERE project_id = $1::int4 AND exchange_id >= $2::uuid AND exchange_id < $3::uuid
        ORDER BY exchange_id, message
        LIMIT $4::int8
    ) AS oldest
) AS summed
WHERE so_far - octet_length(folded) < $5::int8
ORDER BY exchange_id, message;

-- next_segment: The number of the next segment (project, week).
SELECT coalesce(max(segment + CASE level WHEN 0 THEN 1 ELSE 8 END), 0)
FROM search_segments WHERE project_id = $1::int4 AND week = $2::date;

-- holders: Rows that have texts with one of these hashes (project, week, hashes).
SELECT id, text_hash, folded FROM search_text
WHERE project_id = $1::int4 AND week = $2::date AND text_hash = ANY($3::int8[]);

-- move: Moves texts from the tail into a segment (project, week, their columns, lowest exchange, highest exchange).
WITH placed AS (
    SELECT * FROM unnest($3::uuid[], $4::int4[], $5::int8[], $6::int8[], $7::int8[])
        AS p (exchange_id, message, id, text_hash, same_as)
), gone AS (
    DELETE FROM search_tail AS t USING placed AS p
    WHERE t.project_id = $1::int4 AND t.exchange_id = p.exchange_id AND t.message = p.message
        AND t.exchange_id BETWEEN $8::uuid AND $9::uuid
    RETURNING t.exchange_id, t.message, t.folded, t.casing, p.id, p.text_hash, p.same_as
)
INSERT INTO search_text (project_id, week, id, exchange_id, message, same_as, text_hash, folded, casing)
SELECT
    $1::int4, $2::date, id, exchange_id, message, same_as, CASE WHEN same_as IS NULL THEN text_hash END,
    CASE WHEN same_as IS NULL THEN folded END, casing
FROM gone ORDER BY id;

-- analyze_text: Writes the statement that counts what a partition of texts has, its texts aside (partition).
SELECT format('ANALYZE %I (project_id, week, id, exchange_id, same_as, text_hash)', $1::text);

-- add_segment: Notes a segment (project, week, segment, level, blocks, first id, last id, bounds of its blocks).
INSERT INTO search_segments (project_id, week, segment, level, blocks, first_id, last_id, block_ids)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- add_stripe: Writes a stripe of a signature (project, week, segment, level, stripe, bits).
INSERT INTO search_sig (project_id, week, segment, level, stripe, bits) VALUES ($1, $2, $3, $4, $5, $6);

-- mergeable: Segments that may be merged to one, eight or what is left of weeks before one: project, week, first number.
SELECT project_id, week, segment / 8 * 8 AS segment FROM search_segments
WHERE level = 0
GROUP BY project_id, week, segment / 8
HAVING count(*) = 8 OR (count(*) > 1 AND week < $1::date)
ORDER BY project_id, week, segment / 8
LIMIT 1;

-- to_sign_again: Eight segments whose signatures have bits of erased texts, or stripes of a former layout (first stripe).
(SELECT project_id, week, segment FROM erasure_segments WHERE NOT signed ORDER BY project_id, week, segment LIMIT 1)
UNION ALL
(
    SELECT project_id, week, segment / 8 * 8 FROM search_sig WHERE stripe < $1::int2
    ORDER BY project_id, week, segment LIMIT 1
)
LIMIT 1;

-- signed: Says that signatures were made anew (project, week, first segment).
UPDATE erasure_segments SET signed = true WHERE project_id = $1::int4 AND week = $2::date AND segment = $3::int4;

-- parts: The segments that are to be merged, in order (project, week, first segment).
SELECT segment, blocks, first_id, last_id, block_ids FROM search_segments
WHERE project_id = $1::int4 AND week = $2::date AND level = 0 AND segment >= $3::int4 AND segment < $3::int4 + 8
ORDER BY segment;

-- part_stripes: One stripe of each of them (project, week, first segment, stripe).
SELECT segment, bits FROM search_sig
WHERE project_id = $1::int4 AND week = $2::date AND level = 0 AND segment >= $3::int4 AND segment < $3::int4 + 8
    AND stripe = $4::int2
ORDER BY segment;

-- drop_segments: Forgets segments from one to before another (project, week, level).
DELETE FROM search_segments
WHERE project_id = $1::int4 AND week = $2::date AND level = $3::int2 AND segment >= $4::int4 AND segment < $5::int4;

-- drop_stripes: Forgets their signatures.
DELETE FROM search_sig
WHERE project_id = $1::int4 AND week = $2::date AND level = $3::int2 AND segment >= $4::int4 AND segment < $5::int4;

-- all_segments: Numbers of segments that have texts, by eight that may be merged.
SELECT project_id, week, (id / 131072)::int4 * 8 AS segment FROM search_text GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- segment_texts: The texts of some blocks (project, week, first row, end row).
SELECT s.id, s.exchange_id, coalesce(s.folded, (
    SELECT h.folded FROM search_text AS h
    WHERE h.project_id = $1::int4 AND h.week = $2::date AND h.id = s.same_as
)) AS folded
FROM search_text AS s
WHERE s.project_id = $1::int4 AND s.week = $2::date AND s.id >= $3::int8 AND s.id < $4::int8
ORDER BY s.id;
