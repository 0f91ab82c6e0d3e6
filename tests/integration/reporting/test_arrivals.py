"""Readers who wait for a fact to show are woken by the commit that shows it, however many wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date

import asyncpg
import pytest

from services.kernel.meta import EVERY_BRANCH
from services.kernel.store import Pool, open_pool
from services.reporting import arrivals
from services.reporting.arrivals import Arrivals
from services.reporting.reading import CONSUMER
from tests.integration.reporting.books import Books
from tests.support.patience import PATIENCE_S, until


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with await open_pool(database, size_max=2, branches=EVERY_BRANCH) as pool:
        yield pool


def issue(books: Books, number: str) -> dict[str, int]:
    """A new invoice; answers the version that shows it."""
    account = next(iter(books.collectors))
    books.issue("CHI", account, 100_00, date(2025, 1, 1), date(2025, 1, 31), number=number)
    written = books.facts[-1].envelope
    return {written.stream: written.stream_version}


async def test_a_crowd_is_woken_by_the_commit_and_by_nothing_else(
    books: Books, database: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "_LOOK_S", 3_600.0)
    waiting = Arrivals(pool, CONSUMER)
    wanted = [issue(books, f"NEW-{n}") for n in range(20)]
    crowd = [asyncio.create_task(waiting.show(one, PATIENCE_S)) for one in wanted]
    await asyncio.sleep(0.3)
    assert not any(one.done() for one in crowd)
    await books.deliver(database)
    assert await asyncio.gather(*crowd) == [True] * 20


async def test_one_who_waits_in_vain_keeps_neither_others_nor_a_connection(
    books: Books, database: str, pool: Pool
) -> None:
    waiting = Arrivals(pool, CONSUMER)
    wanted = issue(books, "NEW-1")
    vain = asyncio.create_task(waiting.show({"invoice-4711": 1}, 0.5))
    patient = asyncio.create_task(waiting.show(wanted, PATIENCE_S))
    assert await vain is False
    await books.deliver(database)
    assert await patient is True

    async def let_go() -> bool:
        return pool.get_idle_size() == pool.get_size()

    await until(let_go)
    assert await waiting.show({"invoice-4711": 1}, 0.1) is False  # And it can be had again.


async def test_who_waits_is_told_when_the_connection_breaks(books: Books, database: str, pool: Pool) -> None:
    waiting = Arrivals(pool, CONSUMER)
    patient = asyncio.create_task(waiting.show({"invoice-4711": 1}, PATIENCE_S))
    other = await asyncpg.connect(database)
    try:

        async def cut() -> bool:
            return bool(await other.fetchval(_CUT))

        await until(cut)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await patient
    finally:
        await other.close()
    wanted = issue(books, "NEW-2")
    again = asyncio.create_task(waiting.show(wanted, PATIENCE_S))
    await asyncio.sleep(0.1)
    await books.deliver(database)
    assert await again is True


_CUT = """
SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'openitem' AND query LIKE '%w.stream, w.version%'
"""
