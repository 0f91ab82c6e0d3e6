"""Bring facts back from Kafka into an event store that was restored from an older backup.

A topic is a complete copy of its service's log. What the backup lacks is there, and has been read: by projections, by
other services, by other systems. It must come back exactly as it was, ids, versions and sequence included, before the
relay gives any of those numbers to something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import asyncpg
import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from events import codec
from events.envelope import Envelope
from events.registry import Unreadable
from events.topics import topic_of
from services.kernel import topics
from services.kernel.meta import ALL
from services.kernel.store import Index

_BATCH: Final = 5_000  # Records copied at once, and facts indexed at once.
_SILENCE_S_MAX: Final = 60.0  # A broker that gives nothing for so long, though the topic goes on, is away.

# `done` of `total` records of the topic are read.
Progress = Callable[[int, int], None]
Conn = asyncpg.Connection


class NotRecalled(Exception):
    """The store and the topic cannot be brought together, and nothing was changed. The message says what to do."""


class Forked(NotRecalled):
    """Store and topic say different things under one number: the store went on after it was restored."""


class TopicLost(NotRecalled):
    """The topic is missing or empty, and the store had published facts: Kafka is lost, or it is not the right one."""


class FactsMissing(NotRecalled):
    """The topic itself lacks facts: they were recorded, and neither the backup nor Kafka has them."""


class Recalled(msgspec.Struct, frozen=True):
    """What came of it.

    `facts` came back; `queued` were in the backup's outbox and had been published since; `missing` are sequence numbers
    that nobody has; `unpublished` facts are in the store and not in the topic, though they have a number: the topic
    wants to be published again. `unreadable` records are none of ours.
    """

    facts: int = 0
    queued: int = 0
    missing: Sequence[int] = ()
    unpublished: int = 0
    unreadable: int = 0
    seq: int = 0


async def recall(
    conn: Conn[Any],
    service: str,
    bootstrap: str,
    prefix: str,
    *,
    index: Index | None = None,
    kafka_lost: bool = False,
    accept_loss: bool = False,
    progress: Progress | None = None,
) -> Recalled:
    """Hold the whole topic of `service` against its store, and put into the store what it lacks; all or nothing.

    `conn` is the owner's, on a database that nobody else works on. `index` keeps the service's look-up tables, as it
    does when facts are appended. `kafka_lost` allows a topic that is missing or empty; `accept_loss` allows numbers
    that neither has.

    Errors   TopicLost; Forked; FactsMissing; those of Kafka and Postgres.
    Holds    afterwards the store has every fact of the topic under the same id, version and sequence, and the relay
             goes on above the highest sequence that Kafka has.
    """
    topic = topic_of(service, prefix)
    async with conn.transaction():
        await conn.execute("SELECT set_config('openitem.branches', $1, true)", ALL)
        await conn.execute(_STAGE)
        had = await conn.fetchval("SELECT seq_assigned FROM relay")
        unreadable = count = 0
        try:
            async for batch, spoilt in _records(bootstrap, topic, had, progress):
                unreadable += spoilt
                count += len(batch)
                await conn.copy_records_to_table("incoming", schema_name="pg_temp", records=batch, columns=_COLUMNS)
        except topics.TopicMissing:
            if not kafka_lost:
                raise TopicLost(f"the topic {topic} does not exist. If Kafka is lost, say so.") from None
        if not count and had and not kafka_lost:
            raise TopicLost(
                f"the topic {topic} is empty, and {had} facts had been published. If Kafka is lost, say so."
            )
        await conn.execute("ANALYZE pg_temp.incoming")
        for law, query in _FORKS.items():
            if strange := await conn.fetch(query):
                named = ", ".join(f"{row['stream']}@{row['stream_version']}" for row in strange)
                raise Forked(f"{law}: {named}. Restore the backup anew, before anything is recorded in its place.")
        missing = [row["seq"] for row in await conn.fetch(_MISSING, had)]
        if missing and not accept_loss:
            raise FactsMissing(
                f"{len(missing)} facts were recorded and reached neither the backup nor Kafka: sequence {missing[:20]}."
                " Others never saw them. They can only be entered again; say that their loss is accepted to go on."
            )
        facts, queued = await _put(conn, index)
        unpublished = await conn.fetchval(_UNPUBLISHED)
        seq = await conn.fetchval(_RELAY)
        await conn.execute("DROP TABLE pg_temp.incoming, pg_temp.lacking")
    return Recalled(facts, queued, missing, unpublished, unreadable, seq)


async def _put(conn: Conn[Any], index: Index | None) -> tuple[int, int]:
    """The staged facts that the store lacks, in the order of the log. Errors: FactsMissing for a hole in a stream."""
    await conn.execute(_LACKING)
    holes = [f"{row['stream']}@{row['stream_version']}" for row in await conn.fetch(_HOLES)]
    if holes:
        raise FactsMissing(f"the topic lacks what came before {', '.join(holes)}: its streams cannot be put together")
    await conn.execute(_STREAMS)
    facts = int((await conn.execute(_EVENTS)).split()[-1])
    queued = int((await conn.execute(_DEQUEUE)).split()[-1])
    await conn.execute(_PUBLISHED)
    if index is not None:
        after = 0
        while rows := await conn.fetch(_NEW, after, _BATCH):
            await index(conn, [codec.decode(row["type"], row["data"]) for row in rows])
            after = rows[-1]["seq"]
    return facts, queued


async def _records(
    bootstrap: str, topic: str, had: int, progress: Progress | None
) -> AsyncIterator[tuple[list[tuple[Any, ...]], int]]:
    """Everything in the topic by batches, as rows of `incoming`, and how many records could not be read.

    Errors   TopicMissing, TopicPartitions, TopicLost where the topic no longer begins at its beginning; TimeoutError.
    """
    [seen] = await asyncio.to_thread(topics.describe, bootstrap, [topic])
    topics.check(seen)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(seen.partitions)]
        consumer.assign(partitions)
        if any((await consumer.beginning_offsets(partitions)).values()):
            raise TopicLost(f"the beginning of {topic} was deleted: it is no copy of the log any more")
        ends = await consumer.end_offsets(partitions)
        for tp in partitions:
            consumer.seek(tp, 0)
        at = dict.fromkeys(partitions, 0)
        total = sum(ends.values())
        while any(at[tp] < ends[tp] for tp in partitions):
            async with asyncio.timeout(_SILENCE_S_MAX):
                while not (got := await consumer.getmany(timeout_ms=500, max_records=_BATCH)):
                    pass
            batch: list[tuple[Any, ...]] = []
            spoilt = 0
            for tp, records in got.items():
                at[tp] = records[-1].offset + 1
                rows = [_row(record, had) for record in records]
                batch += [row for row in rows if row is not None]
                spoilt += rows.count(None)
            yield batch, spoilt
            if progress is not None:
                progress(sum(at.values()), total)
    finally:
        await consumer.stop()


def _row(record: ConsumerRecord[bytes, bytes], had: int) -> tuple[Any, ...] | None:
    """A record as a row of `incoming`; what the store has under its number is compared and needs no data."""
    try:
        envelope = codec.envelope_of(record.headers)
        if envelope.seq <= had:
            return (*_head(envelope), *[None] * 8)
        data = (record.value or b"").decode()
        effective_on = codec.decode(envelope.type, data).effective_on
    except (Unreadable, UnicodeDecodeError):
        return None
    cause = (envelope.correlation_id, envelope.causation_id, envelope.traceparent)
    return (*_head(envelope), effective_on, data, envelope.actor, envelope.branch, *cause, envelope.recorded_at)


def _head(envelope: Envelope) -> tuple[Any, ...]:
    return (envelope.seq, envelope.event_id, envelope.stream, envelope.stream_version, envelope.type)


_COLUMNS: Final = (
    "seq", "event_id", "stream", "stream_version", "type",
    "effective_on", "data", "actor", "branch", "correlation_id", "causation_id", "traceparent", "recorded_at",
)  # fmt: skip
_STAGE: Final = """
CREATE TEMPORARY TABLE incoming (
    seq bigint NOT NULL, event_id uuid NOT NULL, stream text NOT NULL, stream_version int NOT NULL, type text NOT NULL,
    effective_on date, data json, actor text, branch text, correlation_id text, causation_id text, traceparent text,
    recorded_at timestamptz
);
CREATE INDEX ON pg_temp.incoming (seq);
CREATE INDEX ON pg_temp.incoming (event_id);
"""
# What Kafka and the store must agree on. Each finds the first few that break it.
_FORKS: Final = {
    "the topic has two facts under one sequence number": """
        SELECT min(stream) AS stream, min(stream_version) AS stream_version FROM pg_temp.incoming
        GROUP BY seq HAVING count(DISTINCT event_id) > 1 ORDER BY seq LIMIT 5""",
    "the topic has another fact under a sequence number of the store": """
        SELECT i.stream, i.stream_version FROM pg_temp.incoming i JOIN published p USING (seq)
        JOIN events e USING (position) WHERE e.event_id <> i.event_id ORDER BY seq LIMIT 5""",
    "the store gave a fact another sequence number than the topic": """
        SELECT i.stream, i.stream_version FROM pg_temp.incoming i JOIN events e USING (event_id)
        JOIN published p USING (position) WHERE p.seq <> i.seq ORDER BY i.seq LIMIT 5""",
    "the topic has another fact at a version that the store has": """
        SELECT i.stream, i.stream_version FROM pg_temp.incoming i JOIN events e USING (stream, stream_version)
        WHERE e.event_id <> i.event_id ORDER BY seq LIMIT 5""",
    "the topic has a fact under a sequence number that the store gave and no longer knows": """
        SELECT i.stream, i.stream_version FROM pg_temp.incoming i LEFT JOIN published p USING (seq)
        WHERE i.data IS NULL AND p.seq IS NULL ORDER BY seq LIMIT 5""",
}
_MISSING: Final = """
SELECT g.seq FROM generate_series($1 + 1, (SELECT max(seq) FROM pg_temp.incoming)) AS g(seq)
WHERE NOT EXISTS (SELECT FROM pg_temp.incoming i WHERE i.seq = g.seq) ORDER BY g.seq
"""
# Once each: a fact that was sent twice lies there twice.
_LACKING: Final = """
CREATE TEMPORARY TABLE lacking AS SELECT DISTINCT ON (i.seq) i.* FROM pg_temp.incoming i
WHERE NOT EXISTS (SELECT FROM events e WHERE e.event_id = i.event_id) ORDER BY i.seq;
CREATE INDEX ON pg_temp.lacking (seq);
"""
_HOLES: Final = """
SELECT stream, stream_version FROM (
    SELECT l.stream, l.stream_version, coalesce(s.version, 0) + row_number() OVER (
        PARTITION BY l.stream ORDER BY l.stream_version) AS due
    FROM pg_temp.lacking l LEFT JOIN streams s USING (stream)
) n WHERE stream_version <> due ORDER BY stream, stream_version LIMIT 5
"""
_STREAMS: Final = """
INSERT INTO streams AS s (stream, version) SELECT stream, max(stream_version) FROM pg_temp.lacking GROUP BY stream
ON CONFLICT (stream) DO UPDATE SET version = excluded.version
"""
_EVENTS: Final = """
INSERT INTO events (stream, stream_version, event_id, type, branch, effective_on, data,
                    actor, correlation_id, causation_id, traceparent, recorded_at)
SELECT stream, stream_version, event_id, type, branch, effective_on, data,
       actor, correlation_id, causation_id, traceparent, recorded_at
FROM pg_temp.lacking ORDER BY seq
"""
# Recorded before the backup and published after it.
_DEQUEUE: Final = """
DELETE FROM outbox o USING events e JOIN pg_temp.incoming i USING (event_id) WHERE o.position = e.position
"""
_PUBLISHED: Final = """
INSERT INTO published (seq, position)
SELECT DISTINCT i.seq, e.position FROM pg_temp.incoming i JOIN events e USING (event_id) WHERE i.data IS NOT NULL
"""
_NEW: Final = "SELECT seq, type, data FROM pg_temp.lacking WHERE seq > $1 ORDER BY seq LIMIT $2"
_UNPUBLISHED: Final = """
SELECT count(*) FROM published p JOIN relay r ON p.seq <= r.seq_acknowledged
WHERE NOT EXISTS (SELECT FROM pg_temp.incoming i WHERE i.seq = p.seq)
"""
# What has a number and is not in Kafka at the end of the log was on its way: the relay sends it again by itself.
_RELAY: Final = """
UPDATE relay SET seq_assigned = n.last, seq_acknowledged = greatest(seq_acknowledged, n.sure) FROM (
    SELECT greatest(seq_assigned, (SELECT max(seq) FROM pg_temp.incoming)) AS last,
           coalesce((SELECT min(p.seq) - 1 FROM published p WHERE p.seq > seq_acknowledged
                     AND NOT EXISTS (SELECT FROM pg_temp.incoming i WHERE i.seq = p.seq)),
                    greatest(seq_assigned, (SELECT max(seq) FROM pg_temp.incoming))) AS sure
    FROM relay
) n RETURNING relay.seq_assigned
"""
