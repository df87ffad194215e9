-- project: Of one project.
e.project_id = $1::int4

-- model: Asked this model.
e.model = $1::text

-- path: Called this path.
e.path = $1::text

-- method: By this method.
e.method = $1::text

-- status: Answered with one of these.
e.status = ANY($1::int2[])

-- other_statuses: Answered with one of these, 200 not among them: as the index has it.
e.status = ANY($1::int2[]) AND e.status <> 200

-- other_status: Answered with this, which is not 200.
e.status = $1::int2 AND e.status <> 200

-- outcome: Ended so.
e.outcome = $1::text

-- other_outcome: Ended so, and did not complete: as the index has it.
e.outcome = $1::text AND e.outcome <> 'completed'

-- user: Of this user.
e.end_user = $1::text

-- key: With this credential.
e.key = $1::text

-- upstream: At this upstream.
e.upstream = $1::text

-- upstream_id: Answered under this id.
e.upstream_id = $1::text

-- finish_reason: Whose answer ended so.
e.finish_reason = $1::text

-- stream: Streamed or not.
e.stream = $1::bool

-- conversation: Of a conversation, by its name or its id.
e.conversation_id = ANY(ARRAY(
    SELECT n.conversation_id FROM conversation_names AS n WHERE n.name = $1::text
) || $2::uuid)

-- conversation_of_project: The same within one project.
e.conversation_id = ANY(ARRAY(
    SELECT n.conversation_id FROM conversation_names AS n WHERE n.name = $1::text AND n.project_id = $3::int4
) || $2::uuid)

-- tags: With these tags.
e.tags @> $1::text::jsonb AND e.tags <> '{}'

-- tag_names: With tags of these names, whatever they say.
e.tags ?& $1::text[]

-- min_duration_us: That took so long or longer.
e.duration_us >= $1::int8

-- max_duration_us: That took so long or shorter.
e.duration_us <= $1::int8

-- min_ttft_us: That began to answer after so long or longer.
e.ttft_us >= $1::int8

-- max_ttft_us: That began to answer within so long.
e.ttft_us <= $1::int8

-- min_input_tokens: With so much input or more.
e.input_tokens >= $1::int8

-- max_input_tokens: With so much input or less.
e.input_tokens <= $1::int8

-- min_output_tokens: With so much output or more.
e.output_tokens >= $1::int8

-- max_output_tokens: With so much output or less.
e.output_tokens <= $1::int8

-- min_cost: That cost so much or more.
e.cost >= $1::numeric

-- max_cost: That cost so much or less.
e.cost <= $1::numeric

-- fact: Of whose facts this holds, ids between two.
EXISTS (
    SELECT FROM transcripts AS f
    WHERE f.project_id = e.project_id AND f.id = e.id AND f.id >= $1::uuid AND f.id < $2::uuid
        AND f.facts @@ $3::text::jsonpath
)

-- lacks_fact: Of whose facts, which are kept, this does not hold.
EXISTS (
    SELECT FROM transcripts AS f
    WHERE f.project_id = e.project_id AND f.id = e.id AND f.id >= $1::uuid AND f.id < $2::uuid
        AND f.facts IS NOT NULL AND (f.facts @@ $3::text::jsonpath) IS NOT TRUE
)

-- ids: One of these.
e.id = ANY($1::uuid[])

-- has_fact: Facts of which this holds.
e.facts @@ $1::text::jsonpath

-- has_user: Of some user.
e.end_user IS NOT NULL
