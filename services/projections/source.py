"""The event stores that read models are rebuilt from, read in the order of their logs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final, NamedTuple

import asyncpg
import msgspec

from events import codec
from events.envelope import Envelope
from events.registry import Unreadable
from services.kernel.delivery import Delivered
from services.projections.fold import IGNORED

BATCH: Final = 10_000  # Of a log, read at once, and folded in one transaction of each lane.
_SLICE: Final = 100  # Facts decoded at a stretch, about a millisecond: in between Postgres gets its next statement.


class Logged(msgspec.Struct, frozen=True, gc=False):
    """A published fact as the event store has it. `known` is None where this program cannot read it."""

    stream: str
    version: int
    known: Delivered | None


class Stretch(NamedTuple):
    """A piece of a log: its facts in order, up to a seq."""

    upto: int
    facts: list[Logged]


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

    async def after(self, seq: int, last: int, without: Collection[str] = IGNORED) -> Stretch:
        """A batch of the log behind `seq`, and nothing beyond `last`; facts of some types are left out."""
        upto = min(seq + BATCH, last)
        rows = await self._conn.fetch(_AFTER, seq, upto, BATCH, list(without))
        logged: list[Logged] = []
        for at in range(0, len(rows), _SLICE):
            logged += map(self._logged, rows[at : at + _SLICE])
            await asyncio.sleep(0)
        return Stretch(upto, logged)

    async def of_stream(self, stream: str, frm: int, until: int | None, last: int) -> list[Logged]:
        """A stream's facts from version `frm` and below `until`, as far as they are published up to `last`."""
        return [self._logged(row) for row in await self._conn.fetch(_OF_STREAM, stream, frm, until, last)]

    def _logged(self, row: asyncpg.Record) -> Logged:
        seq, wire, stream, version, data, *rest = row
        try:
            fact = codec.decode(wire, data)
        except Unreadable:
            return Logged(stream, version, None)
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
        return Logged(stream, version, Delivered(envelope, fact))


_COLUMNS: Final = """
    p.seq, e.type, e.stream, e.stream_version, e.data, e.event_id, e.recorded_at, e.actor, e.branch,
    e.correlation_id, e.causation_id, e.traceparent
"""
_AFTER: Final = f"""
SELECT {_COLUMNS}
FROM (SELECT seq, position FROM published WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3) p
JOIN events e USING (position) WHERE e.type <> ALL ($4::text[]) ORDER BY p.seq
"""  # noqa: S608 - constants
_OF_STREAM: Final = f"""
SELECT {_COLUMNS}
FROM events e JOIN published p USING (position)
WHERE e.stream = $1 AND e.stream_version >= $2 AND ($3::int IS NULL OR e.stream_version < $3) AND p.seq <= $4
ORDER BY p.seq
"""  # noqa: S608 - constants
