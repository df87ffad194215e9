-- set_metadata: Sets an exchange's metadata (id, JSON); gives its project.
UPDATE exchanges SET metadata = $2::text::jsonb WHERE id = $1::uuid RETURNING project_id;

-- set_facts: Sets it in its facts, too, so that filters find it (project, id, JSON).
UPDATE transcripts
SET facts = jsonb_set(
    CASE WHEN facts ? 'request' THEN facts ELSE jsonb_set(coalesce(facts, '{}'), '{request}', '{}') END,
    '{request,metadata}', $3::text::jsonb
)
WHERE project_id = $1::int4 AND id = $2::uuid;
