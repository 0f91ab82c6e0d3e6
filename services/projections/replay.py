"""Folds the published facts of all services, in the order of their logs, into a schema of read models."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from services.kernel.delivery import Known
from services.kernel.retry import fault_of
from services.kernel.store import Conn
from services.kernel.tasks import end
from services.projections import schema, turns
from services.projections.project import CONSUMER, project
from services.projections.source import BATCH, EVERY, FEW, Logged, Share, Source, Stretch

# `done` of `total` facts of a service are looked at; total grows while facts come in.
Progress: TypeAlias = Callable[[str, int, int], None]

_NEVER: Final = 2**31  # Beyond what a version can be.


class CannotFold(Exception):
    """The live read models hold facts that this program cannot fold: swapping would lose them."""


class Found(msgspec.Struct, frozen=True):
    """What a rebuild finds when it begins; all its parts go by that.

    `new_from`  the seq by service above which the live consumer may not have applied everything.
    """

    new_from: dict[str, int]
    parked: dict[str, int]
    dropped: set[tuple[str, int]]


class Mark(msgspec.Struct, frozen=True):
    """How far a replay was, to go back to when the transaction was rolled back."""

    done: dict[str, int]
    parked: dict[str, int]
    stopped: dict[str, int]


class Replay:
    """`done` says how far each service's log is folded, as far as its streams are of the share.

    A stream is folded up to the first of its facts that is parked, or that cannot be folded: what the live consumer
    does, too. `parked` and `stopped` hold the version of that fact.
    """

    def __init__(
        self,
        conn: Conn,
        into: str,
        sources: Sequence[Source],
        found: Found,
        progress: Progress,
        share: Share = EVERY,
    ) -> None:
        self._conn = conn
        self._into = into
        self._sources = sources
        self._progress = progress
        self._share = share
        self.found = found
        self.done = dict.fromkeys((source.service for source in sources), 0)
        self.parked = dict(found.parked)
        self.stopped: dict[str, int] = {}

    @classmethod
    async def begin(
        cls,
        conn: Conn,
        into: str,
        sources: Sequence[Source],
        topics: Mapping[str, str],
        progress: Progress,
    ) -> Replay:
        async with conn.transaction():
            await schema.use(conn, into)
            await conn.execute(_NOTES)
        low = {row["topic"]: row["seq"] for row in await conn.fetch(_APPLIED_EVERYWHERE, CONSUMER)}
        new_from = {service: low.get(topic, 0) for service, topic in topics.items()}
        found = Found(new_from, await _parked_now(conn), await _dropped_now(conn))
        return cls(conn, into, sources, found, progress)

    def mark(self) -> Mark:
        return Mark(dict(self.done), dict(self.parked), dict(self.stopped))

    def back_to(self, mark: Mark) -> None:
        self.done, self.parked, self.stopped = dict(mark.done), dict(mark.parked), dict(mark.stopped)

    def of(self, share: Share, progress: Progress) -> Replay:
        """A part of this one, on its connections."""
        return Replay(self._conn, self._into, self._sources, self.found, progress, share)

    def gathered(self, upto: Mapping[str, int], stopped: Mapping[str, int]) -> None:
        """All parts have folded the logs up to there, but for what has stopped."""
        self.done = dict(upto)
        self.stopped.update(stopped)

    async def gather(self, upto: Mapping[str, int]) -> None:
        """Fold what is published up to there, all but the balances by branch. Others gather their shares meanwhile.

        Holds    they cannot wait for each other in a circle: each takes tables and keys in the writer's one order.
        """
        for source in self._sources:
            await self._follow(source, upto[source.service], balances=False)

    async def catch_up(self) -> int:
        """Fold what is published now, a transaction per batch; answers how many facts that were."""
        return sum([await self._follow(source, await source.last()) for source in self._sources])

    async def _follow(self, source: Source, last: int, *, balances: bool = True) -> int:
        service = source.service
        began = self.done[service]
        self._progress(service, began, last)
        ahead: asyncio.Task[Stretch] | None = None
        try:
            while self.done[service] < last:
                async with turns.turn(self._conn) as asked:
                    most = FEW if asked else BATCH
                    stretch = await (ahead or source.after(self.done[service], last, self._share, most))
                    # While Postgres works on this one, the next is read and decoded; not so while somebody asks.
                    more = not asked and stretch.upto < last
                    ahead = asyncio.create_task(source.after(stretch.upto, last, self._share)) if more else None
                    await self._transact(service, stretch.facts, balances=balances)
                self.done[service] = stretch.upto
                self._progress(service, stretch.upto, last)
        finally:
            await end(ahead)
        return last - began

    async def _transact(self, service: str, batch: Sequence[Logged], *, balances: bool) -> None:
        async with self._conn.transaction():
            await schema.use(self._conn, self._into)
            await self._take(service, batch, balances=balances)

    async def finish(self) -> None:
        """Fold the rest, within the transaction that has the live consumer stand still, and tell it what is folded.

        Errors   CannotFold.
        """
        await self.catch_up()
        await schema.use(self._conn, self._into)
        now = await _parked_now(self._conn)
        for stream, version in list(self.parked.items()):
            until = now.get(stream)
            if until is None or until > version:
                await self._late(stream, version, until)
        self.parked = now
        await self._lose_nothing()
        await self._conn.execute(_TELL, CONSUMER)
        await self._conn.execute(_BROUGHT_HOME, CONSUMER)
        await self._conn.execute("DROP TABLE folded_stream")

    async def _take(self, service: str, batch: Sequence[Logged], *, balances: bool = True) -> None:
        """Fold a batch, leaving out what waits behind a fact that is parked or was dropped."""
        wanted: list[Known] = []
        for one in batch:
            if self._held_back(one.stream, one.version):
                continue
            if self.found.dropped and (one.stream, one.version) in self.found.dropped:
                continue
            if one.known is None:
                self.stopped[one.stream] = one.version
            else:
                wanted.append(one.known)
        folded = await self._fold(wanted, balances)
        recent = [known.envelope for known in folded if known.envelope.seq > self.found.new_from[service]]
        if recent:
            versions = {envelope.stream: envelope.stream_version for envelope in recent}
            await self._conn.execute(_NOTE, list(versions), list(versions.values()))

    def _held_back(self, stream: str, version: int) -> bool:
        if not (self.parked or self.stopped):
            return False
        return version >= self.parked.get(stream, _NEVER) or version >= self.stopped.get(stream, _NEVER)

    async def _fold(self, batch: Sequence[Known], balances: bool) -> list[Known]:
        """Fold what can be folded; answers that. A fact that cannot stops its stream, as it would be parked live."""
        if self.stopped:
            batch = [b for b in batch if not self._held_back(b.envelope.stream, b.envelope.stream_version)]
        if not batch:
            return []
        try:
            async with self._conn.transaction():  # A savepoint.
                await project(self._conn, batch, balances=balances)
            return list(batch)
        except Exception as error:
            if fault_of(error) is None:
                raise
        if len(batch) == 1:
            self.stopped[batch[0].envelope.stream] = batch[0].envelope.stream_version
            return []
        half = len(batch) // 2
        return [*await self._fold(batch[:half], balances), *await self._fold(batch[half:], balances)]

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
        if fresh := await _dropped_now(self._conn) - self.found.dropped:
            raise CannotFold(f"facts were dropped meanwhile; run it again: {sorted(fresh)[:5]}")


async def _parked_now(conn: Conn) -> dict[str, int]:
    return {row["stream"]: row["version"] for row in await conn.fetch(_PARKED, CONSUMER)}


async def _dropped_now(conn: Conn) -> set[tuple[str, int]]:
    return {(stream, version) for stream, version in await conn.fetch(_DROPPED, CONSUMER)}


# The streams that the live consumer may not have applied yet. Below the lowest seq that all partitions have passed
# there are none, so a rebuild of millions of streams notes those few of the last minutes.
_NOTES: Final = "CREATE UNLOGGED TABLE folded_stream (stream text PRIMARY KEY, version int NOT NULL)"
_APPLIED_EVERYWHERE: Final = (
    "SELECT topic, min(last_seq) AS seq FROM consumer_position WHERE consumer = $1 GROUP BY topic"
)
_NOTE: Final = """
INSERT INTO folded_stream AS f (stream, version) SELECT * FROM unnest($1::text[], $2::int[])
ON CONFLICT (stream) DO UPDATE SET version = greatest(f.version, excluded.version)
"""
_PARKED: Final = "SELECT stream, min(stream_version) AS version FROM parked WHERE consumer = $1 GROUP BY stream"
_DROPPED: Final = "SELECT stream, stream_version FROM parked_dropped WHERE consumer = $1"
_VERSIONS: Final = "SELECT stream, version FROM consumer_stream WHERE consumer = $1 AND stream = ANY ($2)"
# What the consumer finds at or below these versions it takes for a repeat; its positions stay where they are.
_TELL: Final = """
INSERT INTO consumer_stream AS c (consumer, stream, version) SELECT $1, stream, version FROM folded_stream
ON CONFLICT (consumer, stream) DO UPDATE SET version = excluded.version WHERE c.version < excluded.version
"""
# Parked while we were at it, for a fact that was missing from Kafka perhaps. We had it from the event store.
_BROUGHT_HOME: Final = """
DELETE FROM parked p USING folded_stream f
WHERE p.consumer = $1 AND p.stream = f.stream AND p.stream_version <= f.version
"""
