"""Aging on a real database against a computation of its own, whichever way it is asked."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import pytest

from tests.integration.reporting.books import Books, aged
from tests.integration.reporting.desk import Desk, minor

DAYS = (date(2024, 1, 1), date(2024, 6, 30), date(2025, 1, 31), date(2025, 11, 30), date(2026, 6, 30))
KEYS = {
    "branch": ("branch", "currency"),
    "account": ("account_id", "currency"),
    "job": ("account_id", "job_id", "currency"),
    "item": ("item_id", "account_id", "currency"),
}


def reported(rows: list[dict[str, Any]], by: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows as `aged` has them."""
    found = {}
    for row in rows:
        key = tuple(row[name] for name in KEYS[by])
        assert key not in found, f"{key} twice"
        found[key] = amounts(row)
    return found


def amounts(row: dict[str, Any]) -> dict[str, Any]:
    currency = row["currency"]
    named = {name: minor(row[name], currency) for name in ("past_due", "retainage", "unapplied", "total")}
    return {"buckets": [minor(text, currency) for text in row["buckets"].values()], **named}


def expected(books: Books, as_of: date, by: str, known_at: datetime | None = None, **how: Any) -> dict[Any, Any]:
    rows = aged(books.known(as_of, known_at), as_of, by, **how)
    return {tuple(str(p) if p is not None else None for p in key): amounts for key, amounts in rows.items()}


class TestAgainstTheBooks:
    @pytest.mark.parametrize(
        ("by", "anchor", "credits_"), list(product(KEYS, ("due", "invoice"), ("separate", "in_bucket")))
    )
    async def test_every_layout_is_right_on_every_day(
        self, books: Books, desk: Desk, by: str, anchor: str, credits_: str
    ) -> None:
        for day in DAYS:
            answer = await desk.ask("/aging", as_of=day, by=by, anchor=anchor, credits_=credits_, limit=1000)
            want = expected(books, day, by, anchor=anchor, in_bucket=credits_ == "in_bucket")
            assert reported(answer["rows"], by) == want, day
            assert answer["as_of"] == day.isoformat()

    @pytest.mark.parametrize("by", ["branch", "account"])
    async def test_other_buckets_are_right_too(self, books: Books, desk: Desk, by: str) -> None:
        for text, ends in (
            ("45", (45,)),
            ("1,2,3", (1, 2, 3)),
            ("30,60,90,120,180,365,3650", (30, 60, 90, 120, 180, 365, 3650)),
        ):
            answer = await desk.ask("/aging", as_of=DAYS[3], by=by, buckets=text, limit=1000)
            assert reported(answer["rows"], by) == expected(books, DAYS[3], by, ends=ends)

    async def test_what_was_not_known_then_is_left_out(self, books: Books, desk: Desk) -> None:
        at = datetime(2025, 11, 15, 17, tzinfo=UTC)
        for day, by in product(DAYS, KEYS):
            answer = await desk.ask("/aging", as_of=day, by=by, known_at=at.isoformat(), limit=1000)
            assert reported(answer["rows"], by) == expected(books, day, by, at), (day, by)
            assert answer["known_at"] == "2025-11-15T17:00:00Z"
        assert expected(books, DAYS[3], "branch", at) != expected(books, DAYS[3], "branch")

    async def test_totals_are_of_all_rows_and_not_of_the_page(self, books: Books, desk: Desk) -> None:
        for day in DAYS[1:]:
            answer = await desk.ask("/aging", as_of=day, by="item", limit=1)
            assert {(t["currency"],): amounts(t) for t in answer["totals"]} == expected(books, day, "total")
        assert {total["currency"] for total in answer["totals"]} == {"USD", "JPY", "KWD"}

    async def test_filters_narrow_rows_and_totals_alike(self, books: Books, desk: Desk) -> None:
        day, accounts = DAYS[3], sorted(books.collectors)[:3]
        kim = {account for account, collector in books.collectors.items() if collector == "kim"}
        cases: list[tuple[dict[str, Any], Any]] = [
            ({"branch": ["DAL"]}, lambda p: p.branch == "DAL"),
            ({"branch": ["DAL", "TYO"]}, lambda p: p.branch in ("DAL", "TYO")),
            ({"branch": ["NONE"]}, lambda p: False),
            ({"account": [str(a) for a in accounts]}, lambda p: p.account_id in accounts),
            ({"currency": ["JPY", "KWD"]}, lambda p: p.currency in ("JPY", "KWD")),
            ({"collector": ["kim"]}, lambda p: p.account_id in kim),
            ({"collector": ["kim"], "branch": ["DAL"]}, lambda p: p.account_id in kim and p.branch == "DAL"),
        ]
        for (params, keeps), by in product(cases, KEYS):
            answer = await desk.ask("/aging", as_of=day, by=by, limit=1000, **params)
            mine = [p for p in books.known(day) if keeps(p)]
            want = {tuple(str(k) if k is not None else None for k in key): v for key, v in aged(mine, day, by).items()}
            assert reported(answer["rows"], by) == want, (params, by)
            totals = {(t["currency"],): amounts(t) for t in answer["totals"]}
            assert totals == aged(mine, day, "total"), params


class TestTheControlAccount:
    async def test_buckets_retainage_and_unapplied_add_up_to_it(self, books: Books, desk: Desk) -> None:
        for params in ({}, {"branch": ["DAL"]}, {"by": "account"}, {"credits_": "in_bucket"}, {"as_of": "2099-12-31"}):
            answer = await desk.ask("/aging", **params)
            assert [t["currency"] for t in answer["totals"]] == (
                ["KWD", "USD"] if "branch" in params else ["JPY", "KWD", "USD"]
            )
            for total in answer["totals"]:
                assert total["control_balance"] == total["total"]
                assert minor(total["difference"], total["currency"]) == 0

    async def test_what_takes_effect_later_is_in_neither(self, database: str, desk: Desk) -> None:
        books = Books()
        account = books.account(books.branch("CHI"), "A-1")
        books.issue("CHI", account, 100_00, date(2098, 1, 1), date(2098, 2, 1))
        books.issue("CHI", account, 7_00, date(2025, 1, 1), date(2025, 2, 1))
        await books.deliver(database)
        [total] = (await desk.ask("/aging"))["totals"]
        assert (total["total"], total["control_balance"], total["difference"]) == ("7.00", "7.00", "0.00")
        [total] = (await desk.ask("/aging", as_of="2098-03-01"))["totals"]
        assert (total["total"], total["control_balance"], total["difference"]) == ("107.00", "107.00", "0.00")

    @pytest.mark.parametrize(
        "params", [{"as_of": "2025-01-01"}, {"known_at": "2099-01-01"}, {"collector": "kim"}, {"account": "0" * 32}]
    )
    async def test_it_is_not_told_where_it_cannot_be(self, books: Books, desk: Desk, params: dict[str, str]) -> None:
        for total in (await desk.ask("/aging", **params))["totals"]:
            assert total["control_balance"] is None
            assert total["difference"] is None


class TestPublishedFixtures:
    async def test_buckets_by_due_date(self, database: str, desk: Desk) -> None:
        """OCA account-financial-reporting, issue 383."""
        books = Books()
        account = books.account(books.branch("CHI"), "A-1")
        dues = [
            (2018, 1, 500),
            (2017, 12, 1_000),
            (2017, 11, 2_000),
            (2017, 10, 4_000),
            (2017, 9, 8_000),
            (2017, 8, 160_000),
        ]
        for year, month, dollars in dues:
            books.issue("CHI", account, dollars * 100, date(2017, 1, 1), date(year, month, 15))
        await books.deliver(database)
        [row] = (await desk.ask("/aging", as_of="2017-12-31"))["rows"]
        assert row["buckets"] == {
            "current": "500.00",
            "1-30": "1000.00",
            "31-60": "2000.00",
            "61-90": "4000.00",
            "91-120": "8000.00",
            "121+": "160000.00",
        }
        assert row["total"] == "175500.00"
        assert row["past_due"] == "175000.00"

    async def test_paid_later_is_still_open(self, database: str, desk: Desk) -> None:
        """OCA account-financial-reporting, issue 707."""
        books = Books()
        account = books.account(books.branch("CHI"), "A-1")
        bill = books.issue("CHI", account, 100_00, date(2020, 4, 30), date(2020, 4, 30))
        books.pay(bill, 100_00, date(2020, 6, 30))
        await books.deliver(database)
        [row] = (await desk.ask("/aging", as_of="2020-05-31", by="item"))["rows"]
        assert (row["item"], row["buckets"]["31-60"], row["total"]) == (books.numbers[bill.id], "100.00", "100.00")
        assert (await desk.ask("/aging", as_of="2020-06-30", by="item"))["rows"] == []

    async def test_money_received_but_applied_later_is_unapplied_in_between(self, database: str, desk: Desk) -> None:
        """Applications after the day are ignored as well, not just payments."""
        books = Books()
        account = books.account(books.branch("CHI"), "A-1")
        bill = books.issue("CHI", account, 100_00, date(2025, 1, 1), date(2025, 1, 31))
        receipt = books.receive("CHI", account, 80_00, date(2025, 2, 10))
        books.apply(receipt, bill, 80_00, date(2025, 3, 5))
        await books.deliver(database)
        [row] = (await desk.ask("/aging", as_of="2025-02-28"))["rows"]
        assert (row["buckets"]["1-30"], row["unapplied"], row["total"]) == ("100.00", "-80.00", "20.00")
        [row] = (await desk.ask("/aging", as_of="2025-02-28", credits_="in_bucket"))["rows"]
        assert (row["buckets"]["1-30"], row["unapplied"], row["total"]) == ("20.00", None, "20.00")
        [row] = (await desk.ask("/aging", as_of="2025-03-05"))["rows"]
        assert (row["buckets"]["31-60"], row["unapplied"], row["total"]) == ("20.00", "0.00", "20.00")


class TestColumnsOfTheirOwn:
    async def test_retainage_is_never_late_until_it_is_released(self, database: str, desk: Desk) -> None:
        books = Books()
        account = books.account(books.branch("CHI"), "A-1")
        bill = books.issue("CHI", account, 1_000_00, date(2024, 1, 1), date(2024, 1, 31), retainage=100_00)
        books.pay(bill, 900_00, date(2024, 1, 20))
        books.release(bill, 60_00, date(2025, 1, 1), date(2025, 1, 31))
        await books.deliver(database)
        [row] = (await desk.ask("/aging", as_of="2024-12-31"))["rows"]
        assert (row["past_due"], row["retainage"], row["total"]) == ("0.00", "100.00", "100.00")
        [row] = (await desk.ask("/aging", as_of="2025-03-31"))["rows"]
        assert (row["buckets"]["31-60"], row["retainage"], row["total"]) == ("60.00", "40.00", "100.00")

    async def test_money_of_nobody_is_a_row_of_its_own(self, database: str, desk: Desk) -> None:
        books = Books()
        books.branch("CHI")
        account = books.account("CHI", "A-1")
        receipt = books.receive("CHI", None, 50_00, date(2025, 1, 1))
        books.identify(receipt, account, 50_00, date(2025, 2, 1))
        await books.deliver(database)
        for by, name in (("account", "account_id"), ("job", "account_id"), ("item", "account_id")):
            [row] = (await desk.ask("/aging", as_of="2025-01-31", by=by))["rows"]
            assert (row[name], row["unapplied"]) == (None, "-50.00")
            [row] = (await desk.ask("/aging", as_of="2025-02-01", by=by))["rows"]
            assert (row[name], row["unapplied"]) == (str(account), "-50.00")
        assert row["item_id"] == str(receipt.id)


class TestOrder:
    async def test_by_name_or_by_the_largest_amounts(self, books: Books, desk: Desk) -> None:
        rows = (await desk.ask("/aging", by="account", as_of=DAYS[3], limit=1000))["rows"]
        names = [row["account"] or "" for row in rows]
        assert names == sorted(names)
        for sort in ("total", "past_due"):
            rows = (await desk.ask("/aging", by="account", as_of=DAYS[3], sort=f"-{sort}", limit=1000))["rows"]
            found = [minor(row[sort], row["currency"]) for row in rows]
            assert found == sorted(found, key=lambda m: -(m or 0))

    @pytest.mark.parametrize(
        ("by", "sort", "credits_"), list(product(("account", "job"), ("total", "past_due"), ("separate", "in_bucket")))
    )
    async def test_pages_of_the_largest_amounts_are_right_to_the_last(
        self, books: Books, desk: Desk, by: str, sort: str, credits_: str
    ) -> None:
        """Those of today begin with what is above zero, and go on to what is not."""
        day = date(2099, 12, 31)
        rows = await desk.pages("/aging", 2, as_of=day, by=by, sort=f"-{sort}", credits=credits_)
        want = expected(books, day, by, in_bucket=credits_ == "in_bucket")
        assert reported(rows, by) == want
        order = [(-amounts(row)[sort], ":".join(row[k] for k in KEYS[by] if row[k] is not None)) for row in rows]
        assert order == sorted(order)
        assert order[0][0] < 0 <= order[-1][0], "some above zero, some not"

    async def test_a_page_of_the_largest_has_the_totals_of_all(self, books: Books, desk: Desk) -> None:
        day = date(2099, 12, 31)
        for currency in (["USD"], ["JPY", "KWD"], None):
            answer = await desk.ask("/aging", as_of=day, by="account", sort="-past_due", limit=1, currency=currency)
            assert answer["next"] is not None
            mine = [p for p in books.known(day) if currency is None or p.currency in currency]
            assert {(t["currency"],): amounts(t) for t in answer["totals"]} == aged(mine, day, "total")


async def test_empty_books_have_an_empty_report(desk: Desk) -> None:
    for by in KEYS:
        answer = await desk.ask("/aging", by=by)
        assert (answer["rows"], answer["totals"], answer["next"]) == ([], [], None)
