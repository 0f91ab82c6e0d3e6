"""Aging, against real Postgres: fixtures of the domain reference, both clocks, both anchors, all filters."""

from datetime import date, timedelta

import asyncpg
import pytest

from tests.conftest import MakeDatabase
from tests.support.books import Books, uid
from tests.support.read_models import absorb, aging, expected_aging, reader

USD = "USD"


async def buckets(conn: asyncpg.Connection, as_of: date, **more: object) -> dict[int, int]:
    found = await aging(conn, "total", as_of, **more)  # type: ignore[arg-type]
    return {bucket: minor for (_, kind, bucket), minor in found.items() if kind == "open"}


async def test_buckets_by_due_date_are_those_of_the_reference(make_database: MakeDatabase) -> None:
    """OCA#383."""
    books = Books()
    for due_on, total in [
        (date(2018, 1, 15), 500),
        (date(2017, 12, 15), 1_000),
        (date(2017, 11, 15), 2_000),
        (date(2017, 10, 15), 4_000),
        (date(2017, 9, 15), 8_000),
        (date(2017, 8, 15), 160_000),
    ]:
        books.issue(f"due {due_on}", "B1", "acme", total, due_on - timedelta(days=30), due_on=due_on)
    async with reader(await make_database("projections")) as conn:
        await absorb(conn, books.log)
        assert await buckets(conn, date(2017, 12, 31)) == {0: 500, 1: 1_000, 2: 2_000, 3: 4_000, 4: 8_000, 5: 160_000}


async def test_what_was_paid_later_was_still_open_then(make_database: MakeDatabase) -> None:
    """OCA#707."""
    books = Books()
    item = books.issue("1", "B1", "acme", 100_00, date(2020, 4, 30))
    receipt = books.receive("r", "B1", "acme", 100_00, date(2020, 6, 30))
    books.apply(receipt, {item: 100_00}, date(2020, 6, 30))
    async with reader(await make_database("projections")) as conn:
        await absorb(conn, books.log)
        assert await buckets(conn, date(2020, 5, 31)) == {1: 100_00}
        assert await aging(conn, "item", date(2020, 6, 30)) == {}


async def test_credits_from_before_any_window_count(make_database: MakeDatabase) -> None:
    """erpnext#31607: what is outstanding does not depend on which period is shown."""
    books = Books()
    item = books.issue("1", "B1", "acme", 100_00, date(2019, 1, 1))
    books.credit("c", item, 30_00, date(2019, 2, 1))
    async with reader(await make_database("projections")) as conn:
        await absorb(conn, books.log)
        assert await buckets(conn, date(2026, 3, 1)) == {5: 70_00}


@pytest.mark.parametrize(
    ("days", "bucket"),
    [(-1, 0), (0, 0), (1, 1), (30, 1), (31, 2), (60, 2), (61, 3), (90, 3), (91, 4), (120, 4), (121, 5)],
)
async def test_a_day_decides_the_bucket(make_database: MakeDatabase, days: int, bucket: int) -> None:
    books = Books()
    books.issue("1", "B1", "acme", 1, date(2025, 1, 1), due_on=date(2025, 6, 1))
    async with reader(await make_database("projections")) as conn:
        await absorb(conn, books.log)
        assert await buckets(conn, date(2025, 6, 1) + timedelta(days=days)) == {bucket: 1}
        issued = await buckets(conn, date(2025, 1, 1) + timedelta(days=max(days, 0)), anchor="invoice")
        assert issued == {bucket: 1}


async def test_a_back_dated_fact_changes_the_past_only_for_whoever_knows_it(make_database: MakeDatabase) -> None:
    books = Books()
    item = books.issue("1", "B1", "acme", 100_00, date(2025, 1, 1))
    before = books.now
    receipt = books.receive("r", "B1", "acme", 40_00, date(2025, 2, 1))
    books.apply(receipt, {item: 40_00}, date(2025, 2, 1))
    async with reader(await make_database("projections")) as conn:
        await absorb(conn, books.log)
        assert await buckets(conn, date(2025, 3, 1)) == {1: 60_00}
        assert await buckets(conn, date(2025, 3, 1), known_at=before) == {1: 100_00}
        assert await buckets(conn, date(2025, 1, 15)) == {0: 100_00}


async def test_retainage_and_unapplied_cash_stand_apart(make_database: MakeDatabase) -> None:
    books = Books()
    item = books.issue("1", "B1", "acme", 100_00, date(2025, 1, 1), retainage=10_00)
    books.receive("known", "B1", "acme", 5_00, date(2025, 2, 10))
    books.receive("unknown", "B1", None, 7_00, date(2025, 2, 20))
    books.release("rel", item, 4_00, date(2025, 2, 1))
    async with reader(await make_database("projections")) as conn:
        await absorb(conn, books.log)
        assert await aging(conn, "account", date(2025, 3, 10)) == {
            (uid("acme"), USD, "open", 2): 90_00,
            (uid("acme"), USD, "open", 1): 4_00,
            (uid("acme"), USD, "retainage", 2): 6_00,
            (uid("acme"), USD, "unapplied", 1): -5_00,
            (None, USD, "unapplied", 1): -7_00,
        }


async def test_filters_and_row_level_security_limit_what_is_seen(make_database: MakeDatabase) -> None:
    url = await make_database("projections")
    books = Books()
    books.account("acme", "B1", collector="kim")
    books.account("beta", "B2")
    on, as_of = date(2025, 1, 1), date(2025, 1, 15)
    books.issue("1", "B1", "acme", 1, on)
    books.issue("2", "B2", "acme", 20, on)
    books.issue("3", "B2", "beta", 300, on)
    books.issue("4", "B2", "beta", 4000, on, currency="CAD")
    async with reader(url) as conn:
        await absorb(conn, books.log)
        for by in ("branch", "account", "job", "item", "total"):
            assert sum((await aging(conn, by, as_of)).values()) == 4321
            assert sum((await aging(conn, by, as_of, branches=["B1"])).values()) == 1
            assert sum((await aging(conn, by, as_of, accounts=[uid("acme")])).values()) == 21
            assert sum((await aging(conn, by, as_of, collectors=["kim"])).values()) == 21
            assert sum((await aging(conn, by, as_of, currencies=["CAD"])).values()) == 4000
            assert await aging(conn, by, as_of, branches=["B1"], accounts=[uid("beta")]) == {}
        with pytest.raises(asyncpg.InvalidParameterValueError):
            await aging(conn, "branch", as_of, anchor="paid")
    async with reader(url, "B1") as conn:
        for by in ("branch", "account", "job", "item", "total"):
            assert sum((await aging(conn, by, as_of)).values()) == 1
            assert await aging(conn, by, as_of, branches=["B2"]) == {}
    async with reader(url, "") as conn:
        assert await aging(conn, "total", as_of) == {}


@pytest.mark.parametrize("by", ["total", "branch", "account", "job", "item"])
async def test_every_day_and_both_clocks_agree_with_the_books(make_database: MakeDatabase, by: str) -> None:
    books = Books()
    for at in range(12):
        on = date(2025, 1, 1) + timedelta(days=13 * at)
        job = "roof" if at % 2 else None
        item = books.issue(f"i{at}", f"B{at % 3}", f"a{at % 2}", 100_00 + at, on, retainage=at, job=job)
        receipt = books.receive(f"r{at}", f"B{at % 2}", f"a{at % 2}", 60_00, on + timedelta(days=20))
        books.apply(receipt, {item: 50_00 - at}, on + timedelta(days=25))
        if at % 4 == 0:
            books.reverse(receipt, on + timedelta(days=40))
        if at % 5 == 0:
            books.void(item, on + timedelta(days=50))
        if at % 7 == 1:
            books.write_off(item, 10_00, on + timedelta(days=45))
    middle = books.log[len(books.log) // 2].envelope.recorded_at
    async with reader(await make_database("projections")) as conn:
        await absorb(conn, books.log, size=7)
        for days in range(0, 260, 13):
            as_of = date(2024, 12, 30) + timedelta(days=days)
            for anchor in ("due", "invoice"):
                assert await aging(conn, by, as_of, anchor=anchor) == expected_aging(books, by, as_of, anchor=anchor)
            assert await aging(conn, by, as_of, middle) == expected_aging(books, by, as_of, middle)
