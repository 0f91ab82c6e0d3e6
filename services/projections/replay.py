"""Folds the published facts of all services, in the order of their logs, into a schema of read models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import asyncpg
import msgspec

from events import codec
from events.envelope import Envelope
from events.registry import Unreadable
from services.kernel.delivery import Delivered
from services.kernel.retry import fault_of
from services.kernel.store import Conn
from services.projections import schema
from services.projections.project import CONSUMER, project

_BATCH: Final = 5_000  # Facts folded in one transaction.


class CannotFold(Exception):
    """The live read models hold facts that this program cannot fold: swapping would lose them."""


class Logged(NamedTuple):
    """A published fact as the event store has it. `known` is None where this program cannot read it."""

    seq: int
    stream: str
    version: int
    known: Delivered | None


class Source:
    """The event store of one service, read as its owner."""

    def __init__(self, service: str, conn: asyncpg.Connection[asyncpg.Record]) -> None:
        self.service = service
        self._conn = conn

    @classmethod
    async def open(cls, service: str, url: str) -> Source:
        return cls(service, await asyncpg.connect(url))

    async def close(self) -> None:
        await self._conn.close()

    async def last(self) -> int:
        """The highest seq given."""
        return int(await self._conn.fetchval("SELECT seq_assigned FROM relay"))

    async def after(self, seq: int, last: int) -> list[Logged]:
        """The next facts in order, at most a batch, and none beyond `last`."""
        return [self._logged(row) for row in await self._conn.fetch(_AFTER, seq, last, _BATCH)]

    async def of_stream(self, stream: str, frm: int, until: int | None, last: int) -> list[Logged]:
        """A stream's facts from version `frm` and below `until`, as far as they are published up to `last`."""
        return [self._logged(row) for row in await self._conn.fetch(_OF_STREAM, stream, frm, until, last)]

    def _logged(self, row: asyncpg.Record) -> Logged:
        seq, wire, stream, version, data, *rest = row
        try:
            fact = codec.decode(wire, data)
        except Unreadable:
            return Logged(seq, stream, version, None)
        event_id, recorded_at, actor, branch, correlation_id, causation_id, traceparent = rest
        envelope = Envelope(
            event_id=event_id,
            type=wire,
            source=f"/openitem/{self.service}",
            stream=stream,
            stream_version=version,
            seq=seq,
            recorded_at=recorded_at,
            actor=actor,
            branch=branch,
            correlation_id=correlation_id,
            causation_id=causation_id,
            traceparent=traceparent,
        )
        return Logged(seq, stream, version, Delivered(envelope, fact))


class Mark(msgspec.Struct, frozen=True):
    """How far a replay was, to go back to when the transaction was rolled back."""

    done: dict[str, int]
    parked: dict[str, int]
    stopped: dict[str, int]


class Replay:
    """`done` says how far each service's log is folded.

    A stream is folded up to the first of its facts that is parked, or that cannot be folded: what the live consumer
    does, too. `parked` and `stopped` hold the version of that fact.
    """

    def __init__(
        self, conn: Conn, into: str, sources: Sequence[Source], progress: Callable[[str, int, int], None]
    ) -> None:
        self._conn = conn
        self._into = into
        self._sources = sources
        self._progress = progress
        self._new_from: dict[str, int] = {}
        self.done = dict.fromkeys((source.service for source in sources), 0)
        self.parked: dict[str, int] = {}
        self.stopped: dict[str, int] = {}
        self._dropped: set[tuple[str, int]] = set()

    @classmethod
    async def begin(
        cls,
        conn: Conn,
        into: str,
        sources: Sequence[Source],
        topics: Mapping[str, str],
        progress: Callable[[str, int, int], None],
    ) -> Replay:
        replay = cls(conn, into, sources, progress)
        await conn.execute(_NOTES)
        low = {row["topic"]: row["seq"] for row in await conn.fetch(_APPLIED_EVERYWHERE, CONSUMER)}
        replay._new_from = {service: low.get(topic, 0) for service, topic in topics.items()}
        replay.parked = await replay._parked_now()
        replay._dropped = await replay._dropped_now()
        return replay

    def mark(self) -> Mark:
        return Mark(dict(self.done), dict(self.parked), dict(self.stopped))

    def back_to(self, mark: Mark) -> None:
        self.done, self.parked, self.stopped = dict(mark.done), dict(mark.parked), dict(mark.stopped)

    async def catch_up(self) -> int:
        """Fold what is published now, a transaction per batch; answers how many facts that were."""
        count = 0
        for source in self._sources:
            last = await source.last()
            self._progress(source.service, self.done[source.service], last)
            ahead = asyncio.create_task(source.after(self.done[source.service], last))
            try:
                while batch := await ahead:
                    # While Postgres works on this one, the next is read and decoded.
                    ahead = asyncio.create_task(source.after(batch[-1].seq, last))
                    async with self._conn.transaction():
                        await schema.use(self._conn, self._into)
                        await self._take(source.service, batch)
                    self.done[source.service] = batch[-1].seq
                    count += len(batch)
                    self._progress(source.service, self.done[source.service], last)
            finally:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)
        return count

    async def finish(self) -> None:
        """Fold the rest, within the transaction that has the live consumer stand still, and tell it what is folded.

        Errors   CannotFold.
        """
        await self.catch_up()
        await schema.use(self._conn, self._into)
        now = await self._parked_now()
        for stream, version in list(self.parked.items()):
            until = now.get(stream)
            if until is None or until > version:
                await self._late(stream, version, until)
        self.parked = now
        await self._lose_nothing()
        await self._conn.execute(_TELL, CONSUMER)
        await self._conn.execute(_BROUGHT_HOME, CONSUMER)

    async def _take(self, service: str, batch: Sequence[Logged]) -> None:
        """Fold a batch, leaving out what waits behind a fact that is parked or was dropped."""
        wanted: list[Delivered] = []
        for one in batch:
            if self._held_back(one.stream, one.version) or (one.stream, one.version) in self._dropped:
                continue
            if one.known is None:
                self.stopped[one.stream] = one.version
            else:
                wanted.append(one.known)
        folded = await self._fold(wanted)
        fresh = [known.envelope for known in folded if known.envelope.seq > self._new_from[service]]
        if fresh:
            versions = {envelope.stream: envelope.stream_version for envelope in fresh}
            await self._conn.execute(_NOTE, list(versions), list(versions.values()))

    def _held_back(self, stream: str, version: int) -> bool:
        return any(version >= held[stream] for held in (self.parked, self.stopped) if stream in held)

    async def _fold(self, batch: Sequence[Delivered]) -> list[Delivered]:
        """Fold what can be folded; answers that. A fact that cannot stops its stream, as it would be parked live."""
        batch = [b for b in batch if not self._held_back(b.envelope.stream, b.envelope.stream_version)]
        if not batch:
            return []
        try:
            async with self._conn.transaction():  # A savepoint.
                await project(self._conn, batch)
            return list(batch)
        except Exception as error:
            if fault_of(error) is None:
                raise
        if len(batch) == 1:
            self.stopped[batch[0].envelope.stream] = batch[0].envelope.stream_version
            return []
        half = len(batch) // 2
        return [*await self._fold(batch[:half]), *await self._fold(batch[half:])]

    async def _late(self, stream: str, frm: int, until: int | None) -> None:
        """A stream that was parked when we began and has been applied since, wholly or in part."""
        del self.parked[stream]
        for source in self._sources:
            if batch := await source.of_stream(stream, frm, until, self.done[source.service]):
                await self._take(source.service, batch)

    async def _lose_nothing(self) -> None:
        """Errors: CannotFold, where the live models hold a fact that we could not fold, or that was dropped since."""
        lost = [
            stream
            for stream, version in await self._conn.fetch(_VERSIONS, CONSUMER, list(self.stopped))
            if version >= self.stopped[stream]
        ]
        if lost:
            raise CannotFold(f"this program cannot fold {len(lost)} streams that are in the read models: {lost[:5]}")
        if fresh := await self._dropped_now() - self._dropped:
            raise CannotFold(f"facts were dropped meanwhile; run it again: {sorted(fresh)[:5]}")

    async def _parked_now(self) -> dict[str, int]:
        return {row["stream"]: row["version"] for row in await self._conn.fetch(_PARKED, CONSUMER)}

    async def _dropped_now(self) -> set[tuple[str, int]]:
        return {(stream, version) for stream, version in await self._conn.fetch(_DROPPED, CONSUMER)}


_COLUMNS: Final = """
    p.seq, e.type, e.stream, e.stream_version, e.data, e.event_id, e.recorded_at, e.actor, e.branch,
    e.correlation_id, e.causation_id, e.traceparent
"""
_AFTER: Final = f"""
SELECT {_COLUMNS}
FROM (SELECT seq, position FROM published WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3) p
JOIN events e USING (position) ORDER BY p.seq
"""  # noqa: S608 - constants
_OF_STREAM: Final = f"""
SELECT {_COLUMNS}
FROM events e JOIN published p USING (position)
WHERE e.stream = $1 AND e.stream_version >= $2 AND ($3::int IS NULL OR e.stream_version < $3) AND p.seq <= $4
ORDER BY p.seq
"""  # noqa: S608 - constants
# The streams that the live consumer may not have applied yet. Below the lowest seq that all partitions have passed
# there are none, so a rebuild of millions of streams notes those few of the last minutes.
_NOTES: Final = "CREATE TEMPORARY TABLE folded_stream (stream text PRIMARY KEY, version int NOT NULL)"
_APPLIED_EVERYWHERE: Final = (
    "SELECT topic, min(last_seq) AS seq FROM consumer_position WHERE consumer = $1 GROUP BY topic"
)
_NOTE: Final = """
INSERT INTO pg_temp.folded_stream AS f (stream, version) SELECT * FROM unnest($1::text[], $2::int[])
ON CONFLICT (stream) DO UPDATE SET version = greatest(f.version, excluded.version)
"""
_PARKED: Final = "SELECT stream, min(stream_version) AS version FROM parked WHERE consumer = $1 GROUP BY stream"
_DROPPED: Final = "SELECT stream, stream_version FROM parked_dropped WHERE consumer = $1"
_VERSIONS: Final = "SELECT stream, version FROM consumer_stream WHERE consumer = $1 AND stream = ANY ($2)"
# What the consumer finds at or below these versions it takes for a repeat; its positions stay where they are.
_TELL: Final = """
INSERT INTO consumer_stream AS c (consumer, stream, version) SELECT $1, stream, version FROM pg_temp.folded_stream
ON CONFLICT (consumer, stream) DO UPDATE SET version = excluded.version WHERE c.version < excluded.version
"""
# Parked while we were at it, for a fact that was missing from Kafka perhaps. We had it from the event store.
_BROUGHT_HOME: Final = """
DELETE FROM parked p USING pg_temp.folded_stream f
WHERE p.consumer = $1 AND p.stream = f.stream AND p.stream_version <= f.version
"""
