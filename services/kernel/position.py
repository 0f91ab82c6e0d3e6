"""How far a consumer has come: its offsets and the versions of its streams, stored with the effect they stand for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from aiokafka import TopicPartition

from services.kernel.errors import VersionConflict
from services.kernel.store import Conn


class Lost(Exception):
    """Another worker has moved the position: the partition is no longer ours, and nothing may be committed."""


class Misjudged(VersionConflict):
    """A stream is not at the version that it was taken to be at: facts of it came again, or some are missing."""


class Spot(msgspec.Struct, frozen=True):
    """Where reading goes on, and the highest seq that was applied from there. Together they name one state."""

    next_offset: int
    last_seq: int


class Move(NamedTuple):
    """A partition's step within one batch."""

    at: TopicPartition
    was: Spot
    next_offset: int
    recorded_at: datetime | None


class Held(msgspec.Struct):
    """A stream as the consumer stands to it: the version applied last, and the versions parked, if any."""

    version: int = 0
    parked_min: int | None = None
    parked_max: int = 0


def channel_of(consumer: str) -> str:
    """Where a consumer notifies of what it committed, if it does: each such commit waits for the one before it."""
    return f"openitem.{consumer}"


async def load(
    conn: Conn, consumer: str, at: Collection[TopicPartition], ids: Mapping[str, UUID | None]
) -> dict[TopicPartition, Spot]:
    """Where to go on with these partitions; new ones begin at 0.

    Holds    where the topic was created anew, reading begins at 0 again and the versions of the streams tell what was
             applied: offsets of another topic say nothing, and a seq might come from one that was read in between.
    """
    names, numbers = [tp.topic for tp in at], [tp.partition for tp in at]
    async with conn.transaction():
        await conn.execute(_BEGIN, consumer, names, numbers)
        await conn.execute(_RENEW, consumer, list(ids), list(ids.values()))
        rows = await conn.fetch(_LOAD, consumer, names, numbers)
    return {TopicPartition(topic, partition): Spot(offset, seq) for topic, partition, offset, seq in rows}


async def restart(conn: Conn, consumer: str, at: TopicPartition) -> None:
    """Read a partition from its beginning again; what was applied is known by the versions of the streams."""
    await conn.execute(_RESTART, consumer, at.topic, at.partition)


async def went_back(conn: Conn, consumer: str, spots: Mapping[TopicPartition, Spot]) -> bool:
    """Whether a position is behind one of these, which were committed: the server forgot it, and its effect with it.

    Holds    `spots` were taken before this is asked: what is committed meanwhile only moves positions on.
    """
    names, numbers = [tp.topic for tp in spots], [tp.partition for tp in spots]
    offsets = [spot.next_offset for spot in spots.values()]
    return bool(await conn.fetchval(_WENT_BACK, consumer, names, numbers, offsets))


async def claim(conn: Conn, consumer: str, moves: Sequence[Move]) -> bool:
    """Move the position, first thing in the transaction: its row locks keep two workers with one partition apart.

    Answers  whether the consumer has anything parked, of whatever partition.
    Errors   Lost where the position is not where we left it.
    """
    row = await conn.fetchrow(
        _CLAIM,
        consumer,
        [m.at.topic for m in moves],
        [m.at.partition for m in moves],
        [m.was.next_offset for m in moves],
        [m.was.last_seq for m in moves],
        [m.next_offset for m in moves],
        [m.recorded_at for m in moves],
    )
    assert row is not None, "it counts"
    claimed, parked = row
    if claimed != len(moves):
        raise Lost(f"{consumer} no longer has one of {', '.join(f'{m.at.topic}/{m.at.partition}' for m in moves)}")
    return bool(parked)


async def held(conn: Conn, consumer: str, streams: Collection[str]) -> dict[str, Held]:
    """How the consumer stands to these streams, in one query."""
    found = {stream: Held() for stream in streams}
    rows = await conn.fetch(_HELD, consumer, _json(list(streams))) if streams else []
    for stream, version, low, high in rows:
        one = found[stream]
        if version is not None:
            one.version = version
        else:
            one.parked_min, one.parked_max = low, high
    return found


async def settle(
    conn: Conn, consumer: str, versions: Mapping[str, int], seqs: Mapping[tuple[str, int], int], was: Mapping[str, int]
) -> None:
    """Store which versions of streams are applied now, and the highest seq applied from each partition; `was` is what
    was applied of each stream before, as `held` said, or as is trusted; of new ones nothing. Errors: Misjudged.
    """
    known = {stream: (was[stream], version) for stream, version in versions.items() if was[stream]}
    new = {stream: version for stream, version in versions.items() if not was[stream]}
    topics, partitions = [topic for topic, _ in seqs], [partition for _, partition in seqs]
    try:
        moved = await conn.fetchval(
            _SETTLE, consumer, _json(known), topics, partitions, list(seqs.values()), _json(new)
        )
    except asyncpg.UniqueViolationError as error:
        raise Misjudged(str(error)) from error
    if moved != len(known):
        raise Misjudged(f"{len(known) - moved} streams are not at the version before")


def _json(value: object) -> str:
    """How thousands of streams travel: as an array they take asyncpg twice as long."""
    return msgspec.json.encode(value).decode()


async def note_lag(conn: Conn, consumer: str, ends: Mapping[TopicPartition, int], seen_at: datetime) -> None:
    """Store how far the partitions reach, for whoever reports on freshness without asking Kafka."""
    await conn.execute(
        _NOTE_LAG,
        consumer,
        [tp.topic for tp in ends],
        [tp.partition for tp in ends],
        list(ends.values()),
        seen_at,
    )


_BEGIN: Final = """
INSERT INTO consumer_position (consumer, topic, partition, next_offset, last_seq)
SELECT $1, n.topic, n.partition, 0, 0 FROM unnest($2::text[], $3::int[]) AS n(topic, partition)
ON CONFLICT DO NOTHING
"""
_RENEW: Final = """
UPDATE consumer_position p
SET topic_id = n.topic_id,
    next_offset = CASE WHEN p.topic_id IS NULL THEN p.next_offset ELSE 0 END,
    last_seq = CASE WHEN p.topic_id IS NULL THEN p.last_seq ELSE 0 END
FROM unnest($2::text[], $3::uuid[]) AS n(topic, topic_id)
WHERE p.consumer = $1 AND p.topic = n.topic AND n.topic_id IS NOT NULL AND p.topic_id IS DISTINCT FROM n.topic_id
"""
_LOAD: Final = """
SELECT p.topic, p.partition, p.next_offset, p.last_seq
FROM unnest($2::text[], $3::int[]) AS n(topic, partition)
JOIN consumer_position p ON p.consumer = $1 AND p.topic = n.topic AND p.partition = n.partition
"""
_WENT_BACK: Final = """
SELECT EXISTS (
    SELECT FROM unnest($2::text[], $3::int[], $4::bigint[]) AS n(topic, partition, next_offset)
    LEFT JOIN consumer_position p ON p.consumer = $1 AND p.topic = n.topic AND p.partition = n.partition
    WHERE coalesce(p.next_offset, 0) < n.next_offset
)
"""
_RESTART: Final = """
UPDATE consumer_position SET next_offset = 0, last_seq = 0 WHERE consumer = $1 AND topic = $2 AND partition = $3
"""
# Offset and seq are compared both: after a restart at 0 the offsets alone could agree by chance.
_CLAIM: Final = """
WITH moved AS (
    UPDATE consumer_position p
    SET next_offset = n.next_offset, last_recorded_at = coalesce(n.recorded_at, p.last_recorded_at),
        updated_at = clock_timestamp()
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::timestamptz[])
         AS n(topic, partition, was_offset, was_seq, next_offset, recorded_at)
    WHERE p.consumer = $1 AND p.topic = n.topic AND p.partition = n.partition
      AND p.next_offset = n.was_offset AND p.last_seq = n.was_seq
    RETURNING p.partition
)
SELECT (SELECT count(*) FROM moved), EXISTS (SELECT FROM parked WHERE consumer = $1)
"""
# Streams that come as an array are looked up by key: for a join Postgres would read every stream there is, to find the
# few of a batch. Usually nothing is parked.
_HELD: Final = """
WITH asked AS MATERIALIZED (SELECT ARRAY(SELECT json_array_elements_text($2::json)) AS streams)
SELECT stream, version, NULL AS low, NULL AS high FROM consumer_stream
WHERE consumer = $1 AND stream = ANY ((SELECT streams FROM asked)::text[])
UNION ALL
SELECT stream, NULL, min(stream_version), max(stream_version) FROM parked
WHERE consumer = $1 AND stream = ANY ((SELECT streams FROM asked)::text[]) GROUP BY stream
"""
# Told apart, new streams are looked for once and not twice, as they are where a conflict must be expected. In the order
# of their key, one finds the page that the one before it left.
_SETTLE: Final = """
WITH known AS (
    UPDATE consumer_stream c SET version = (n.value->>1)::int FROM json_each($2::json) AS n
    WHERE c.consumer = $1 AND c.stream = n.key AND c.version = (n.value->>0)::int
    RETURNING 1
), new AS (
    INSERT INTO consumer_stream (consumer, stream, version)
    SELECT $1, n.key, n.value::int FROM json_each_text($6::json) AS n ORDER BY n.key
), seqs AS (
    UPDATE consumer_position p SET last_seq = greatest(p.last_seq, n.seq)
    FROM unnest($3::text[], $4::int[], $5::bigint[]) AS n(topic, partition, seq)
    WHERE p.consumer = $1 AND p.topic = n.topic AND p.partition = n.partition
)
SELECT count(*) FROM known
"""
_NOTE_LAG: Final = """
INSERT INTO consumer_lag AS l (consumer, topic, partition, end_offset, caught_up_at, seen_at)
SELECT $1, n.topic, n.partition, n.end_offset, $5, $5
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS n(topic, partition, end_offset)
ON CONFLICT (consumer, topic, partition) DO UPDATE
SET end_offset = excluded.end_offset, seen_at = excluded.seen_at,
    caught_up_at = CASE WHEN excluded.end_offset > (
        SELECT next_offset FROM consumer_position p
        WHERE p.consumer = l.consumer AND p.topic = l.topic AND p.partition = l.partition
    ) THEN l.caught_up_at ELSE excluded.seen_at END
"""
