-- transcripts: Where the bodies and header lists of some exchanges of some projects are, ids between two bounds.
SELECT
    project_id, id, week, request_headers, response_headers, trailers, request_head, request_tip, request_tail,
    response_head, response_tip, response_tail
FROM transcripts
WHERE project_id = ANY($1::int4[]) AND id = ANY($2::uuid[]) AND id BETWEEN $3::uuid AND $4::uuid;

-- chains: The slices that lead to any of some ends (project, week, ends), each once, without their bytes.
WITH RECURSIVE walk AS (
    SELECT node, parent, raw_bytes FROM pieces WHERE project_id = $1 AND week = $2 AND node = ANY($3::bytea[])
    UNION
    SELECT p.node, p.parent, p.raw_bytes
    FROM walk AS w JOIN pieces AS p ON p.project_id = $1 AND p.week = $2 AND p.node = w.parent
)
SELECT node, parent, raw_bytes FROM walk;

-- slices: Slices by their nodes.
SELECT node, parent, raw_bytes, coding, data FROM pieces
WHERE project_id = $1 AND week = $2 AND node = ANY($3::bytea[]);
