-- all: Tokens that read one project, the newest first.
SELECT id, token_sha256, project, name, created_at FROM read_tokens ORDER BY id DESC;

-- make: A token (id, SHA-256, project, name, most), unless there are so many.
INSERT INTO read_tokens (id, token_sha256, project, name)
SELECT $1::uuid, $2::bytea, $3::text, $4::text
WHERE (SELECT count(*) FROM read_tokens) < $5::int8
RETURNING id, token_sha256, project, name, created_at;

-- revoke: Takes a token away.
DELETE FROM read_tokens WHERE id = $1::uuid RETURNING id;
