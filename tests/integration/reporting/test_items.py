"""Items, accounts and timelines: filters, states, paging through everything, and CSV beside JSON."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import product
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.integration.reporting.books import Books, aged
from tests.integration.reporting.desk import Desk, minor


class TestItems:
    async def test_every_item_is_as_the_books_have_it(self, books: Books, desk: Desk) -> None:
        rows = (await desk.ask("/items", limit=1000))["rows"]
        now = aged(books.known(date.max), date(2026, 6, 30), "item")
        open_ = {key[0]: (amounts["total"], amounts["retainage"]) for key, amounts in now.items()}
        assert len({row["item_id"] for row in rows}) == len(rows) == len({p.id for p in books.postings})
        ids = {str(p.id): p for p in books.postings}
        for row in rows:
            currency, posting = row["currency"], ids[row["item_id"]]
            total, held = open_.get(posting.id, (0, 0))
            assert minor(row["open"], currency) == total - held
            assert minor(row["retainage"], currency) == held
            assert row["number"] == books.numbers.get(posting.id)
            assert (row["branch"], row["due_on"]) == (posting.branch, posting.due_on.isoformat())
            parts = ("open", "retainage", "released", "credited", "paid", "written_off", "cancelled")
            assert sum(minor(row[name], currency) or 0 for name in parts) == minor(row["total"], currency)

    async def test_each_question_is_planned_for_what_it_asks(self, desk: Desk) -> None:
        """A plan that is kept for any filters and any limit sorts every item to find the first."""
        for _ in range(10):
            await desk.ask("/items", limit=1)
        async with desk.app.state.pool.acquire() as conn:
            plans = await conn.fetchrow(_PLANS)
        assert (plans["kept"], plans["new"]) == (0, 10)

    async def test_they_come_the_earliest_due_first_and_each_once(self, books: Books, desk: Desk) -> None:
        whole = (await desk.ask("/items", limit=1000))["rows"]
        assert whole == sorted(whole, key=lambda row: (row["due_on"], row["item_id"]))
        assert await desk.pages("/items", 7) == whole
        assert await desk.pages("/items", 7, status="open", branch="DAL") == [
            row for row in whole if row["status"] == "open" and row["branch"] == "DAL"
        ]

    async def test_filters_keep_what_they_say(self, books: Books, desk: Desk) -> None:
        whole = (await desk.ask("/items", limit=1000))["rows"]
        today = (await desk.ask("/items", limit=1))["as_of"]
        late = [row for row in whole if minor(row["open"], row["currency"]) > 0 and row["due_on"] < today]  # type: ignore[operator]
        one = next(row for row in whole if row["number"])
        cases: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
            ({"status": s}, [row for row in whole if row["status"] == s])
            for s in ("open", "settled", "voided", "written_off", "unapplied", "reversed", "expected")
        ]
        cases += [
            ({"overdue": True}, late),
            ({"overdue": False}, [row for row in whole if row not in late]),
            ({"number": one["number"]}, [one]),
            ({"account": [one["account_id"]]}, [row for row in whole if row["account_id"] == one["account_id"]]),
            ({"branch": ["TYO"]}, [row for row in whole if row["branch"] == "TYO"]),
            ({"currency": ["KWD"]}, [row for row in whole if row["currency"] == "KWD"]),
            ({"collector": ["kim"]}, [row for row in whole if row["collector"] == "kim"]),
        ]
        for params, want in cases:
            assert (await desk.ask("/items", limit=1000, **params))["rows"] == want, params
        for row in whole:
            assert (row["days_past_due"] is not None) == (row in late)
        assert {row["status"] for row in whole} >= {"open", "settled", "voided", "written_off", "unapplied", "reversed"}

    async def test_what_only_retainage_is_left_of_is_open_and_never_late(self, database: str, desk: Desk) -> None:
        books = Books()
        account = books.account(books.branch("CHI"), "A-1")
        bill = books.issue("CHI", account, 100_00, date(2024, 1, 1), date(2024, 1, 31), retainage=10_00)
        books.pay(bill, 90_00, date(2024, 1, 31))
        await books.deliver(database)
        [row] = (await desk.ask("/items", status="open"))["rows"]
        assert (row["open"], row["retainage"], row["days_past_due"]) == ("0.00", "10.00", None)
        assert (await desk.ask("/items", overdue=True))["rows"] == []

    async def test_items_known_by_hearsay_only_are_paged_too(self, database: str, desk: Desk) -> None:
        """Rows without dates: the invoice's own fact has not come, or never will."""
        conn = await asyncpg.connect(database)
        insert = "INSERT INTO live.open_item (item_id, branch) VALUES ($1, 'CHI')"
        await conn.executemany(insert, [(uuid4(),) for _ in range(5)])
        await conn.close()
        rows = await desk.pages("/items", 2)
        assert len(rows) == len({row["item_id"] for row in rows}) == 5
        assert {(row["status"], row["due_on"], row["currency"], row["open"]) for row in rows} == {
            ("expected", None, None, "0.00")
        }

    async def test_what_is_known_about_an_item_stands_beside_it(self, database: str, desk: Desk) -> None:
        books = Books()
        account = books.account(books.branch("CHI"), "A-1", collector="kim")
        bill = books.issue("CHI", account, 100_00, date(2025, 1, 1), date(2025, 1, 31))
        books.promise(account, [bill], 40_00, date(2025, 3, 1), date(2025, 4, 1))
        books.dispute(bill, 30_00, date(2025, 3, 2))
        books.attempt(bill, date(2025, 3, 3))
        books.place(bill, 100_00, date(2025, 5, 1))
        await books.deliver(database)
        [row] = (await desk.ask("/items"))["rows"]
        told = {
            "account": "A-1",
            "account_name": "Customer A-1",
            "collector": "kim",
            "promised_on": "2025-04-01",
            "promised": "40.00",
            "disputed": "30.00",
            "last_contact_on": "2025-03-03",
            "last_contact_channel": "call",
            "last_contact_outcome": "reached",
            "agency": "TSI",
            "status": "open",
        }
        assert told.items() <= row.items()


class TestPaging:
    @pytest.mark.parametrize("by", ["branch", "account", "job", "item"])
    async def test_all_pages_together_are_the_whole_report(self, books: Books, desk: Desk, by: str) -> None:
        for sort, limit in product(("name", "-total", "-past_due"), (1, 7)):
            if limit == 1 and by == "item":
                continue
            whole = await desk.ask("/aging", by=by, sort=sort, as_of="2025-11-30", limit=1000)
            assert whole["next"] is None
            assert await desk.pages("/aging", limit, by=by, sort=sort, as_of="2025-11-30") == whole["rows"]

    async def test_a_receipt_applied_before_it_was_identified_is_paged_once(self, database: str, desk: Desk) -> None:
        books = Books()
        account = books.account(books.branch("CHI"), "A-1")
        bill = books.issue("CHI", account, 100_00, date(2025, 1, 1), date(2025, 1, 31))
        receipt = books.receive("CHI", None, 100_00, date(2025, 2, 1))
        books.identify(receipt, account, 100_00, date(2025, 2, 10))
        books.apply(receipt, bill, 60_00, date(2025, 2, 5))
        await books.deliver(database)
        rows = await desk.pages("/aging", 1, by="item", as_of="2025-02-07")
        assert [(row["account"], row["total"]) for row in rows] == [
            (None, "-100.00"),
            ("A-1", "60.00"),
            ("A-1", "40.00"),
        ]

    async def test_a_cursor_serves_its_own_question_only(self, books: Books, desk: Desk) -> None:
        cursor = (await desk.ask("/aging", by="account", limit=1))["next"]
        for more in ({"by": "item"}, {"by": "account", "sort": "-total"}, {"by": "account", "branch": "DAL"}):
            assert await desk.refused("/aging", cursor=cursor, **more) == (422, "cursor_invalid")
        assert await desk.refused("/items", cursor=cursor) == (422, "cursor_invalid")
        assert await desk.refused("/aging", by="account", cursor=cursor[:-2]) == (422, "cursor_invalid")

    async def test_no_more_than_a_limit_is_given(self, desk: Desk) -> None:
        for limit in (0, -1, 10_001, 2**70):
            assert await desk.refused("/items", limit=limit) == (422, "invalid_request")


class TestAccounts:
    async def test_they_come_by_number(self, books: Books, desk: Desk) -> None:
        rows = await desk.pages("/accounts", 2)
        assert [row["number"] for row in rows] == sorted(books.numbers[a] for a in books.collectors)
        [row] = (await desk.ask("/accounts", number="K-1"))["rows"]
        assert (row["branch"], row["currency"], row["opened_on"]) == ("DAL", "KWD", "2020-01-01")
        kim = (await desk.ask("/accounts", collector="kim"))["rows"]
        assert [row["number"] for row in kim] == ["C-1", "C-3"]
        assert [row["number"] for row in (await desk.ask("/accounts", currency="JPY", branch="TYO"))["rows"]] == ["T-1"]

    async def test_one_account_tells_what_it_owes_as_of_a_day(self, books: Books, desk: Desk) -> None:
        day, at = date(2025, 11, 30), datetime(2025, 11, 15, tzinfo=UTC)
        for account_id, known_at in product(books.collectors, (None, at)):
            answer = await desk.ask(f"/accounts/{account_id}", as_of=day, known_at=known_at and known_at.isoformat())
            mine = [p for p in books.known(day, known_at) if p.account_id == account_id]
            for balance in answer["balances"]:
                currency = balance["currency"]
                want = aged(mine, day, "total")[(currency,)]
                assert minor(balance["open"], currency) == sum(want["buckets"])
                for name in ("past_due", "retainage", "unapplied", "total"):
                    assert minor(balance[name], currency) == want[name], name
            assert len(answer["balances"]) == len(aged(mine, day, "total"))

    async def test_promises_disputes_and_holds_stand_beside_it(self, database: str, desk: Desk) -> None:
        books = Books()
        account = books.account(books.branch("CHI"), "A-1")
        bill = books.issue("CHI", account, 100_00, date(2025, 1, 1), date(2025, 1, 31))
        promise = books.promise(account, [bill], 40_00, date(2025, 3, 1), date(2025, 4, 1))
        dispute = books.dispute(bill, 30_00, date(2025, 3, 2))
        closed = books.dispute(bill, 10_00, date(2025, 3, 2))
        books.resolve(bill, closed, 10_00, date(2025, 3, 4))
        books.hold("CHI", account, date(2025, 3, 3))
        await books.deliver(database)
        answer = await desk.ask(f"/accounts/{account}")
        assert (answer["on_hold"], answer["hold_reason"]) == (True, "past_due")
        assert [(p["promise_id"], p["amount"], p["paid"]) for p in answer["promises"]] == [
            (str(promise), "40.00", "0.00")
        ]
        assert [(d["dispute_id"], d["amount"], d["owner"]) for d in answer["disputes"]] == [
            (str(dispute), "30.00", "sam")
        ]

    async def test_one_that_is_not_there_is_not_found(self, books: Books, desk: Desk) -> None:
        for path in (f"/accounts/{uuid4()}", f"/accounts/{uuid4()}/timeline"):
            assert await desk.refused(path) == (404, "not_found")
        assert await desk.refused("/accounts/4711") == (422, "invalid_request")


class TestTimeline:
    async def test_the_newest_comes_first_and_each_fact_once(self, books: Books, desk: Desk) -> None:
        for account_id, number in books.numbers.items():
            if account_id not in books.collectors:
                continue
            whole = (await desk.ask(f"/accounts/{account_id}/timeline", limit=1000, as_of="2026-06-30"))["rows"]
            days = [(row["effective_on"], row["recorded_at"]) for row in whole]
            assert days == sorted(days, reverse=True), number
            pages = await desk.pages(f"/accounts/{account_id}/timeline", 5, as_of="2026-06-30")
            assert pages == whole
            assert whole[-1]["type"] == "invoice.account_opened"

    async def test_as_of_and_known_at_leave_out_what_came_later(self, books: Books, desk: Desk) -> None:
        account, at = next(iter(books.collectors)), datetime(2025, 11, 15, tzinfo=UTC)
        path = f"/accounts/{account}/timeline"
        whole = (await desk.ask(path, limit=1000, as_of="2026-06-30"))["rows"]
        then = (await desk.ask(path, limit=1000, as_of="2025-03-31"))["rows"]
        assert then == [row for row in whole if row["effective_on"] <= "2025-03-31"]
        known = (await desk.ask(path, limit=1000, as_of="2026-06-30", known_at=at.isoformat()))["rows"]
        assert known == [row for row in whole if datetime.fromisoformat(row["recorded_at"]) <= at]
        assert len(then) < len(whole)
        assert len(known) < len(whole)

    async def test_an_items_own_history_is_its_accounts_filtered(self, books: Books, desk: Desk) -> None:
        paid = next(p for p in books.postings if p.cause == "applied" and p.kind == "open")
        rows = (await desk.ask(f"/accounts/{paid.account_id}/timeline", item=paid.id, as_of="2026-06-30"))["rows"]
        assert {row["item_id"] for row in rows} == {str(paid.id)}
        assert {"invoice.issued", "payment.applied"} <= {row["type"] for row in rows}
        [issued] = [row for row in rows if row["type"] == "invoice.issued"]
        assert issued["summary"]["number"] == books.numbers[paid.id]


class TestCsv:
    async def test_it_has_what_json_has(self, books: Books, desk: Desk) -> None:
        account = next(iter(books.collectors))
        for path, params in (
            ("/items", {"limit": 50}),
            ("/accounts", {"limit": 3}),
            (f"/accounts/{account}/timeline", {"limit": 20}),
        ):
            answer = await desk.ask(path, **params)
            lines, headers = await desk.csv(path, **params)
            assert headers.get("openitem-next") == answer["next"]
            assert headers["openitem-as-of"] == answer["as_of"]
            for row, line in zip(answer["rows"], lines, strict=True):
                row.pop("summary", None), line.pop("summary", None)
                assert line == {name: "" if value is None else str(value) for name, value in row.items()}

    @pytest.mark.parametrize("by", ["branch", "account", "job", "item"])
    async def test_aging_has_a_column_per_bucket(self, books: Books, desk: Desk, by: str) -> None:
        for credits_, buckets in product(("separate", "in_bucket"), ("30,60,90,120", "45")):
            how = {"by": by, "credits_": credits_, "buckets": buckets, "as_of": "2025-11-30", "limit": 1000}
            rows = (await desk.ask("/aging", **how))["rows"]
            lines, _ = await desk.csv("/aging", **how)
            for row, line in zip(rows, lines, strict=True):
                flat = {**row, **row["buckets"]}
                assert line == {name: "" if flat[name] is None else str(flat[name]) for name in line}
                assert {"total", "retainage", *row["buckets"]} <= set(line)
            assert ("unapplied" in lines[0]) == (credits_ == "separate")

    async def test_accept_asks_for_it_too(self, books: Books, desk: Desk) -> None:
        assert (await desk.send("/aging", Accept="text/csv")).headers["content-type"].startswith("text/csv")
        assert (await desk.send("/aging", {"format": "json"}, Accept="text/csv")).json()["rows"]

    async def test_a_name_that_is_a_formula_is_no_formula(self, database: str, desk: Desk) -> None:
        books = Books()
        account = books.account(books.branch("CHI"), "=1+1", name="@SUM(A1:A9)")
        books.issue("CHI", account, 100_00, date(2025, 1, 1), date(2025, 1, 31), number="-2+3")
        books.receive("CHI", account, 250_00, date(2025, 1, 1))
        await books.deliver(database)
        [line] = (await desk.csv("/aging", by="account"))[0]
        assert (line["account"], line["name"], line["total"]) == ("'=1+1", "'@SUM(A1:A9)", "-150.00")
        assert "'-2+3" in {line["item"] for line in (await desk.csv("/aging", by="item"))[0]}


_PLANS = """
SELECT sum(generic_plans) AS kept, sum(custom_plans) AS new
FROM pg_prepared_statements WHERE statement LIKE '%FROM item i%' AND parameter_types <> '{}'
"""
