"""Snapshots change how fast a question is answered and never the answer, whatever comes in meanwhile."""

import asyncio
from datetime import date, timedelta
from random import Random

import asyncpg
import pytest

from services.kernel.pool import open_pool
from services.projections import snapshots
from services.projections.models.balance import EIGHT
from services.projections.project import handler
from tests.conftest import MakeDatabase
from tests.support.books import Books
from tests.support.histories import FIRST, history, shuffled
from tests.support.read_models import Aging, absorb, aging, expected_aging, reader

DAYS = [FIRST + timedelta(days=17 * at) for at in range(-1, 30)]


async def build(url: str) -> None:
    async with await open_pool(url, size_max=2) as pool:
        while await snapshots.build_missing(pool, at_most=100):
            pass


async def answers(conn: asyncpg.Connection) -> list[Aging]:
    return [
        await aging(conn, by, as_of, anchor=anchor)
        for by in ("branch", "account", "job", "item")
        for anchor in ("due", "invoice")
        for as_of in DAYS
    ]


async def states(conn: asyncpg.Connection) -> dict[str, int]:
    rows = await conn.fetch("SELECT state, count(*) FROM snapshot GROUP BY 1")
    return {row["state"]: row["count"] for row in rows}


async def test_answers_are_the_same_with_and_without(make_database: MakeDatabase) -> None:
    url = await make_database("projections")
    books = history(Random(1), 400)
    async with reader(url) as conn:
        await absorb(conn, books.log)
        without = await answers(conn)
        await build(url)
        assert (await states(conn))["ready"] > 20
        assert (await conn.fetchval("SELECT count(*) FROM item_snapshot")) > 0
        assert await answers(conn) == without
        for as_of in DAYS:
            known = books.log[200].envelope.recorded_at
            assert await aging(conn, "branch", as_of, known) == expected_aging(books, "branch", as_of, known)
            assert await aging(conn, "item", as_of, known) == expected_aging(books, "item", as_of, known)


async def test_a_snapshot_is_really_read(make_database: MakeDatabase) -> None:
    """Spoiled, it spoils the answer: otherwise the test above would prove nothing."""
    url = await make_database("projections")
    books = Books()
    books.issue("1", "B1", "acme", 100, date(2025, 1, 10))
    async with reader(url) as conn:
        await absorb(conn, books.log)
        await build(url)
        spoiled = ", ".join(f"{day} = {7 if day == EIGHT[0] else 0}" for day in EIGHT)
        await conn.execute(f"UPDATE branch_snapshot SET {spoiled} WHERE taken_on = '2025-03-03'")
        await conn.execute("UPDATE item_snapshot SET amount_minor = 8 WHERE taken_on = '2026-01-01'")
        assert sum((await aging(conn, "branch", date(2025, 2, 28))).values()) == 7
        assert sum((await aging(conn, "account", date(2025, 12, 31))).values()) == 8


@pytest.mark.parametrize("days", [0, 100])
async def test_the_nearest_snapshot_is_found_however_far_it_is(make_database: MakeDatabase, days: int) -> None:
    url = await make_database("projections")
    books = Books()
    books.issue("1", "B1", "acme", 100, date(2024, 1, 10))
    day, before, after = date(2025, 2, 28), date(2025, 2, 24), date(2025, 3, 3)
    async with reader(url) as conn:
        await absorb(conn, books.log)
        await build(url)
        # Those in between are built anew just now, as after a back-dated fact.
        near = "taken_on > $1::date - $2::int AND taken_on < $1::date + 1 + $2::int"
        await conn.execute(f"UPDATE snapshot SET state = 'building' WHERE {near}", day, days)
        left = await conn.fetch("SELECT taken_on FROM snapshot WHERE grain = 'branch' AND state = 'ready'")
        nearest = min((abs((row["taken_on"] - day).days - 1), row["taken_on"]) for row in left)[1]
        assert (nearest in (before, after)) == (days == 0)
        assert await conn.fetchval("SELECT base FROM aging_base('branch', $1, NULL)", day) == nearest
        assert sum((await aging(conn, "branch", day)).values()) == 100


async def test_a_branch_without_the_snapshot_that_others_start_from_is_told_right(make_database: MakeDatabase) -> None:
    url = await make_database("projections")
    books = Books()
    books.issue("1", "B1", "acme", 100, date(2025, 1, 10))
    books.issue("2", "B3", "acme", 1000, date(2025, 1, 10))
    async with reader(url) as conn:
        await absorb(conn, books.log)
        await build(url)
        on = date(2025, 3, 1)
        for number, branch in (("3", "B2"), ("4", "B3")):  # B2 begins, and has no snapshots; the next of B3 are stale.
            before = len(books.log)
            books.issue(number, branch, "acme", 7, on)
            await absorb(conn, books.log[before:])
            for by in ("branch", "account", "total"):
                for day in (on + timedelta(days=days) for days in (-1, 0, 1, 20)):
                    assert await aging(conn, by, day) == expected_aging(books, by, day), (by, day)


async def test_a_back_dated_fact_makes_later_ones_of_its_branch_stale_at_once(make_database: MakeDatabase) -> None:
    url = await make_database("projections")
    books = Books()
    books.issue("1", "B1", "acme", 100, date(2025, 1, 10))
    books.issue("2", "B2", "acme", 100, date(2025, 1, 10))
    async with reader(url) as conn:
        await absorb(conn, books.log)
        await build(url)
        before = len(books.log)
        books.issue("3", "B1", "acme", 11, date(2025, 4, 20))
        await absorb(conn, books.log[before:])
        rows = await conn.fetch("SELECT DISTINCT branch, taken_on > '2025-04-20' AS later, state FROM snapshot")
        assert {tuple(row) for row in rows} == {
            ("B1", False, "ready"),
            ("B1", True, "stale"),
            ("B2", False, "ready"),
            ("B2", True, "ready"),
        }
        assert await aging(conn, "branch", date(2025, 4, 30)) == expected_aging(books, "branch", date(2025, 4, 30))
        await build(url)
        assert set(await states(conn)) == {"ready"}
        assert await aging(conn, "branch", date(2025, 4, 30)) == expected_aging(books, "branch", date(2025, 4, 30))


async def test_a_writer_that_began_before_the_build_is_waited_for(make_database: MakeDatabase) -> None:
    url = await make_database("projections")
    books = Books()
    books.issue("1", "B1", "acme", 100, date(2025, 1, 10))
    async with reader(url) as conn, reader(url) as writer:
        await absorb(conn, books.log)
        before = len(books.log)
        books.issue("2", "B1", "acme", 11, date(2025, 1, 20))
        open_transaction = writer.transaction()
        await open_transaction.start()
        await handler(writer, books.log[before:])
        building = asyncio.create_task(build(url))
        await asyncio.sleep(0.3)
        assert not building.done()
        await open_transaction.commit()
        await building
        assert set(await states(conn)) == {"ready"}
        assert sum((await aging(conn, "branch", date(2025, 2, 1))).values()) == 111


@pytest.mark.parametrize("seed", range(3))
async def test_answers_stay_right_while_facts_and_builds_go_on_at_once(make_database: MakeDatabase, seed: int) -> None:
    url = await make_database("projections")
    rng = Random(seed)
    books = history(rng, 300)
    log = shuffled(books.log, rng)
    writing = True

    async def build_on() -> None:
        async with await open_pool(url, size_max=2) as pool:
            while writing:
                await snapshots.build_missing(pool, at_most=3)
                await snapshots.prune(pool)

    async with reader(url) as conn:
        building = asyncio.create_task(build_on())
        await absorb(conn, log, size=9)
        writing = False
        await building
        await build(url)
        for by in ("branch", "item"):
            for as_of in DAYS[::3]:
                assert await aging(conn, by, as_of) == expected_aging(books, by, as_of)
