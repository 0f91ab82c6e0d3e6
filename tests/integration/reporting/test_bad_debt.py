"""Bad debt of a month: placements, recoveries, write-offs and the allowance."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tests.integration.reporting.books import Books
from tests.integration.reporting.desk import Desk
from tests.integration.reporting.record import Bill


@pytest.fixture
def mine() -> Books:
    books = Books()
    books.account(books.branch("CHI"), "A-1", collector="kim")
    books.account(books.branch("TYO"), "T-1", "JPY")
    return books


def bill(books: Books, minor: int = 1_000_00, due_on: date = date(2025, 1, 31), branch: str = "CHI") -> Bill:
    account = next(a for a, number in books.numbers.items() if number == ("A-1" if branch == "CHI" else "T-1"))
    currency = "USD" if branch == "CHI" else "JPY"
    return books.issue(branch, account, minor, date(2025, 1, 1), due_on, currency=currency)


async def test_placements_are_counted_by_agency_and_phase_in_their_month(
    mine: Books, database: str, desk: Desk
) -> None:
    for minor, on, phase in (
        (100_00, date(2025, 6, 1), "contingency"),
        (250_00, date(2025, 6, 30), "contingency"),
        (70_00, date(2025, 6, 15), "written_demand"),
        (9_00, date(2025, 5, 31), "contingency"),
        (9_00, date(2025, 7, 1), "contingency"),
    ):
        mine.place(bill(mine), minor, on, phase=phase)
    mine.place(bill(mine, branch="TYO"), 4_000, date(2025, 6, 2), agency="ABC")
    await mine.deliver(database)
    answer = await desk.ask("/bad-debt", month="2025-06")
    assert answer["placements"] == [
        {"agency": "ABC", "phase": "contingency", "currency": "JPY", "placements": 1, "amount": "4000"},
        {"agency": "TSI", "phase": "contingency", "currency": "USD", "placements": 2, "amount": "350.00"},
        {"agency": "TSI", "phase": "written_demand", "currency": "USD", "placements": 1, "amount": "70.00"},
    ]
    assert answer["month"] == "2025-06"
    only = await desk.ask("/bad-debt", month="2025-06", collector="kim", as_of="2025-06-20")
    assert [(row["phase"], row["amount"]) for row in only["placements"]] == [
        ("contingency", "100.00"),
        ("written_demand", "70.00"),
    ]


async def test_a_placement_learned_of_later_was_not_in_the_report_then(mine: Books, database: str, desk: Desk) -> None:
    mine.place(bill(mine), 100_00, date(2025, 6, 1))
    mine.at = datetime(2025, 9, 1, tzinfo=UTC)
    mine.place(bill(mine), 250_00, date(2025, 6, 2))
    await mine.deliver(database)
    then = await desk.ask("/bad-debt", month="2025-06", known_at="2025-07-01")
    assert [row["amount"] for row in then["placements"]] == ["100.00"]
    now = await desk.ask("/bad-debt", month="2025-06")
    assert [row["amount"] for row in now["placements"]] == ["350.00"]


async def test_recoveries_are_gross_fee_and_net_and_a_bounced_one_is_taken_off(
    mine: Books, database: str, desk: Desk
) -> None:
    placed = bill(mine)
    placement = mine.place(placed, 1_000_00, date(2025, 5, 1))
    mine.recover(placed, placement, 400_00, 120_00, date(2025, 6, 3))
    mine.recover(placed, placement, -100_00, -30_00, date(2025, 6, 9))
    mine.recover(placed, placement, 50_00, 0, date(2025, 6, 10), "direct")
    mine.recover(placed, placement, 5_00, 0, date(2025, 7, 10))
    await mine.deliver(database)
    answer = await desk.ask("/bad-debt", month="2025-06")
    common = {"agency": "TSI", "phase": "contingency", "currency": "USD"}
    assert answer["recoveries"] == [
        {**common, "recovered_from": "agency", "recoveries": 2, "gross": "300.00", "fee": "90.00", "net": "210.00"},
        {**common, "recovered_from": "direct", "recoveries": 1, "gross": "50.00", "fee": "0.00", "net": "50.00"},
    ]


async def test_write_offs_are_what_was_closed_and_not_what_was_asked_for(
    mine: Books, database: str, desk: Desk
) -> None:
    one, two = bill(mine), bill(mine)
    mine.write_off(one, 300_00, date(2025, 6, 5))
    again = mine.write_off(two, 200_00, date(2025, 5, 5))
    mine.reverse_write_off(two, again, 200_00, date(2025, 6, 20))
    await mine.deliver(database)
    june = await desk.ask("/bad-debt", month="2025-06")
    assert june["write_offs"] == [
        {"branch": "CHI", "currency": "USD", "written_off": "300.00", "reversed": "200.00", "net": "100.00"}
    ]
    may = await desk.ask("/bad-debt", month="2025-05")
    assert may["write_offs"] == [
        {"branch": "CHI", "currency": "USD", "written_off": "200.00", "reversed": "0.00", "net": "200.00"}
    ]


class TestAllowance:
    @pytest.fixture
    async def abc(self, mine: Books, database: str) -> Books:
        """The tutorsglobe example: 220,000, 90,000, 40,000, 10,000 and 15,000 by age, at the end of June."""
        for dollars, due_on in (
            (220_000, date(2025, 7, 15)),
            (90_000, date(2025, 6, 15)),
            (40_000, date(2025, 5, 15)),
            (10_000, date(2025, 4, 15)),
            (15_000, date(2025, 1, 15)),
        ):
            bill(mine, dollars * 100, due_on)
        account = next(iter(mine.collectors))
        mine.receive("CHI", account, 999_00, date(2025, 6, 1))  # Not netted.
        await mine.deliver(database)
        return mine

    async def ask(self, desk: Desk, **more: str) -> dict[str, str]:
        question = {"month": "2025-06", "buckets": "30,60,90", "rates": "1,4,8,16,30"}
        [allowance] = (await desk.ask("/bad-debt", **question | more))["allowance"]
        assert isinstance(allowance, dict)
        return allowance

    async def test_the_published_example(self, abc: Books, desk: Desk) -> None:
        allowance = await self.ask(desk)
        assert (allowance["required"], allowance["existing"], allowance["entry"]) == ("15100.00", None, None)
        assert allowance["on"] == "2025-06-30"
        assert (await self.ask(desk, existing="-1000"))["entry"] == "16100.00"
        assert (await self.ask(desk, existing="2500.00"))["entry"] == "12600.00"
        assert (await self.ask(desk, adjustment_pct="10"))["required"] == "16610.00"

    async def test_by_default_the_settings_say_how_much_is_lost(self, abc: Books, desk: Desk) -> None:
        [allowance] = (await desk.ask("/bad-debt", month="2025-06"))["allowance"]
        assert [line["rate_pct"] for line in allowance["lines"]] == ["1", "4", "8", "16", "30", "30"]
        assert [line["amount"] for line in allowance["lines"]] == [
            *("220000.00", "90000.00", "40000.00", "10000.00", "0.00", "15000.00")
        ]

    async def test_what_stands_is_of_one_currency(self, abc: Books, database: str, desk: Desk) -> None:
        bill(abc, 5_000, branch="TYO")
        await abc.deliver(database)
        assert await desk.refused("/bad-debt", month="2025-06", existing="1") == (422, "existing_invalid")
        [allowance] = (await desk.ask("/bad-debt", month="2025-06", existing="1", currency="JPY"))["allowance"]
        assert (allowance["required"], allowance["entry"]) == ("1500", "1499")
        assert await desk.refused("/bad-debt", existing="1.5", currency="JPY") == (422, "existing_invalid")

    @pytest.mark.parametrize(
        ("params", "code"),
        [
            ({"rates": "101"}, "rates_invalid"),
            ({"rates": "1,2,3,4,5,6,7"}, "rates_invalid"),
            ({"rates": "1e3"}, "invalid_request"),
            ({"existing": "much"}, "existing_invalid"),
            ({"month": "2025-13"}, "month_invalid"),
            ({"month": "june"}, "invalid_request"),
            ({"buckets": "30,20"}, "buckets_invalid"),
            ({"adjustment_pct": "NaN"}, "invalid_request"),
        ],
    )
    async def test_what_cannot_be_is_refused(self, abc: Books, desk: Desk, params: dict[str, str], code: str) -> None:
        assert await desk.refused("/bad-debt", **params) == (422, code)


async def test_csv_has_every_section(mine: Books, database: str, desk: Desk) -> None:
    placed = bill(mine)
    mine.recover(placed, mine.place(placed, 1_000_00, date(2025, 6, 1)), 400_00, 120_00, date(2025, 6, 3))
    mine.write_off(bill(mine), 300_00, date(2025, 6, 5))
    await mine.deliver(database)
    answer = await desk.ask("/bad-debt", month="2025-06", existing="5")
    lines, _ = await desk.csv("/bad-debt", month="2025-06", existing="5")
    for section in ("placements", "recoveries", "write_offs"):
        [row], [line] = answer[section], [line for line in lines if line["section"] == section]
        assert {name: str(value) for name, value in row.items()}.items() <= line.items()
    [allowance] = answer["allowance"]
    buckets = [line for line in lines if line["section"] == "allowance"]
    assert [line | each for line, each in zip(buckets, allowance["lines"], strict=True)] == buckets
    [total] = [line for line in lines if line["section"] == "allowance_total"]
    assert (total["required"], total["existing"], total["entry"]) == (
        *(allowance["required"], allowance["existing"], allowance["entry"]),
    )
