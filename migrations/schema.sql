-- The store's schema as it is after all migrations; tests/store/test_migrate.py compares the two.
--
-- Tables by month or week are partitioned by the exchange's id (a UUIDv7 begins with its time in milliseconds), so
-- that (project_id, id) is unique across partitions and a look-up by id touches one of them. `week` is the Monday, in
-- UTC, of the time in the id. There is no DEFAULT partition: a missing one is made when it is needed.

CREATE TABLE meta (
    key text PRIMARY KEY,
    value text NOT NULL
);

CREATE TABLE projects (
    id int4 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE exchanges (
    project_id int4 NOT NULL,
    id uuid NOT NULL,
    week date NOT NULL,
    started_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration_us int8 NOT NULL,
    ttft_us int8,
    method text NOT NULL,
    path text NOT NULL,
    query text NOT NULL,
    route text NOT NULL,
    upstream text NOT NULL,
    authority text NOT NULL,
    http_version text NOT NULL,
    model text,
    model_served text,
    status int2,
    outcome text NOT NULL,
    reason text,
    detail text,
    stream bool NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    request_sha256 bytea,
    response_sha256 bytea,
    request_complete bool NOT NULL,
    request_content_type text,
    request_content_encoding text,
    response_content_type text,
    response_content_encoding text,
    upstream_id text,
    answer_key bytea,
    finish_reason text,
    service_tier text,
    error_type text,
    error_code text,
    usage jsonb,
    usage_source text NOT NULL,
    input_tokens int8,
    cached_tokens int8,
    cache_write_tokens int8,
    output_tokens int8,
    reasoning_tokens int8,
    total_tokens int8,
    cost numeric,
    price_version text,
    end_user text,
    key text,
    key_tail text,
    conversation text,
    conversation_id uuid,
    tags jsonb NOT NULL DEFAULT '{}',
    retry_count int4 NOT NULL DEFAULT 0,
    capture_status text NOT NULL,
    log_mode text NOT NULL,
    recorder_id uuid NOT NULL,
    boot text NOT NULL,
    slot int2 NOT NULL,
    accept_number int8 NOT NULL,
    input_audio_tokens int8,
    output_audio_tokens int8,
    input_image_tokens int8,
    output_image_tokens int8,
    cost_status text,
    parent_id uuid,
    joined_by text,
    -- Set through OpenAI's read API; NULL: as the request had it.
    metadata jsonb,
    PRIMARY KEY (project_id, id)
) PARTITION BY RANGE (id);

CREATE INDEX exchanges_by_id ON exchanges (id);
CREATE INDEX exchanges_by_model ON exchanges (project_id, model, id);
CREATE INDEX exchanges_by_key ON exchanges (project_id, key, id);
CREATE INDEX exchanges_by_user ON exchanges (project_id, end_user, id) WHERE end_user IS NOT NULL;
CREATE INDEX exchanges_by_upstream_id ON exchanges (project_id, upstream_id) WHERE upstream_id IS NOT NULL;
CREATE INDEX exchanges_by_answer_key ON exchanges (project_id, answer_key, id) WHERE answer_key IS NOT NULL;
CREATE INDEX exchanges_by_request ON exchanges (project_id, substr(request_sha256, 1, 3), id)
    WHERE conversation_id IS NOT NULL AND request_sha256 IS NOT NULL;
CREATE INDEX exchanges_by_conversation ON exchanges (project_id, conversation_id)
    WHERE conversation_id IS NOT NULL;
CREATE INDEX exchanges_by_recorded_at ON exchanges (recorded_at);
-- What is rare, and lists in other orders than that of time.
CREATE INDEX exchanges_by_status ON exchanges (project_id, status, id) WHERE status <> 200;
CREATE INDEX exchanges_by_outcome ON exchanges (project_id, outcome, id) WHERE outcome <> 'completed';
CREATE INDEX exchanges_by_tags ON exchanges USING gin (tags jsonb_path_ops) WHERE tags <> '{}';
CREATE INDEX exchanges_by_duration ON exchanges (project_id, duration_us, id);
CREATE INDEX exchanges_by_tokens ON exchanges (project_id, total_tokens, id) WHERE total_tokens IS NOT NULL;
CREATE INDEX exchanges_by_cost ON exchanges (project_id, cost, id) WHERE cost IS NOT NULL;

-- What LOG=full keeps beyond the row in exchanges. Each of head, tip and tail is a node in pieces. A body that was cut is
-- the chain that ends in its head (tools, system prompt, large parts), the one that ends in its tip (the talk), and its
-- tail, a slice that says how the slices of both stand in the body and holds the rest; see app/store/layout.py. A body
-- kept whole has a tip alone, an empty one has none of the three.
CREATE TABLE transcripts (
    project_id int4 NOT NULL,
    id uuid NOT NULL,
    week date NOT NULL,
    request_headers bytea,
    response_headers bytea,
    trailers bytea,
    request_head bytea,
    request_tip bytea,
    request_tail bytea,
    response_head bytea,
    response_tip bytea,
    response_tail bytea,
    chunk_times bytea,
    request_preview text,
    response_preview text,
    facts jsonb,
    -- The row of messages that ends with what was said here.
    talk_tip uuid,
    PRIMARY KEY (project_id, id)
) PARTITION BY RANGE (id);

CREATE INDEX transcripts_by_facts ON transcripts USING gin (facts jsonb_path_ops) WITH (gin_pending_list_limit = 256);

-- Slices of bodies, and header lists, shared within one project and one week.
-- node = SHA-256(parent's node, or 32 zero bytes for a root, then the slice). The zero bytes keep a body that begins
-- with the 32 bytes of somebody's node from posing as the next slice of that one's chain.
-- coding: 0 as they were, 1 zstd, 2 zstd with the dictionary of app/store/dictionary.py. EXTERNAL: what is compressed is
-- not compressed again.
CREATE TABLE pieces (
    project_id int4 NOT NULL,
    week date NOT NULL,
    node bytea NOT NULL,
    parent bytea,
    raw_bytes int4 NOT NULL,
    coding int2 NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (project_id, week, node)
) PARTITION BY RANGE (week);

ALTER TABLE pieces ALTER COLUMN data SET STORAGE EXTERNAL;

-- The chain of meaning: who said what after what, whatever bytes it stood in. A row is a run, the turns that one
-- exchange added (those of its request that were not there, then its answer): `roles` and `kinds` have a letter a turn,
-- `content_keys` 16 bytes. `tip` is the hash of all turns up to the run's last, `parent` that of the run before.
CREATE TABLE messages (
    project_id int4 NOT NULL,
    week date NOT NULL,
    tip uuid NOT NULL,
    parent uuid,
    roles text NOT NULL,
    kinds text NOT NULL,
    content_keys bytea NOT NULL,
    PRIMARY KEY (project_id, week, tip)
) PARTITION BY RANGE (week);

-- Exchanges that continue each other (exchanges.conversation_id; parent_id is the one that it continues). `id` is that
-- of the exchange with which it began, whose preview is its title: so no words are here, and none outlive the content.
-- One that was joined to an older one points there and counts nothing. Not partitioned: a conversation may go on for
-- months, and a row is some 110 bytes with its index.
CREATE TABLE conversations (
    project_id int4 NOT NULL,
    id uuid NOT NULL,
    last_id uuid NOT NULL,
    exchanges int4 NOT NULL,
    name text,
    merged_into uuid,
    PRIMARY KEY (project_id, id)
) WITH (fillfactor = 85);

-- Names of conversations: the client's (x-verbatim-conversation), the provider's (conv_…, thread_…).
CREATE TABLE conversation_names (
    project_id int4 NOT NULL,
    source text NOT NULL,
    name text NOT NULL,
    conversation_id uuid NOT NULL,
    PRIMARY KEY (project_id, source, name)
);

CREATE INDEX conversation_names_by_conversation ON conversation_names (project_id, conversation_id);

-- Loose ends: answers that a request holds and no exchange has given yet (it may be recorded later, by another
-- recorder), and further answers (`is_offer`) of exchanges that gave several.
CREATE TABLE conversation_links (
    project_id int4 NOT NULL,
    link_key bytea NOT NULL,
    exchange_id uuid NOT NULL,
    is_offer bool NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, link_key, exchange_id)
);

CREATE INDEX conversation_links_by_time ON conversation_links (noted_at);

-- What was said for the first time in a conversation and week, folded (str.casefold), for search: a row a message, or
-- several messages that are U+001E apart where an exchange says more than 16. Where it is put first, and scanned.
-- `message` is the first message's place in the exchange. `casing` leads back to the letters as they were.
CREATE TABLE search_tail (
    project_id int4 NOT NULL,
    exchange_id uuid NOT NULL,
    message int4 NOT NULL,
    folded text COLLATE "C" NOT NULL,
    casing bytea,
    PRIMARY KEY (project_id, exchange_id, message)
) PARTITION BY RANGE (exchange_id);

ALTER TABLE search_tail ALTER COLUMN folded SET STORAGE EXTERNAL;

-- Where it goes from there: id = (segment * 1024 + block) * 16 + place in the block; an exchange is in one block. What
-- is said again is kept once a week: `same_as` is the row that has it. A row without an exchange was erased, and others
-- say the same. Long texts have a hash by which they are found again.
CREATE TABLE search_text (
    project_id int4 NOT NULL,
    week date NOT NULL,
    id int8 NOT NULL,
    exchange_id uuid,
    message int4 NOT NULL,
    same_as int8,
    text_hash int8,
    folded text COLLATE "C",
    casing bytea,
    PRIMARY KEY (project_id, week, id)
) PARTITION BY RANGE (week);

ALTER TABLE search_text ALTER COLUMN folded SET STORAGE EXTERNAL;

CREATE INDEX search_text_by_exchange ON search_text (project_id, exchange_id);
CREATE INDEX search_text_by_hash ON search_text (project_id, week, text_hash) WHERE text_hash IS NOT NULL;
CREATE INDEX search_text_by_holder ON search_text (project_id, week, same_as) WHERE same_as IS NOT NULL;

-- Closed segments: up to 1024 blocks, 8192 where eight were merged (level 1). `block_ids`: for each block the first 8
-- bytes of its first exchange's id and of its last's, little end first.
CREATE TABLE search_segments (
    project_id int4 NOT NULL,
    week date NOT NULL,
    segment int4 NOT NULL,
    level int2 NOT NULL,
    blocks int4 NOT NULL,
    first_id uuid NOT NULL,
    last_id uuid NOT NULL,
    block_ids bytea NOT NULL,
    PRIMARY KEY (project_id, week, segment, level)
) PARTITION BY RANGE (week);

ALTER TABLE search_segments ALTER COLUMN block_ids SET STORAGE EXTERNAL;

-- Their signatures: a matrix with a row for each hash of n-grams and a bit for each block that has them
-- (app/store/search/signature.py), in stripes of 8,192 rows. EXTERNAL, so that a row is read without the rest.
CREATE TABLE search_sig (
    project_id int4 NOT NULL,
    week date NOT NULL,
    segment int4 NOT NULL,
    level int2 NOT NULL,
    stripe int2 NOT NULL,
    bits bytea NOT NULL,
    PRIMARY KEY (project_id, week, segment, level, stripe)
) PARTITION BY RANGE (week);

ALTER TABLE search_sig ALTER COLUMN bits SET STORAGE EXTERNAL;

-- Sums, written with each batch. A value that is not there is '' here, so that it can stand in a key. `unpriced` counts
-- exchanges whose usage is known and whose cost is not: where it is above 0, `cost` is a lower bound. A histogram is one
-- number, twelve digits a bucket (app/store/histogram.py): so they are added as numbers are.
CREATE TABLE usage_hourly (
    project_id int4 NOT NULL,
    hour timestamptz NOT NULL,
    model text NOT NULL DEFAULT '',
    route text NOT NULL DEFAULT '',
    key text NOT NULL DEFAULT '',
    status_class int2 NOT NULL DEFAULT 0,
    outcome text NOT NULL DEFAULT '',
    exchanges int8 NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    input_tokens int8 NOT NULL,
    cached_tokens int8 NOT NULL,
    output_tokens int8 NOT NULL,
    reasoning_tokens int8 NOT NULL,
    cost numeric NOT NULL DEFAULT 0,
    duration_histogram numeric NOT NULL,
    ttft_histogram numeric NOT NULL,
    unpriced int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, hour, model, route, key, status_class, outcome)
) WITH (fillfactor = 70);

-- The same without model and key: few rows, for what is asked by hours.
CREATE TABLE usage_hourly_routes (
    project_id int4 NOT NULL,
    hour timestamptz NOT NULL,
    route text NOT NULL DEFAULT '',
    status_class int2 NOT NULL DEFAULT 0,
    outcome text NOT NULL DEFAULT '',
    exchanges int8 NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    input_tokens int8 NOT NULL,
    cached_tokens int8 NOT NULL,
    output_tokens int8 NOT NULL,
    reasoning_tokens int8 NOT NULL,
    cost numeric NOT NULL DEFAULT 0,
    unpriced int8 NOT NULL DEFAULT 0,
    duration_histogram numeric NOT NULL,
    ttft_histogram numeric NOT NULL,
    PRIMARY KEY (project_id, hour, route, status_class, outcome)
) WITH (fillfactor = 70);

-- The same by days.
CREATE TABLE usage_daily (
    project_id int4 NOT NULL,
    day date NOT NULL,
    model text NOT NULL DEFAULT '',
    route text NOT NULL DEFAULT '',
    key text NOT NULL DEFAULT '',
    status_class int2 NOT NULL DEFAULT 0,
    outcome text NOT NULL DEFAULT '',
    exchanges int8 NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    input_tokens int8 NOT NULL,
    cached_tokens int8 NOT NULL,
    output_tokens int8 NOT NULL,
    reasoning_tokens int8 NOT NULL,
    cost numeric NOT NULL DEFAULT 0,
    duration_histogram numeric NOT NULL,
    ttft_histogram numeric NOT NULL,
    unpriced int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, day, model, route, key, status_class, outcome)
) WITH (fillfactor = 70);

-- The same by weeks, model and key.
CREATE TABLE usage_weekly (
    project_id int4 NOT NULL,
    week date NOT NULL,
    model text NOT NULL DEFAULT '',
    key text NOT NULL DEFAULT '',
    exchanges int8 NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    input_tokens int8 NOT NULL,
    cached_tokens int8 NOT NULL,
    output_tokens int8 NOT NULL,
    reasoning_tokens int8 NOT NULL,
    cost numeric NOT NULL DEFAULT 0,
    unpriced int8 NOT NULL DEFAULT 0,
    errors int8 NOT NULL,
    duration_histogram numeric NOT NULL,
    ttft_histogram numeric NOT NULL,
    PRIMARY KEY (project_id, week, model, key)
) WITH (fillfactor = 70);

-- The same by days without key.
CREATE TABLE usage_daily_models (
    project_id int4 NOT NULL,
    day date NOT NULL,
    model text NOT NULL DEFAULT '',
    route text NOT NULL DEFAULT '',
    status_class int2 NOT NULL DEFAULT 0,
    outcome text NOT NULL DEFAULT '',
    exchanges int8 NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    input_tokens int8 NOT NULL,
    cached_tokens int8 NOT NULL,
    output_tokens int8 NOT NULL,
    reasoning_tokens int8 NOT NULL,
    cost numeric NOT NULL DEFAULT 0,
    duration_histogram numeric NOT NULL,
    ttft_histogram numeric NOT NULL,
    unpriced int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, day, model, route, status_class, outcome)
) WITH (fillfactor = 70);

CREATE TABLE usage_daily_users (
    project_id int4 NOT NULL,
    day date NOT NULL,
    end_user text NOT NULL,
    model text NOT NULL DEFAULT '',
    exchanges int8 NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    input_tokens int8 NOT NULL,
    cached_tokens int8 NOT NULL,
    output_tokens int8 NOT NULL,
    reasoning_tokens int8 NOT NULL,
    cost numeric NOT NULL DEFAULT 0,
    unpriced int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, day, end_user, model)
) WITH (fillfactor = 70);

-- Sums by tag, but of names with so many values that they would be as many as exchanges.
CREATE TABLE usage_daily_tags (
    project_id int4 NOT NULL,
    day date NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    exchanges int8 NOT NULL,
    request_bytes int8 NOT NULL,
    response_bytes int8 NOT NULL,
    input_tokens int8 NOT NULL,
    cached_tokens int8 NOT NULL,
    output_tokens int8 NOT NULL,
    reasoning_tokens int8 NOT NULL,
    cost numeric NOT NULL DEFAULT 0,
    unpriced int8 NOT NULL DEFAULT 0,
    errors int8 NOT NULL,
    duration_histogram numeric NOT NULL,
    ttft_histogram numeric NOT NULL,
    PRIMARY KEY (project_id, name, day, value)
) WITH (fillfactor = 70);

-- Which names of which days are not summed; '' for all of a day. They are summed at all since `meta.tags_summed_since`.
CREATE TABLE usage_unsummed_tags (
    project_id int4 NOT NULL,
    day date NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (project_id, day, name)
);

-- On which exchange the usage of a background response, a run or a batch was counted: such objects outlive the call
-- that made them and tell their usage at each poll. `object_sha256` is of the object's id.
CREATE TABLE usage_counted (
    project_id int4 NOT NULL,
    authority text NOT NULL,
    object_sha256 bytea NOT NULL,
    exchange_id uuid NOT NULL,
    counted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, authority, object_sha256)
);

-- The accounting: what became of the exchanges that began in one segment, written when the segment is let go.
CREATE TABLE segments (
    boot text NOT NULL,
    slot int2 NOT NULL,
    counter int8 NOT NULL,
    recorder_id uuid NOT NULL,
    first_accept_number int8,
    last_accept_number int8,
    recorded int8 NOT NULL,
    "off" int8 NOT NULL,
    quarantined int8 NOT NULL,
    expired int8 NOT NULL,
    erased int8 NOT NULL,
    dropped int8 NOT NULL,
    carried int8 NOT NULL,
    damaged_bytes int8 NOT NULL,
    torn_bytes int8 NOT NULL,
    let_go_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (boot, slot, counter)
);

CREATE TABLE recorders (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    lag_seconds float8 NOT NULL,
    journal_bytes int8 NOT NULL
);

-- What was asked to be erased. `value` (an exchange's id, a user, a key's fingerprint, a conversation's id or name) is
-- there until it is gone from the tables (`erased_at`); `until` bounds all but the first kind by when an exchange began.
CREATE TABLE erasures (
    id uuid PRIMARY KEY,
    project_id int4 NOT NULL,
    kind text NOT NULL CONSTRAINT erasures_kind CHECK (kind IN ('exchange', 'user', 'key', 'conversation')),
    value text,
    until timestamptz,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}'
);

-- Checked by the very statement that inserts, so that no journal brings back what was erased. They name nobody:
-- SHA-256 of `kind:value`.
CREATE TABLE tombstones (
    project_id int4 NOT NULL,
    value_sha256 bytea NOT NULL,
    erasure_id uuid NOT NULL,
    until timestamptz,
    PRIMARY KEY (project_id, value_sha256, erasure_id)
);

-- What a recorder did: exchanges that it stopped on their way, took from its quarantine, and files there that it cannot
-- read. `done_at`: since then nothing of it is on its disk.
CREATE TABLE erasure_progress (
    erasure_id uuid NOT NULL,
    recorder_id uuid NOT NULL,
    done_at timestamptz,
    stopped int8 NOT NULL DEFAULT 0,
    quarantined int8 NOT NULL DEFAULT 0,
    unreadable int8 NOT NULL DEFAULT 0,
    PRIMARY KEY (erasure_id, recorder_id)
);

-- What erased exchanges used and others may use, too: nodes in pieces (32 bytes) and tips in messages (16 bytes).
-- `kept`: others do.
CREATE TABLE erasure_nodes (
    project_id int4 NOT NULL,
    week date NOT NULL,
    node bytea NOT NULL,
    erasure_id uuid NOT NULL,
    kept bool NOT NULL DEFAULT false,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (project_id, week, node)
);

-- Segments of the search (eight of them from `segment` on) whose signatures have bits of erased texts, until they are
-- `signed` anew.
CREATE TABLE erasure_segments (
    project_id int4 NOT NULL,
    week date NOT NULL,
    segment int4 NOT NULL,
    erasure_id uuid NOT NULL,
    signed bool NOT NULL DEFAULT false,
    PRIMARY KEY (project_id, week, segment, erasure_id)
);

-- Tokens that read one project, which need not be there yet. What is kept of a token is its SHA-256.
CREATE TABLE read_tokens (
    id uuid PRIMARY KEY,
    token_sha256 bytea NOT NULL UNIQUE,
    project text NOT NULL,
    name text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

INSERT INTO meta (key, value) VALUES ('schema_version', '10'), ('min_writer', '4'), ('tags_summed_since', '1970-01-01');
