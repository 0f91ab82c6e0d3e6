-- services/kernel/migrations/0002_consumers.sql
-- Why   a consumer's progress is stored with its effect, so that neither can be without the other
-- Locks none, new tables.  Time under 1 s.  Undo  forward only

CREATE TABLE consumer_position (
    consumer    text   NOT NULL,
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    next_offset bigint NOT NULL,                        -- compared and set: a worker that lost the partition cannot commit
    last_seq    bigint NOT NULL,                        -- the highest seq applied from this partition
    topic_id    uuid,                                   -- which topic the offset counts in: a new one of the same name differs
    last_recorded_at timestamptz,                       -- of the last fact that was read
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

-- The last version of every stream that was applied: finds holes, and lets a reader wait for his own write.
CREATE TABLE consumer_stream (
    consumer text NOT NULL,
    stream   text NOT NULL,
    version  int  NOT NULL,
    PRIMARY KEY (stream, consumer)                      -- of the few consumers each would be compared before the stream
) WITH (fillfactor = 80);

-- Facts that could not be applied, and every later fact of their streams, until somebody mends the cause.
CREATE TABLE parked (
    parked_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer       text        NOT NULL,
    stream         text        NOT NULL,
    stream_version int         NOT NULL,                -- where the headers cannot be read: the one that was due
    event_id       text        NOT NULL,                -- as received; 'offset <n>' where there is none
    topic          text        NOT NULL,
    partition      int         NOT NULL,
    kafka_offset   bigint      NOT NULL,
    headers        json        NOT NULL,                -- pairs of name and text, as received; see parking.py
    value          bytea       NOT NULL,
    code           text        NOT NULL,                -- why: 'fact_malformed', 'fact_hole', 'waits_for_earlier', a refusal's code
    reason         text        NOT NULL,
    attempts       int         NOT NULL DEFAULT 0,
    retry_at       timestamptz,                         -- when the worker is to try again; null: when somebody asks
    parked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (consumer, stream, stream_version, event_id) -- a fact that is delivered again is parked once
);
CREATE INDEX parked_due ON parked (retry_at) WHERE retry_at IS NOT NULL;

-- Facts that somebody decided never to apply, with his reason. Kept for ever.
CREATE TABLE parked_dropped (
    LIKE parked,
    dropped_by text        NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    why        text        NOT NULL
);

-- How far the topics reach beyond each consumer, as its worker saw it: at most a second old while a worker runs.
CREATE TABLE consumer_lag (
    consumer     text        NOT NULL,
    topic        text        NOT NULL,
    partition    int         NOT NULL,
    end_offset   bigint      NOT NULL,
    caught_up_at timestamptz NOT NULL,                  -- when nothing was left to read, last; or when first looked at
    seen_at      timestamptz NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

-- What waits was recorded after the last fact that was read, and after the last time when nothing waited.
CREATE VIEW consumer_freshness AS
SELECT consumer, topic,
       sum(greatest(l.end_offset - p.next_offset, 0))::bigint AS facts_behind,
       max(CASE WHEN l.end_offset <= p.next_offset THEN 0.0
           ELSE extract(epoch FROM clock_timestamp() - greatest(l.caught_up_at, p.last_recorded_at)) END)::float8
           AS seconds_behind,
       min(l.seen_at) AS seen_at
FROM consumer_lag l JOIN consumer_position p USING (consumer, topic, partition)
GROUP BY consumer, topic;

GRANT SELECT, INSERT, UPDATE, DELETE ON consumer_position, consumer_stream, consumer_lag, parked TO openitem_app;
GRANT SELECT, INSERT ON parked_dropped TO openitem_app;
GRANT SELECT ON consumer_freshness TO openitem_app;
