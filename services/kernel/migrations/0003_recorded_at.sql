-- services/kernel/migrations/0003_recorded_at.sql
-- Why   a server's clock may step back, and `recorded_at` must not: what was known at a moment would change afterwards
-- Locks none, two functions.  Time under 1 s.  Undo  forward only

-- When the newest committed fact of this store was recorded. As its owner, because row-level security would have
-- a caller of one branch look through everybody else's facts to find one of his own.
CREATE FUNCTION last_recorded_at() RETURNS timestamptz LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT recorded_at FROM events ORDER BY position DESC LIMIT 1
$$;
REVOKE ALL ON FUNCTION last_recorded_at() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION last_recorded_at() TO openitem_app;

-- As in 0001, but for `recorded_at`: never before that of the streams' earlier facts, nor of the newest of the store.
CREATE OR REPLACE FUNCTION append(
    names text[], expected int[],
    e_stream int[], e_version int[], e_type text[], e_branch text[], e_effective date[], e_data text[],
    e_correlation text[], e_causation text[], e_traceparent text[],
    p_actor text, p_key text, p_request bytea, p_answer text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    fresh int;
    moved int;
    last  bigint;
    since timestamptz;
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

    -- Asked after the streams are locked: whoever moved them before us has committed, and is seen. Their own last facts
    -- are asked too, because a fact with a higher position may have been recorded without a sight of those.
    SELECT greatest(last_recorded_at(), max(e.recorded_at)) INTO since
    FROM unnest(names, expected) AS s(stream, version)
    JOIN events e ON e.stream = s.stream AND e.stream_version = s.version
    WHERE s.version > 0;
    WITH added AS (
        INSERT INTO events (stream, stream_version, type, branch, effective_on, data,
                            actor, correlation_id, causation_id, traceparent, recorded_at)
        SELECT names[e.stream], e.version, e.type, e.branch, e.effective, e.data::json,
               p_actor, e.correlation, e.causation, e.traceparent, greatest(clock_timestamp(), since)
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
