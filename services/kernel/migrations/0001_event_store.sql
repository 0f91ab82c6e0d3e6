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
    stream         text        NOT NULL,                -- no foreign key: `append` writes the stream first, and it alone
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
-- `events` as a foreign key, nor do events name their stream: each is only ever filled by one statement that has just seen
-- the other, no role of ours may delete from either, and the check per row was a fifth of an append (38 to 31 us a fact).
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

-- When the newest committed fact of this store was recorded. As its owner, because row-level security would have
-- a caller of one branch look through everybody else's facts to find one of his own.
CREATE FUNCTION last_recorded_at() RETURNS timestamptz LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1
$$;
REVOKE ALL ON FUNCTION last_recorded_at() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION last_recorded_at() TO openitem_app;

-- Appends facts to any number of streams and stores the answers to the commands they follow from, all or nothing, in one
-- round trip.
--   s_*   the streams touched, each once, sorted by name: the version they had, 0 where there must be none yet, and the
--         version they get. A column of s_* and e_* is a text, a value a line.
--   e_*   the facts in order; e_stream and e_command count streams and commands from 1
--   c_*   the commands: who, because of what; c_last is the last fact that follows from it, from 1, null where none does;
--         c_key and what belongs to it are null where no answer is to be stored; c_answer lacks the position and a brace
--   answers   of each command the position of its last fact, null where there is none; the stored answer has it, too
-- A fact is never recorded before earlier ones of its streams, nor before the newest that can be seen: clocks step back.
-- Plans  generic: one made for a call would hold the arrays flat, and walk them for each element. Lookups by key only: a
--         plan that is kept was made when the tables were small, and one that reads all of `events` must not be it.
-- Errors  OI001 a stream has another version than expected. OI002 the key of a command is already answered.
--         unique_violation a stream that must not be there is.
-- Locks   the stream rows that exist, in name order, so that two decisions over the same streams cannot deadlock.
CREATE FUNCTION append(
    s_name text, s_expected text, s_reached text,
    e_stream text, e_version text, e_command text, e_type text, e_branch text, e_effective text, e_data text,
    c_actor text[], c_correlation text[], c_causation text[], c_traceparent text[],
    c_last int[], c_key text[], c_request bytea[], c_answer text[]
) RETURNS bigint[] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS $$
DECLARE
    names     CONSTANT text[] := string_to_array(s_name, E'\n');
    expected  CONSTANT int[]  := string_to_array(s_expected, E'\n')::int[];
    reached   CONSTANT int[]  := string_to_array(s_reached, E'\n')::int[];
    -- Arrays are indexed below, and not unnested beside each other: a fact is then copied once less.
    streams_  CONSTANT int[]  := string_to_array(e_stream, E'\n')::int[];
    versions  CONSTANT int[]  := string_to_array(e_version, E'\n')::int[];
    commands_ CONSTANT int[]  := string_to_array(e_command, E'\n')::int[];
    types     CONSTANT text[] := string_to_array(e_type, E'\n');
    branches  CONSTANT text[] := string_to_array(e_branch, E'\n');
    effective CONSTANT date[] := string_to_array(e_effective, E'\n')::date[];
    facts     CONSTANT text[] := string_to_array(e_data, E'\n');
    -- Ids in the order of the facts: the time and the first random bits of one that Postgres makes, then 46 random bits
    -- that count up. To make each afresh was a tenth of an append, where a random number is a read of a device.
    -- Source: RFC 9562, 6.2, method 2.
    id        CONSTANT text   := uuidv7()::text;
    id_head   CONSTANT text   := left(id, 24);
    id_tail   CONSTANT bigint := ('x' || right(id, 12))::bit(48)::bigint & x'3fffffffffff'::bigint | x'800000000000'::bigint;
    moved     int;
    since     timestamptz;
    lasts     bigint[];
    stored    int;
BEGIN
    IF cardinality(names) > 1 THEN
        PERFORM 1 FROM streams WHERE stream IN (
            SELECT t.stream FROM unnest(names, expected) AS t(stream, version) WHERE t.version > 0
        ) ORDER BY stream FOR UPDATE;
    END IF;
    WITH touched AS (
        SELECT * FROM unnest(names, expected, reached) AS t(stream, version, next)
    ), created AS (
        INSERT INTO streams SELECT stream, next FROM touched WHERE version = 0 RETURNING 1
    ), advanced AS (
        UPDATE streams s SET version = t.next FROM touched t
        WHERE t.version > 0 AND s.stream = t.stream AND s.version = t.version RETURNING 1
    )
    SELECT (SELECT count(*) FROM created) + (SELECT count(*) FROM advanced) INTO moved;
    IF moved <> cardinality(names) THEN
        RAISE EXCEPTION 'a stream moved on' USING ERRCODE = 'OI001';
    END IF;

    -- Asked after the streams are locked: whoever moved them before us has committed, and is seen. Their own last facts
    -- are asked too, because a fact with a higher position may have been recorded without a sight of those.
    SELECT greatest(last_recorded_at(), max(e.recorded_at)) INTO since
    FROM unnest(names, expected) AS s(stream, version)
    JOIN events e ON e.stream = s.stream AND e.stream_version = s.version
    WHERE s.version > 0;
    WITH added AS (
        INSERT INTO events (stream, stream_version, event_id, type, branch, effective_on, data,
                            actor, correlation_id, causation_id, traceparent, recorded_at)
        SELECT names[streams_[i]], versions[i], (id_head || to_hex(id_tail + i))::uuid, types[i], branches[i], effective[i],
               facts[i]::json, c_actor[commands_[i]], c_correlation[commands_[i]], c_causation[commands_[i]],
               c_traceparent[commands_[i]], greatest(clock_timestamp(), since)
        FROM generate_series(1, cardinality(versions)) WITH ORDINALITY AS e(i, nth)
        ORDER BY nth
        RETURNING position
    ), queued AS (
        INSERT INTO outbox SELECT position FROM added
    ), drawn AS (
        -- Positions are drawn in the order of the facts.
        SELECT array_agg(position ORDER BY position) AS positions FROM added
    )
    SELECT array_agg(d.positions[c.last] ORDER BY c.i) INTO lasts
    FROM drawn d, unnest(c_last) WITH ORDINALITY AS c(last, i);

    -- Last, because the answer tells the position too: a repeat must be answered like the first time.
    INSERT INTO commands (actor, key, request, answer)
    SELECT c.actor, c.key, c.request, (c.answer || coalesce(c.position::text, 'null') || '}')::json
    FROM unnest(c_actor, c_key, c_request, c_answer, lasts) AS c(actor, key, request, answer, position)
    WHERE c.key IS NOT NULL
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS stored = ROW_COUNT;
    IF stored <> cardinality(array_remove(c_key, NULL)) THEN
        RAISE EXCEPTION 'a command was answered before' USING ERRCODE = 'OI002';
    END IF;
    RETURN lasts;
END $$;

ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY branch_only ON events USING (may_see(branch));

GRANT SELECT, INSERT ON events, commands TO openitem_app;
GRANT SELECT, INSERT, UPDATE ON streams TO openitem_app;
GRANT SELECT, INSERT, DELETE ON outbox TO openitem_app;
GRANT SELECT, INSERT ON published TO openitem_app;
GRANT SELECT, UPDATE ON relay TO openitem_app;
GRANT SELECT ON SEQUENCE events_position_seq TO openitem_app;  -- The relay asks how far positions have been drawn.
