"""Balances of eight days a row: a bucket may end on any of them, and a report says what its lines add up to."""

from datetime import date, timedelta
from itertools import product
from random import Random

import asyncpg
import pytest

from services.kernel.pool import open_pool
from services.projections import snapshots
from tests.conftest import MakeDatabase
from tests.support.books import Books
from tests.support.histories import FIRST, history
from tests.support.read_models import absorb, aging, reader

_REPORT = "SELECT * FROM aging_report($1, $2, $3, $4, $5, NULL, NULL, NULL, NULL, $6)"
_RANKED = "SELECT * FROM aging_ranked($1, $2, $3, $4, $5, $6, NULL, NULL, NULL, NULL, $7)"


async def test_a_bucket_may_end_on_any_day_of_eight(make_database: MakeDatabase) -> None:
    url = await make_database("projections")
    books = Books()
    first = date(2025, 3, 1)
    for day in range(24):
        on = first + timedelta(days=day)
        books.issue(f"{day}", "B1", "acme", 1 << day, on, due_on=on)
    async with reader(url) as conn:
        await absorb(conn, books.log)
        for built in (False, True):
            for day in range(24, 40):
                found = await aging(conn, "branch", first + timedelta(days=day), bounds=[1, 20, 29])
                told = {bucket: minor for (_, _, _, bucket), minor in found.items()}
                late = [day - at for at in range(24)]
                assert told == {
                    bucket: minor
                    for bucket, low, high in ((1, 1, 19), (2, 20, 28), (3, 29, 99))
                    if (minor := sum(1 << at for at in range(24) if low <= late[at] <= high))
                }, (built, day)
            await build(url)


async def test_a_row_goes_when_all_its_days_are_settled_and_not_before(make_database: MakeDatabase) -> None:
    url = await make_database("projections")
    books = Books()
    on = date(2025, 3, 3)  # With the day after it among the same eight.
    early = books.issue("1", "B1", "acme", 100, on, due_on=on)
    late = books.issue("2", "B1", "acme", 10, on, due_on=on + timedelta(days=1))
    books.void(early, on)
    async with reader(url) as conn:
        await absorb(conn, books.log)
        await prune(url)
        [row] = await conn.fetch("SELECT * FROM branch_balance WHERE anchor = 'due'")
        assert (row["amount_minor"], sorted(row[f"minor_{day}"] for day in range(8))) == (10, [0] * 7 + [10])
        before = len(books.log)
        books.void(late, on)
        await absorb(conn, books.log[before:])
        await prune(url)
        assert await conn.fetch("SELECT * FROM branch_balance") == []


@pytest.mark.parametrize("by", ["total", "branch", "account", "job", "item"])
async def test_a_report_says_what_its_lines_add_up_to(make_database: MakeDatabase, by: str) -> None:
    url = await make_database("projections")
    rng = Random(7)
    books = history(rng, 300)
    async with reader(url) as conn:
        await absorb(conn, books.log)
        await build(url)
        for as_of in [FIRST + timedelta(days=rng.randrange(500)) for _ in range(6)] + [date(2099, 1, 1)]:
            known_at = rng.choice((None, rng.choice(books.log).envelope.recorded_at))
            anchor, bounds = rng.choice(("due", "invoice")), rng.choice(([1, 31, 61, 91, 121], [1], [1, 8, 9, 200]))
            for in_bucket in (False, True):
                rows = await conn.fetch(_REPORT, by, as_of, known_at, anchor, bounds, in_bucket)
                lines = await conn.fetch(
                    "SELECT * FROM aging_by($1, $2, $3, $4, $5)", by, as_of, known_at, anchor, bounds
                )
                assert {key(row): list(row.values())[5:] for row in rows} == expected(lines, len(bounds), in_bucket)


@pytest.mark.parametrize("by", ["account", "job", "item"])
async def test_ranks_are_what_a_report_has_above_zero(make_database: MakeDatabase, by: str) -> None:
    rng = Random(11)
    async with reader(await make_database("projections")) as conn:
        await absorb(conn, history(rng, 300).log)
        for as_of in (FIRST + timedelta(days=rng.randrange(500)), date(2099, 1, 1)):
            anchor, bounds = rng.choice(("due", "invoice")), rng.choice(([1, 31, 61, 91, 121], [1], [1, 8, 9, 200]))
            for in_bucket, rank in product((False, True), ("past_due", "total")):
                rows = await conn.fetch(_REPORT, by, as_of, None, anchor, bounds, in_bucket)
                ranked = await conn.fetch(_RANKED, rank, by, as_of, None, anchor, bounds, in_bucket)
                of_report = {key(row): row[f"{rank}_minor"] for row in rows if row[f"{rank}_minor"] > 0}
                assert {key(row): row["amount_minor"] for row in ranked} == of_report != {}


def key(row: asyncpg.Record) -> tuple[object, ...]:
    return tuple(row.values())[:5]


def expected(lines: list[asyncpg.Record], last: int, in_bucket: bool) -> dict[tuple[object, ...], list[object]]:
    """Buckets, past due, retainage, unapplied and total of each row."""
    found: dict[tuple[object, ...], list[object]] = {}
    for row in {key(line) for line in lines}:
        mine = [line for line in lines if key(line) == row]
        ages = ("open", "unapplied") if in_bucket else ("open",)
        buckets = [
            sum(line["amount_minor"] for line in mine if line["kind"] in ages and line["bucket"] == at)
            for at in range(last + 1)
        ]
        retainage, unapplied = (
            sum(line["amount_minor"] for line in mine if line["kind"] == kind) for kind in ("retainage", "unapplied")
        )
        total = sum(line["amount_minor"] for line in mine)
        found[row] = [buckets, sum(buckets[1:]), retainage, unapplied, total]
    return found


async def build(url: str) -> None:
    async with await open_pool(url, size_max=2) as pool:
        while await snapshots.build_missing(pool, at_most=100):
            pass


async def prune(url: str) -> None:
    async with await open_pool(url, size_max=2) as pool:
        await snapshots.prune(pool)
