"""The ledger of the demonstration."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from deploy.demo.ledger import BRANCHES, records

TODAY = date(2026, 6, 30)


def test_the_same_seed_and_day_make_the_same_ledger() -> None:
    assert list(records(7, TODAY, 300)) == list(records(7, TODAY, 300))
    assert list(records(7, TODAY, 300)) != list(records(8, TODAY, 300))


def test_it_covers_every_branch_and_two_years() -> None:
    invoices = [record for record in records(1, TODAY, 2_000) if record["kind"] == "invoices"]
    assert len(invoices) == 2_000
    assert {invoice["branch"] for invoice in invoices} == {branch[0] for branch in BRANCHES}
    issued = sorted(date.fromisoformat(invoice["issued_on"]) for invoice in invoices)
    assert TODAY - timedelta(days=740) <= issued[0] <= TODAY - timedelta(days=700)
    assert issued[-1] <= TODAY


def test_every_part_of_the_story_is_told() -> None:
    kinds = Counter(record["kind"] for record in records(1, TODAY, 5_000))
    for kind in ("receipts", "reversals", "credit-notes", "attempts", "promises", "disputes", "placements"):
        assert kinds[kind] > 5, kind
    assert kinds["recoveries"] > 0
    assert kinds["write-offs"] > 5


def test_nothing_but_a_promise_lies_in_the_future() -> None:
    for record in records(3, TODAY, 1_000):
        for name, value in record.items():
            if name.endswith("_on") and name not in ("promised_on", "due_on"):
                assert date.fromisoformat(value) <= TODAY, record
