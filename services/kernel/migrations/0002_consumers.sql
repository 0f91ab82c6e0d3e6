-- services/kernel/migrations/0002_consumers.sql
-- Why   a consumer's progress is stored with its effect, so that neither can be without the other
-- Locks none, new tables.  Time under 1 s.  Undo  forward only

CREATE TABLE consumer_position (
    consumer    text   NOT NULL,
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    next_offset bigint NOT NULL,                        -- compared and set: a worker that lost the partition cannot commit
    last_seq    bigint NOT NULL,                        -- the highest seq applied from this partition
    updated_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, topic, partition)
);

-- The last version of every stream that was applied: finds holes, and lets a reader wait for his own write.
CREATE TABLE consumer_stream (
    consumer text NOT NULL,
    stream   text NOT NULL,
    version  int  NOT NULL,
    PRIMARY KEY (consumer, stream)
) WITH (fillfactor = 80);

-- Facts that could not be applied, and every later fact of their streams, in order, until somebody mends the cause.
CREATE TABLE parked (
    consumer       text        NOT NULL,
    stream         text        NOT NULL,
    stream_version int         NOT NULL,
    topic          text        NOT NULL,
    partition      int         NOT NULL,
    kafka_offset   bigint      NOT NULL,
    headers        json        NOT NULL,                -- name to text, as received; bytes that are not text as base64
    value          bytea       NOT NULL,
    code           text        NOT NULL,                -- why: 'fact_malformed', 'fact_hole', 'waits_for_earlier', a refusal's code
    reason         text        NOT NULL,
    parked_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (consumer, topic, partition, kafka_offset)
);
CREATE INDEX parked_by_stream ON parked (consumer, stream, stream_version);

GRANT SELECT, INSERT, UPDATE, DELETE ON consumer_position, consumer_stream, parked TO openitem_app;
