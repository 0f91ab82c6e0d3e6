-- services/kernel/migrations/0001_event_store.sql
-- Why   one append-only log per service is the source of truth; the outbox says what Kafka has not been given yet
-- Locks none, new tables.  Time under 1 s.  Undo  forward only

-- Requests run as this role: it owns nothing, so row-level security binds it.
DO $$ BEGIN
    CREATE ROLE openitem_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- Roles belong to the server, shared by all databases.
END $$;

-- The branches that the present transaction may see: '*', or codes joined by commas. Unset means none.
CREATE FUNCTION may_see(branch text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE current_setting('openitem.branches', true)
        WHEN '*' THEN true
        ELSE branch = ANY (string_to_array(coalesce(current_setting('openitem.branches', true), ''), ','))
    END
$$;

CREATE TABLE streams (
    stream  text PRIMARY KEY,                           -- 'invoice-<uuid>'
    version int  NOT NULL CHECK (version > 0)           -- the optimistic lock: compared and set
);

CREATE TABLE events (
    position       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream         text        NOT NULL REFERENCES streams,
    stream_version int         NOT NULL,
    event_id       uuid        NOT NULL DEFAULT uuidv7() UNIQUE,
    type           text        NOT NULL,                -- the wire name, 'openitem.invoice.issued.v1'
    branch         text        NOT NULL,
    effective_on   date        NOT NULL,                -- when it is true in the business
    data           json        NOT NULL,                -- exactly the bytes that are published
    actor          text        NOT NULL,
    correlation_id text        NOT NULL,
    causation_id   text,
    traceparent    text,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (stream, stream_version)                     -- a second guard: a bug in one is caught by the other
);

-- Sequence order is not commit order, so nobody may remember "the last position I saw": a late commit would be skipped
-- for ever. Membership in the outbox says what is unpublished. The relay moves rows from here to `published`, giving
-- each a dense seq in the same statement, before the first send, so a crash resends the same seq. Neither names
-- `events` as a foreign key: both are only ever filled from it by one statement, and a check per row costs on every append.
CREATE TABLE outbox (position bigint PRIMARY KEY) WITH (
    -- A queue: rows come and go. Swept often, or the relay would step over millions of dead ones to find the lowest.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0
);
CREATE TABLE published (
    seq      bigint PRIMARY KEY,
    position bigint NOT NULL UNIQUE
);
CREATE TABLE relay (
    one              boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq_assigned     bigint NOT NULL DEFAULT 0,         -- the highest seq given
    seq_acknowledged bigint NOT NULL DEFAULT 0,         -- every seq up to here is in Kafka
    CHECK (seq_acknowledged <= seq_assigned)
) WITH (fillfactor = 50);                               -- one row, always rewritten: within its page
INSERT INTO relay DEFAULT VALUES;

CREATE TABLE commands (
    actor       text        NOT NULL,
    key         text        NOT NULL,                   -- Idempotency-Key, or the id of the fact that caused it
    request     bytea       NOT NULL,                   -- hash of what was asked
    answer      json        NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (actor, key)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is not allowed: facts are never changed', TG_OP, TG_TABLE_NAME USING ERRCODE = 'OI003';
END $$;
CREATE TRIGGER events_are_final BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Appends facts to any number of streams and stores the answer, all or nothing, in one round trip.
--   names, expected   the streams touched, each once, sorted by name; 0 means it must not exist yet
--   e_*               the facts in order; e_stream indexes `names` from 1. None: only the answer is stored
--   answers           the position of the last fact, null where there is none; the stored answer has it as `position`
-- Errors  OI001 a stream has another version than expected. OI002 the command key is already answered.
-- Locks   the stream rows, in name order, so that two decisions over the same streams cannot deadlock.
CREATE FUNCTION append(
    names text[], expected int[],
    e_stream int[], e_version int[], e_type text[], e_branch text[], e_effective date[], e_data text[],
    e_correlation text[], e_causation text[], e_traceparent text[],
    p_actor text, p_key text, p_request bytea, p_answer text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    fresh int;
    moved int;
    last  bigint;
BEGIN
    IF cardinality(names) > 1 THEN
        PERFORM 1 FROM streams WHERE stream = ANY (names) ORDER BY stream FOR UPDATE;
    END IF;
    WITH touched AS (
        SELECT names[e.i] AS stream, expected[e.i] AS version, expected[e.i] + count(*)::int AS next
        FROM unnest(e_stream) AS e(i) GROUP BY e.i
    ), created AS (
        INSERT INTO streams SELECT stream, next FROM touched WHERE version = 0 ORDER BY stream
        ON CONFLICT DO NOTHING RETURNING 1
    ), advanced AS (
        UPDATE streams s SET version = t.next FROM touched t
        WHERE t.version > 0 AND s.stream = t.stream AND s.version = t.version RETURNING 1
    )
    SELECT (SELECT count(*) FROM created) + (SELECT count(*) FROM advanced), (SELECT count(*) FROM touched)
    INTO moved, fresh;
    IF moved <> fresh THEN
        RAISE EXCEPTION 'a stream moved on' USING ERRCODE = 'OI001';
    END IF;

    WITH added AS (
        INSERT INTO events (stream, stream_version, type, branch, effective_on, data,
                            actor, correlation_id, causation_id, traceparent)
        SELECT names[e.stream], e.version, e.type, e.branch, e.effective, e.data::json,
               p_actor, e.correlation, e.causation, e.traceparent
        FROM unnest(e_stream, e_version, e_type, e_branch, e_effective, e_data,
                    e_correlation, e_causation, e_traceparent) WITH ORDINALITY
             AS e(stream, version, type, branch, effective, data, correlation, causation, traceparent, i)
        ORDER BY e.i
        RETURNING position
    ), queued AS (
        INSERT INTO outbox SELECT position FROM added
    )
    SELECT max(position) INTO last FROM added;

    -- Last, because the answer tells the position too: a repeat must be answered like the first time.
    IF p_key IS NOT NULL THEN
        INSERT INTO commands (actor, key, request, answer)
        VALUES (p_actor, p_key, p_request, (p_answer::jsonb || jsonb_build_object('position', last))::json)
        ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'command % was answered before', p_key USING ERRCODE = 'OI002';
        END IF;
    END IF;
    RETURN last;
END $$;

ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY branch_only ON events USING (may_see(branch));

GRANT SELECT, INSERT ON events, commands TO openitem_app;
GRANT SELECT, INSERT, UPDATE ON streams TO openitem_app;
GRANT SELECT, INSERT, DELETE ON outbox TO openitem_app;
GRANT SELECT, INSERT ON published TO openitem_app;
GRANT SELECT, UPDATE ON relay TO openitem_app;
GRANT SELECT ON SEQUENCE events_position_seq TO openitem_app;  -- The relay asks how far positions have been drawn.
