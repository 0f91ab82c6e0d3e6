"""Cash flow against the books: what came in, what fell due, what is expected and when."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import pytest

from services.reporting.cash_flow import METHODS
from tests.integration.reporting.books import Books
from tests.integration.reporting.desk import Desk, minor
from tests.integration.reporting.record import Bill

TO = date(2025, 6, 30)
Cells = dict[tuple[str, str, str], int]


def period_of(day: date, by: str) -> date:
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[by]


def told(rows: list[dict[str, Any]]) -> Cells:
    """Amounts other than zero by first day, currency and column."""
    cells: Cells = {}
    for row in rows:
        flat = {**row["received"], **{k: v for k, v in row.items() if k not in ("on", "currency", "received")}}
        for name, text in flat.items():
            if amount := minor(text, row["currency"]):
                cells[row["on"], row["currency"], name] = amount
    return cells


def wanted(books: Books, first: date, last: date, as_of: date, by: str, known_at: datetime | None = None) -> Cells:
    """The same from the books. Without promises; disputes are those that nobody resolved."""
    cells: dict[tuple[str, str, str], int] = defaultdict(int)

    def add(day: date, currency: str, name: str, amount: int) -> None:
        if first <= day <= last:
            cells[period_of(day, by).isoformat(), currency, name] += amount

    for posting, receipt in books.cash:
        if posting.effective_on <= as_of and (known_at is None or posting.recorded_at <= known_at):
            name = receipt.method if posting.cause == "received" else posting.cause
            add(posting.effective_on, posting.currency, name, abs(posting.minor))
            add(posting.effective_on, posting.currency, "net", -posting.minor)
    open_: dict[UUID, int] = defaultdict(int)
    bill: dict[UUID, Any] = {}
    for p in books.known(as_of, known_at):
        if p.kind == "open":
            open_[p.id] += p.minor
            bill[p.id] = p
            if p.cause in ("issued", "released", "credited", "voided"):
                add(p.due_on, p.currency, "fell_due", p.minor)
    late = usual_days_late(books)
    disputed = {fact.item_id: fact for fact in disputes(books) if fact.effective_on <= as_of}
    for item, amount in open_.items():
        p = bill[item]
        add(p.due_on, p.currency, "due", amount)
        likely = max(p.due_on + timedelta(days=late.get((p.account_id, p.currency), 0)), as_of + timedelta(days=1))
        free = amount - (disputed[item].amount.minor if item in disputed else 0)
        add(likely, p.currency, "forecast", max(free, 0))
    return {key: amount for key, amount in cells.items() if amount}


def usual_days_late(books: Books) -> dict[tuple[UUID, str], int]:
    paid: dict[tuple[UUID, str], list[int]] = defaultdict(lambda: [0, 0])
    for bill, amount, days in books.settled:
        sums = paid[bill.item.account_id, bill.currency]
        sums[0] += amount
        sums[1] += amount * days
    return {
        key: int((Decimal(weighted) / amount).quantize(Decimal(1), ROUND_HALF_UP))
        for key, (amount, weighted) in paid.items()
        if amount
    }


def disputes(books: Books) -> list[Any]:
    return [known.fact for known in books.facts if type(known.fact).__name__ == "DisputeOpened"]


class TestAgainstTheBooks:
    @pytest.mark.parametrize("by", ["day", "week", "month"])
    async def test_every_column_is_right(self, books: Books, desk: Desk, by: str) -> None:
        for first, last, as_of in (
            (date(2024, 1, 1), date(2026, 12, 31), TO),
            (date(2025, 5, 7), date(2025, 8, 13), TO),
            (date(2024, 1, 1), date(2026, 12, 31), date(2026, 6, 30)),
        ):
            answer = await desk.ask("/cash-flow", from_=first, to=last, as_of=as_of, by=by)
            assert told(answer["rows"]) == wanted(books, first, last, as_of, by)
            assert answer["rows"] == sorted(answer["rows"], key=lambda row: (row["on"], row["currency"]))

    async def test_what_was_not_known_then_is_left_out(self, books: Books, desk: Desk) -> None:
        at, first, last = datetime(2025, 11, 15, tzinfo=UTC), date(2024, 1, 1), date(2026, 12, 31)
        answer = await desk.ask("/cash-flow", from_=first, to=last, as_of=last, by="month", known_at=at.isoformat())
        assert told(answer["rows"]) == wanted(books, first, last, last, "month", at)
        assert wanted(books, first, last, last, "month", at) != wanted(books, first, last, last, "month")

    async def test_without_a_range_it_is_four_weeks_either_way(self, books: Books, desk: Desk) -> None:
        answer = await desk.ask("/cash-flow", as_of=TO)
        assert told(answer["rows"]) == wanted(books, TO - timedelta(days=27), TO + timedelta(days=28), TO, "day")

    async def test_totals_add_up_the_rows(self, books: Books, desk: Desk) -> None:
        answer = await desk.ask("/cash-flow", from_="2025-01-01", to="2025-12-31", as_of="2025-12-31", by="month")
        assert [total["currency"] for total in answer["totals"]] == ["JPY", "KWD", "USD"]
        for total in answer["totals"]:
            currency = total["currency"]
            mine = [row for row in answer["rows"] if row["currency"] == currency]
            for name in ("net", "fell_due", "due", "promised", "forecast"):
                assert minor(total[name], currency) == sum(minor(row[name], currency) or 0 for row in mine)
            net, due = minor(total["net"], currency), minor(total["fell_due"], currency)
            assert net is not None
            assert due
            share = (Decimal(net * 100) / due).quantize(Decimal("0.1"), ROUND_HALF_UP)
            assert Decimal(total["collected_pct"]) == share

    async def test_filters_leave_the_rest_out(self, books: Books, desk: Desk) -> None:
        span = {"from_": "2024-01-01", "to": "2026-12-31", "as_of": TO, "by": "month"}
        whole = told((await desk.ask("/cash-flow", **span))["rows"])
        parts: dict[tuple[str, str, str], int] = defaultdict(int)
        for branch in ("CHI", "DAL", "TYO"):
            for key, amount in told((await desk.ask("/cash-flow", branch=branch, **span))["rows"]).items():
                parts[key] += amount
        assert dict(parts) == whole
        yen = told((await desk.ask("/cash-flow", currency="JPY", **span))["rows"])
        assert yen == {key: amount for key, amount in whole.items() if key[1] == "JPY"}
        kim = (await desk.ask("/cash-flow", collector="kim", **span))["rows"]
        ids = [str(account) for account, collector in books.collectors.items() if collector == "kim"]
        assert kim == (await desk.ask("/cash-flow", account=ids, **span))["rows"]
        assert kim


class TestForecast:
    """One bill of 1,000 due on 2025-07-10, looked at on 2025-06-30."""

    @pytest.fixture
    def mine(self) -> Books:
        books = Books()
        books.account(books.branch("CHI"), "A-1")
        return books

    def bill(self, books: Books, due_on: date = date(2025, 7, 10), minor: int = 1_000_00) -> Bill:
        return books.issue("CHI", next(iter(books.collectors)), minor, date(2025, 6, 1), due_on)

    async def forecast(self, books: Books, database: str, desk: Desk, as_of: date = TO, **more: Any) -> dict[str, str]:
        await books.deliver(database)
        answer = await desk.ask("/cash-flow", as_of=as_of, from_=TO - timedelta(days=30), to="2025-12-31", **more)
        return {row["on"]: row["forecast"] for row in answer["rows"] if row["forecast"] != "0.00"}

    async def test_who_never_paid_is_expected_on_the_due_date(self, mine: Books, database: str, desk: Desk) -> None:
        self.bill(mine)
        assert await self.forecast(mine, database, desk) == {"2025-07-10": "1000.00"}

    async def test_what_should_have_come_is_expected_tomorrow(self, mine: Books, database: str, desk: Desk) -> None:
        self.bill(mine, date(2025, 6, 20))
        assert await self.forecast(mine, database, desk) == {"2025-07-01": "1000.00"}

    async def test_who_pays_late_is_expected_late_weighted_by_amount(
        self, mine: Books, database: str, desk: Desk
    ) -> None:
        mine.pay(self.bill(mine, date(2025, 6, 2), 300_00), 300_00, date(2025, 6, 12))  # 10 days late.
        mine.pay(self.bill(mine, date(2025, 6, 2), 100_00), 100_00, date(2025, 6, 24))  # 22 days late.
        self.bill(mine)
        assert await self.forecast(mine, database, desk) == {"2025-07-23": "1000.00"}  # 13 days late on average.

    async def test_what_is_undone_teaches_nothing(self, mine: Books, database: str, desk: Desk) -> None:
        paid = self.bill(mine, date(2025, 6, 2), 300_00)
        receipt = mine.pay(paid, 300_00, date(2025, 6, 12))
        mine.unapply(receipt, paid, 300_00, date(2025, 6, 13))
        mine.credit(paid, 300_00, date(2025, 6, 14))
        self.bill(mine)
        assert await self.forecast(mine, database, desk) == {"2025-07-10": "1000.00"}

    async def test_a_promise_counts_on_its_day_and_the_rest_as_usual(
        self, mine: Books, database: str, desk: Desk
    ) -> None:
        bill = self.bill(mine)
        mine.promise(bill.item.account_id, [bill], 400_00, date(2025, 6, 25), date(2025, 8, 1))
        assert await self.forecast(mine, database, desk) == {"2025-07-10": "600.00", "2025-08-01": "400.00"}

    async def test_a_promise_does_not_count_before_it_was_made(self, mine: Books, database: str, desk: Desk) -> None:
        bill = self.bill(mine)
        mine.promise(bill.item.account_id, [bill], 400_00, date(2025, 7, 1), date(2025, 8, 1))
        assert await self.forecast(mine, database, desk) == {"2025-07-10": "1000.00"}

    async def test_a_promise_over_several_items_fills_the_earliest_due_first(
        self, mine: Books, database: str, desk: Desk
    ) -> None:
        first, second = self.bill(mine, minor=300_00), self.bill(mine, date(2025, 7, 20), 500_00)
        mine.promise(first.item.account_id, [second, first], 400_00, date(2025, 6, 25), date(2025, 8, 1))
        assert await self.forecast(mine, database, desk) == {"2025-07-20": "400.00", "2025-08-01": "400.00"}

    async def test_one_cent_is_promised_once_however_often_it_was(self, mine: Books, database: str, desk: Desk) -> None:
        bill = self.bill(mine)
        for day in (date(2025, 8, 1), date(2025, 9, 1)):
            mine.promise(bill.item.account_id, [bill], 700_00, date(2025, 6, 25), day)
        assert await self.forecast(mine, database, desk) == {"2025-08-01": "700.00", "2025-09-01": "300.00"}

    async def test_a_promise_of_what_is_closed_brings_nothing(self, mine: Books, database: str, desk: Desk) -> None:
        bill = self.bill(mine)
        mine.promise(bill.item.account_id, [bill], 400_00, date(2025, 6, 25), date(2025, 8, 1))
        mine.credit(bill, 900_00, date(2025, 6, 26))
        assert await self.forecast(mine, database, desk) == {"2025-08-01": "100.00"}

    async def test_disputed_money_is_not_forecast_until_it_is_resolved(
        self, mine: Books, database: str, desk: Desk
    ) -> None:
        bill = self.bill(mine)
        dispute = mine.dispute(bill, 250_00, date(2025, 6, 20))
        mine.resolve(bill, dispute, 250_00, date(2025, 7, 3))
        mine.promise(bill.item.account_id, [bill], 900_00, date(2025, 6, 25), date(2025, 8, 1))
        assert await self.forecast(mine, database, desk) == {"2025-08-01": "750.00"}
        later = await desk.ask("/cash-flow", as_of="2025-07-03", from_="2025-06-01", to="2025-12-31")
        assert {row["on"]: row["forecast"] for row in later["rows"] if row["forecast"] != "0.00"} == {
            "2025-07-10": "100.00",
            "2025-08-01": "900.00",
        }

    async def test_neither_retainage_nor_unapplied_money_is_forecast(
        self, mine: Books, database: str, desk: Desk
    ) -> None:
        account = next(iter(mine.collectors))
        mine.issue("CHI", account, 1_000_00, date(2025, 6, 1), date(2025, 7, 10), retainage=100_00)
        mine.receive("CHI", account, 70_00, date(2025, 6, 3))
        assert await self.forecast(mine, database, desk) == {"2025-07-10": "900.00"}

    async def test_a_debtor_later_than_a_century_does_not_leave_the_calendar(
        self, mine: Books, database: str, desk: Desk
    ) -> None:
        old = mine.issue("CHI", next(iter(mine.collectors)), 1, date(1970, 1, 1), date(1970, 1, 1))
        mine.pay(old, 1, date(2025, 6, 1))
        self.bill(mine)
        assert await self.forecast(mine, database, desk) == {}


async def test_csv_has_the_same_rows_with_a_column_per_method(books: Books, desk: Desk) -> None:
    span = {"from_": "2025-01-01", "to": "2025-12-31", "as_of": "2025-12-31", "by": "week"}
    rows = (await desk.ask("/cash-flow", **span))["rows"]
    lines, headers = await desk.csv("/cash-flow", **span)
    assert lines == [{k: v for k, v in {**row, **row["received"]}.items() if k != "received"} for row in rows]
    assert set(METHODS) < set(lines[0])
    assert headers["openitem-as-of"] == "2025-12-31"
