"""The event stores that read models are rebuilt from, read in the order of their logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, NamedTuple

import asyncpg
import msgspec

from events import codec
from events.envelope import Origin
from events.registry import Unreadable
from services.kernel.delivery import Known
from services.projections.fold import IGNORED

BATCH: Final = 5_000  # Facts read at once, and folded in one transaction.
FEW: Final = 500  # The same while somebody waits for reports: what goes on at a stretch, they may have to wait for.
_SLICE: Final = 100  # Facts decoded at a stretch, about a millisecond: in between Postgres gets its next statement.


class Logged(msgspec.Struct, frozen=True, gc=False):
    """A published fact as the event store has it. `known` is None where this program cannot read it."""

    stream: str
    version: int
    known: Known | None


class Share(NamedTuple):
    """Which streams are somebody's: those whose hash leaves `number` when divided by `of`."""

    number: int
    of: int


EVERY: Final = Share(0, 1)


class Stretch(NamedTuple):
    """A piece of a log: the facts of a share in order, up to a seq."""

    upto: int
    facts: list[Logged]


class Source:
    """The event store of one service, read as its owner."""

    def __init__(self, service: str, conn: asyncpg.Connection[asyncpg.Record]) -> None:
        self.service = service
        self._conn = conn

    @classmethod
    async def open(cls, service: str, url: str) -> Source:
        return cls(service, await asyncpg.connect(url, server_settings={"enable_nestloop": "off"}))

    async def close(self) -> None:
        await self._conn.close()

    async def last(self) -> int:
        """The highest seq given."""
        return int(await self._conn.fetchval("SELECT seq_assigned FROM relay"))

    async def after(
        self, seq: int, last: int, share: Share = EVERY, most: int = BATCH, without: Collection[str] = IGNORED
    ) -> Stretch:
        """At `most` so many facts, or about as many where it is a share of them, of the log behind `seq`, and nothing
        beyond `last`; facts of some types are left out.
        """
        batch = most * share.of
        upto = min(seq + batch, last)
        rows = await self._conn.fetch(_AFTER, seq, upto, batch, list(without), share.number, share.of)
        logged: list[Logged] = []
        for at in range(0, len(rows), _SLICE):
            logged += map(_logged, rows[at : at + _SLICE])
            await asyncio.sleep(0)
        return Stretch(upto, logged)

    async def of_stream(self, stream: str, frm: int, until: int | None, last: int) -> list[Logged]:
        """A stream's facts from version `frm` and below `until`, as far as they are published up to `last`."""
        async with self._conn.transaction():
            await self._conn.execute("SET LOCAL enable_nestloop = on")  # They are few.
            return [_logged(row) for row in await self._conn.fetch(_OF_STREAM, stream, frm, until, last)]


def _logged(row: asyncpg.Record) -> Logged:
    seq, wire, stream, version, data, recorded_at, actor = row
    try:
        fact = codec.decode(wire, data)
    except Unreadable:
        return Logged(stream, version, None)
    origin = Origin(stream=stream, stream_version=version, seq=seq, recorded_at=recorded_at, actor=actor)
    return Logged(stream, version, Known(origin, fact))


@asynccontextmanager
async def opened_all(urls: Mapping[str, str]) -> AsyncIterator[list[Source]]:
    """The event stores of these services."""
    async with AsyncExitStack() as opened:
        stores = []
        for service, url in urls.items():
            stores.append(await Source.open(service, url))
            opened.push_async_callback(stores[-1].close)
        yield stores


_COLUMNS: Final = "p.seq, e.type, e.stream, e.stream_version, e.data, e.recorded_at, e.actor"
# What lies together in the log lies together in the store, but for transactions that were at work at the same time: so
# the store is read as a range, and not fact by fact. Postgres guesses such a range far too small, and would loop.
_AFTER: Final = f"""
WITH p AS MATERIALIZED (SELECT seq, position FROM published WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3)
SELECT {_COLUMNS}
FROM p JOIN events e USING (position)
WHERE e.position BETWEEN (SELECT min(position) FROM p) AND (SELECT max(position) FROM p)
  AND e.type <> ALL ($4::text[]) AND ($6::int = 1 OR (hashtext(e.stream) & 65535) % $6::int = $5::int) ORDER BY p.seq
"""  # noqa: S608 - constants
_OF_STREAM: Final = f"""
SELECT {_COLUMNS}
FROM events e JOIN published p USING (position)
WHERE e.stream = $1 AND e.stream_version >= $2 AND ($3::int IS NULL OR e.stream_version < $3) AND p.seq <= $4
ORDER BY p.seq
"""  # noqa: S608 - constants
