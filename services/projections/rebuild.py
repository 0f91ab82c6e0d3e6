"""Builds all read models anew from the event stores, beside the live ones, and puts them in their place.

The live ones answer and go on growing meanwhile. The swap waits for the batch in flight, folds what has come since, and
renames the schemas, all in one transaction; a crash at any moment leaves the live ones as they were.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

import asyncpg
import structlog

from events.topics import PARTITIONS, SERVICES
from services.kernel.settings import Settings, database_url
from services.kernel.store import Conn
from services.kernel.tasks import side_by_side
from services.projections import indexes, parts, readers, schema, turns
from services.projections.models.balance import BALANCE, EIGHT, EIGHT_SUMS
from services.projections.models.movement import MOVEMENT
from services.projections.parts import Parts, Where, connected
from services.projections.project import CONSUMER
from services.projections.replay import Progress, Replay
from services.projections.source import opened_all

BESIDE: Final = "rebuild"
_OLD: Final = "replaced"
_CLOSE: Final = 5_000  # Facts that may be left for the swap, during which the live models stand still: about a second.
_NICE: Final = 19
_ROUNDS_MAX: Final = 50  # Of catching up. After that facts come faster than they are folded, and the swap takes longer.
_SWAPS_MAX: Final = 5  # Tries: the live consumer takes the same locks in another order, and one of two has to give way.

log = structlog.stdlib.get_logger(__name__)


def step_back() -> None:
    """Let whoever waits for a report go first on this machine. For a process that does nothing but rebuild."""
    os.nice(_NICE)


def silent(service: str, done: int, total: int) -> None:
    """Nobody wants to know."""


async def rebuild(settings: Settings, progress: Progress = silent, processes: int | None = None) -> dict[str, int]:
    """Rebuild the read models of the system that `settings` name; answers how many facts of each service are in them.
    If it is not said how many processes work on it, there is one for each core, if that is worth it
    and nobody asks for reports just now.

    Errors   RebuildRunning, PartEnded, CannotFold; those of Postgres. Nothing has changed then.
    Holds    the new tables equal the live ones, where the program that folds is the same. Facts that are parked stay
             parked; those somebody decided to drop stay dropped.
    """
    sources = {service: database_url(settings.postgres, service) for service in SERVICES}
    live = settings.database or database_url(settings.postgres, "projections")
    return await rebuild_from(live, sources, settings.topics(), progress, processes)


async def rebuild_from(
    live: str,
    sources: Mapping[str, str],
    topics: Mapping[str, str],
    progress: Progress = silent,
    processes: int | None = None,
) -> dict[str, int]:
    """The same with the URLs of the databases, and the topic of each service."""
    async with AsyncExitStack() as opened:
        conn = await opened.enter_async_context(connected(live))  # Closed last: until then it has the advisory lock.
        begun = await turns.begin(conn)
        stores = await opened.enter_async_context(opened_all(sources))
        upto = {store.service: await store.last() for store in stores}
        if processes is None:  # While somebody asks for reports, others would wait for their turn.
            processes = 1 if await readers.are_asking(conn) else parts.worth(sum(upto.values()))
        # Started first of all: they take a third of a second to begin.
        more = range(1, processes)
        others = [await opened.enter_async_context(parts.started()) for _ in more]
        await _drop(conn, BESIDE)
        async with conn.transaction():
            await schema.build(conn, BESIDE)
            waiting = await indexes.put_off(conn, BESIDE)
        await _know_partitions(conn, topics)
        replay = await Replay.begin(conn, BESIDE, stores, topics, progress)
        await Parts(replay, Where(live, sources, BESIDE, begun), upto, others, progress).gather()
        await _finish([conn, await opened.enter_async_context(connected(live))], waiting)
        for _ in range(_ROUNDS_MAX):
            if await replay.catch_up() < _CLOSE:
                break
        await _swap(conn, replay)
        await _drop(conn, _OLD)
        return replay.done


async def _finish(lanes: Sequence[Conn], waiting: Mapping[str, Sequence[str]]) -> None:
    """What follows from all rows: of movements on one connection, of the other tables on another, or one after the
    other while somebody asks for reports.
    """
    of_lines = (MOVEMENT.name, BALANCE.name)
    ours = {table: statements for table, statements in waiting.items() if table in of_lines}
    others = {table: statements for table, statements in waiting.items() if table not in of_lines}

    async def of_movements(conn: Conn) -> None:
        async with conn.transaction():
            await schema.use(conn, BESIDE)
            await conn.execute(_BALANCES)
        await indexes.make(conn, BESIDE, ours)

    if await readers.are_asking(lanes[0]):
        await of_movements(lanes[0])
        await indexes.make(lanes[1], BESIDE, others)
    else:
        await side_by_side([of_movements(lanes[0]), indexes.make(lanes[1], BESIDE, others)])


async def _swap(conn: Conn, replay: Replay) -> None:
    attempt = 1
    while True:
        mark = replay.mark()
        try:
            async with conn.transaction():
                # Every batch moves its partitions' positions first thing: none is in flight now, and none begins.
                await conn.execute(_STAND_STILL, CONSUMER)
                await replay.finish()
                await conn.execute(f"ALTER SCHEMA {schema.LIVE} RENAME TO {_OLD}")
                await conn.execute(f"ALTER SCHEMA {BESIDE} RENAME TO {schema.LIVE}")
                await schema.remember(conn)
            log.info("read_models_swapped", facts=replay.done)
            return
        except asyncpg.DeadlockDetectedError:
            if attempt == _SWAPS_MAX:
                raise
            attempt += 1
            replay.back_to(mark)


async def _know_partitions(conn: Conn, topics: Mapping[str, str]) -> None:
    """A row per partition, so that there is something to lock even where no worker ever ran."""
    await conn.execute(_PARTITIONS, CONSUMER, list(topics.values()), PARTITIONS)


async def _drop(conn: Conn, name: str) -> None:
    await conn.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


_BALANCES: Final = f"""
WITH daily AS (
    SELECT a.anchor, m.branch, m.currency, m.kind, a.anchored_on, minor_sum(m.amount_minor) AS amount_minor
    FROM movement m CROSS JOIN LATERAL (VALUES ('due', m.due_on), ('invoice', m.issued_on)) AS a(anchor, anchored_on)
    GROUP BY 1, 2, 3, 4, 5 HAVING minor_sum(m.amount_minor) <> 0
)
INSERT INTO branch_balance (anchor, branch, currency, kind, begins_on, {", ".join(EIGHT)})
SELECT anchor, branch, currency, kind, anchored_on - day AS begins_on, {EIGHT_SUMS}
FROM (SELECT *, day_of_eight(anchored_on) AS day FROM daily) d
GROUP BY 1, 2, 3, 4, 5 ORDER BY branch, begins_on, kind, anchor, currency
"""  # noqa: S608 - names of columns
_PARTITIONS: Final = """
INSERT INTO consumer_position (consumer, topic, partition, next_offset, last_seq)
SELECT $1, topic, partition, 0, 0 FROM unnest($2::text[]) AS topic, generate_series(0, $3::int - 1) AS partition
ON CONFLICT DO NOTHING
"""
_STAND_STILL: Final = """
SELECT FROM consumer_position WHERE consumer = $1 ORDER BY topic, partition FOR UPDATE
"""
