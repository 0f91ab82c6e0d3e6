"""A rebuild in several processes is the rebuild of one, and whichever of them dies, nothing has changed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import asyncpg
import msgspec
import pytest

from services.kernel.store import Conn, open_pool
from services.kernel.tasks import end
from services.projections import parts, replay, turns
from services.projections.parts import Order, PartEnded, Where
from services.projections.readers import READERS
from services.projections.replay import Found
from services.projections.source import Share
from services.projections.turns import RebuildRunning
from tests.support.event_stores import record
from tests.support.histories import history
from tests.support.patience import until
from tests.support.read_models import dump
from tests.support.rebuilding import System

PROCESSES = 3


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.subprocess.Process]:
    """The processes that were started."""
    processes: list[asyncio.subprocess.Process] = []
    start = asyncio.create_subprocess_exec

    async def noted(*command: str, **options: Any) -> asyncio.subprocess.Process:
        processes.append(await start(*command, **options))
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    return processes


async def test_what_several_gather_equals_what_was_live(
    system: System, started: list[asyncio.subprocess.Process]
) -> None:
    books = history(Random(21), 400)
    await system.publish(books.log)
    receipts = sorted({k.envelope.stream for k in books.log if k.envelope.stream.startswith("receipt")})
    for stream in receipts[:12]:
        system.kafka.spoil(stream, 1)
    await system.consumer.drain()
    before, versions, parked = await dump(system.look), await system.versions(), await system.parked()
    told: list[tuple[str, int, int]] = []
    done = await system.rebuild(lambda *step: told.append(step), PROCESSES)
    assert await dump(system.look) == before
    assert await system.versions() == versions
    assert await system.parked() == parked
    assert [process.returncode for process in started] == [0] * (PROCESSES - 1)
    assert sum(done.values()) == len(books.log)
    for service, last in done.items():
        steps = [at for name, at, _ in told if name == service]
        assert steps == sorted(steps)
        assert steps[-1] == last


async def test_what_stops_in_any_of_them_stays_out(system: System, started: list[asyncio.subprocess.Process]) -> None:
    """Facts that cannot be read, in streams of every share, before any of it was live."""
    books = history(Random(22), 400)
    await record(system.stores, books.log)
    sick = {k.envelope.stream: k.envelope.stream_version for k in books.log if k.envelope.stream.startswith("receipt")}
    await system.spoil(sick)
    # Given the read models as three processes leave them, and what came later is folded by one.
    await system.rebuild(processes=PROCESSES)
    rebuilt = await dump(system.look)
    assert len(started) == PROCESSES - 1
    # When one process does it
    await system.rebuild(processes=1)
    assert len(started) == PROCESSES - 1
    # Then they are the same, and what Kafka brings is parked where they stop.
    assert await dump(system.look) == rebuilt
    system.kafka.send(books.log)
    for stream, version in sick.items():
        system.kafka.spoil(stream, version)
    await system.consumer.drain()
    assert await dump(system.look) == rebuilt
    assert set(sick.items()) <= await system.parked()


async def test_one_that_is_killed_ends_the_rebuild_and_nothing_has_changed(
    system: System, started: list[asyncio.subprocess.Process]
) -> None:
    books = history(Random(23), 300)
    await system.publish(books.log)
    await system.consumer.drain()
    before = await dump(system.look)

    def kill(*_: object) -> None:
        for process in started:
            with suppress(ProcessLookupError):
                process.kill()

    with pytest.raises(PartEnded, match=r"process \d of 3 ended with status -9"):
        await system.rebuild(kill, PROCESSES)
    assert await dump(system.look) == before
    assert all(process.returncode is not None for process in started)
    await _again(system)
    assert await dump(system.look) == before


async def test_one_that_the_first_leaves_behind_ends_and_until_then_there_is_no_other_rebuild(system: System) -> None:
    books = history(Random(24), 50)
    await record(system.stores, books.log)
    first, left, other = [await asyncpg.connect(system.live) for _ in range(3)]
    begun = await turns.begin(first)
    await turns.join(left, begun)
    await first.close()
    with pytest.raises(RebuildRunning):
        await turns.begin(other)
    # One that had yet to begin finds that it is too late.
    status, said = await _part(system, begun)
    assert status != 0
    assert "the rebuild that this process was to work for has ended" in said
    await left.close()
    await _again(system)
    await other.close()


async def test_one_to_whom_nobody_listens_ends(system: System) -> None:
    await record(system.stores, history(Random(25), 50).log)
    conn = await asyncpg.connect(system.live)
    begun = await turns.begin(conn)
    status, said = await _part(system, begun)
    assert status != 0
    assert "BrokenPipeError" in said
    await conn.close()


@pytest.mark.parametrize(("asking", "at_once"), [(False, 2), (True, 1)])
async def test_one_at_a_time_works_while_somebody_asks_for_reports(system: System, asking: bool, at_once: int) -> None:
    working, most = 0, 0

    async def work(conn: Conn) -> None:
        nonlocal working, most
        for _ in range(5):
            async with turns.turn(conn) as asked:
                assert asked == asking
                working += 1
                most = max(most, working)
                await asyncio.sleep(0.05)
                working -= 1

    first, second = [await asyncpg.connect(system.live) for _ in range(2)]
    async with _asked(system, READERS if asking else "openitem-worker"):
        await asyncio.gather(work(first), work(second))
    assert most == at_once
    await first.close()
    await second.close()


@pytest.mark.parametrize(("asking", "others"), [(False, PROCESSES - 1), (True, 0)])
async def test_no_other_process_is_started_while_somebody_asks_for_reports(
    system: System,
    started: list[asyncio.subprocess.Process],
    monkeypatch: pytest.MonkeyPatch,
    asking: bool,
    others: int,
) -> None:
    monkeypatch.setattr(parts, "worth", lambda _: PROCESSES)
    monkeypatch.setattr(replay, "FEW", 7)
    books = history(Random(23), 60)
    await system.publish(books.log)
    await system.consumer.drain()
    before = await dump(system.look)
    async with _asked(system, READERS if asking else "openitem-worker"):
        done = await system.rebuild()
    assert len(started) == others
    assert sum(done.values()) == len(books.log)
    assert await dump(system.look) == before


@asynccontextmanager
async def _asked(system: System, name: str) -> AsyncIterator[None]:
    """Somebody whom Postgres knows by that name asks for something again and again."""
    async with await open_pool(system.live, size_max=1, name=name) as reports:

        async def ask() -> None:
            while True:
                await reports.fetchval("SELECT 1")
                await asyncio.sleep(0.1)

        asker = asyncio.create_task(ask())
        await asyncio.sleep(0.1)
        try:
            yield
        finally:
            await end(asker)


async def _again(system: System) -> None:
    """Rebuild once more, as soon as Postgres has noticed that the connections of the dead are gone."""

    async def rebuilt() -> bool:
        with suppress(RebuildRunning):
            return bool(await system.rebuild(processes=PROCESSES))
        return False

    await until(rebuilt)


async def _part(system: System, begun: int) -> tuple[int, str]:
    """A process that gathers a part and to whom nobody listens: its exit status, and what it says on standard error."""
    where = Where(system.live, system.stores, "rebuild", begun)
    order = Order(where, Found({}, {}, set()), dict.fromkeys(system.stores, 1_000), Share(0, 2))
    ours, theirs = os.pipe()
    os.close(ours)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from services.projections.parts import main; main()"),
        stdin=asyncio.subprocess.PIPE,
        stdout=theirs,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(theirs)
    _, said = await process.communicate(msgspec.json.encode(order))
    assert process.returncode is not None
    return process.returncode, said.decode()
