-- list_newest: A page of exchanges between two ids, newest first.
SELECT e.* FROM exchanges AS e
WHERE e.id >= $1::uuid AND e.id < $2::uuid
    /* and wanted */
ORDER BY e.id DESC
LIMIT $3::int8;

-- list_oldest: A page of exchanges between two ids, oldest first.
SELECT e.* FROM exchanges AS e
WHERE e.id >= $1::uuid AND e.id < $2::uuid
    /* and wanted */
ORDER BY e.id
LIMIT $3::int8;

-- edge_newest: The id that so many exchanges between two ids lie above.
SELECT id FROM exchanges WHERE id >= $1::uuid AND id < $2::uuid ORDER BY id DESC OFFSET $3::int8 LIMIT 1;

-- edge_oldest: The id that so many exchanges between two ids lie below.
SELECT id FROM exchanges WHERE id >= $1::uuid AND id < $2::uuid ORDER BY id OFFSET $3::int8 LIMIT 1;

-- exchanges: Exchanges by their ids, which are between two.
SELECT * FROM exchanges WHERE id = ANY($1::uuid[]) AND id BETWEEN $2::uuid AND $3::uuid;

-- among: Those of some exchanges that are between two ids and wanted.
SELECT e.project_id, e.id FROM exchanges AS e
WHERE e.id = ANY($3::uuid[]) AND e.id >= $1::uuid AND e.id < $2::uuid
    /* and wanted */;

-- matching: Some exchanges between two ids that are wanted, in no order.
SELECT e.project_id, e.id FROM exchanges AS e
WHERE e.id >= $1::uuid AND e.id < $2::uuid
    /* and wanted */
LIMIT $3::int8;

-- by_inverted_indexes: Has a probe use an inverted index, whatever the planner thinks of it.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_indexscan = off;
SET LOCAL enable_indexonlyscan = off;

-- by_any_index: Leaves the planner its choice again.
SET LOCAL enable_seqscan = on;
SET LOCAL enable_indexscan = on;
SET LOCAL enable_indexonlyscan = on;

-- few_facts: Some exchanges between two ids with these facts, in no order.
SELECT e.project_id, e.id FROM transcripts AS e
WHERE e.id >= $1::uuid AND e.id < $2::uuid
    /* and wanted */
LIMIT $3::int8;

-- few_tags: Some exchanges between two ids with these tags, in no order.
SELECT e.project_id, e.id FROM exchanges AS e
WHERE e.id >= $1::uuid AND e.id < $2::uuid
    /* and wanted */
LIMIT $3::int8;

-- count: How many exchanges between two ids are wanted, at most so many.
SELECT count(*) FROM (
    SELECT FROM exchanges AS e
    WHERE e.id >= $1::uuid AND e.id < $2::uuid
        /* and wanted */
    LIMIT $3::int8
) AS counted;

-- place: Where an exchange of one of some projects stands in each order.
SELECT duration_us AS duration_ms, total_tokens, cost FROM exchanges
WHERE id = $1::uuid AND project_id = ANY($2::int4[]);

-- duration_most: Exchanges of projects by duration_us, most first (from id, before id, limit, skipped, projects, after place, to place).
SELECT e.* FROM unnest($5::int4[]) AS p (id) CROSS JOIN LATERAL (
    SELECT * FROM exchanges AS e
    WHERE e.project_id = p.id AND e.id >= $1::uuid AND e.id < $2::uuid
        AND ($6::int8 IS NULL OR (e.duration_us, e.id) < ($6, $7::uuid))
        AND ($8::int8 IS NULL OR (e.duration_us, e.id) >= ($8, $9::uuid))
        /* and wanted */
    ORDER BY e.duration_us DESC, e.id DESC
    LIMIT $3::int8 + $4::int8
) AS e
ORDER BY e.duration_us DESC, e.id DESC
LIMIT $3::int8 OFFSET $4::int8;

-- duration_least: Exchanges of projects by duration_us, least first (from id, before id, limit, skipped, projects, after place, to place).
SELECT e.* FROM unnest($5::int4[]) AS p (id) CROSS JOIN LATERAL (
    SELECT * FROM exchanges AS e
    WHERE e.project_id = p.id AND e.id >= $1::uuid AND e.id < $2::uuid
        AND ($6::int8 IS NULL OR (e.duration_us, e.id) > ($6, $7::uuid))
        AND ($8::int8 IS NULL OR (e.duration_us, e.id) <= ($8, $9::uuid))
        /* and wanted */
    ORDER BY e.duration_us, e.id
    LIMIT $3::int8 + $4::int8
) AS e
ORDER BY e.duration_us, e.id
LIMIT $3::int8 OFFSET $4::int8;

-- tokens_most: Exchanges of projects by total_tokens, most first (from id, before id, limit, skipped, projects, after place, to place).
SELECT e.* FROM unnest($5::int4[]) AS p (id) CROSS JOIN LATERAL (
    SELECT * FROM exchanges AS e
    WHERE e.project_id = p.id AND e.id >= $1::uuid AND e.id < $2::uuid AND e.total_tokens IS NOT NULL
        AND ($6::int8 IS NULL OR (e.total_tokens, e.id) < ($6, $7::uuid))
        AND ($8::int8 IS NULL OR (e.total_tokens, e.id) >= ($8, $9::uuid))
        /* and wanted */
    ORDER BY e.total_tokens DESC, e.id DESC
    LIMIT $3::int8 + $4::int8
) AS e
ORDER BY e.total_tokens DESC, e.id DESC
LIMIT $3::int8 OFFSET $4::int8;

-- tokens_least: Exchanges of projects by total_tokens, least first (from id, before id, limit, skipped, projects, after place, to place).
SELECT e.* FROM unnest($5::int4[]) AS p (id) CROSS JOIN LATERAL (
    SELECT * FROM exchanges AS e
    WHERE e.project_id = p.id AND e.id >= $1::uuid AND e.id < $2::uuid AND e.total_tokens IS NOT NULL
        AND ($6::int8 IS NULL OR (e.total_tokens, e.id) > ($6, $7::uuid))
        AND ($8::int8 IS NULL OR (e.total_tokens, e.id) <= ($8, $9::uuid))
        /* and wanted */
    ORDER BY e.total_tokens, e.id
    LIMIT $3::int8 + $4::int8
) AS e
ORDER BY e.total_tokens, e.id
LIMIT $3::int8 OFFSET $4::int8;

-- cost_most: Exchanges of projects by cost, most first (from id, before id, limit, skipped, projects, after place, to place).
SELECT e.* FROM unnest($5::int4[]) AS p (id) CROSS JOIN LATERAL (
    SELECT * FROM exchanges AS e
    WHERE e.project_id = p.id AND e.id >= $1::uuid AND e.id < $2::uuid AND e.cost IS NOT NULL
        AND ($6::numeric IS NULL OR (e.cost, e.id) < ($6, $7::uuid))
        AND ($8::numeric IS NULL OR (e.cost, e.id) >= ($8, $9::uuid))
        /* and wanted */
    ORDER BY e.cost DESC, e.id DESC
    LIMIT $3::int8 + $4::int8
) AS e
ORDER BY e.cost DESC, e.id DESC
LIMIT $3::int8 OFFSET $4::int8;

-- cost_least: Exchanges of projects by cost, least first (from id, before id, limit, skipped, projects, after place, to place).
SELECT e.* FROM unnest($5::int4[]) AS p (id) CROSS JOIN LATERAL (
    SELECT * FROM exchanges AS e
    WHERE e.project_id = p.id AND e.id >= $1::uuid AND e.id < $2::uuid AND e.cost IS NOT NULL
        AND ($6::numeric IS NULL OR (e.cost, e.id) > ($6, $7::uuid))
        AND ($8::numeric IS NULL OR (e.cost, e.id) <= ($8, $9::uuid))
        /* and wanted */
    ORDER BY e.cost, e.id
    LIMIT $3::int8 + $4::int8
) AS e
ORDER BY e.cost, e.id
LIMIT $3::int8 OFFSET $4::int8;
