"""A real ledger through the front door: 2,466 invoices of 2012 and 2013, imported today, age on their own dates."""

from __future__ import annotations

import subprocess
from datetime import date
from decimal import Decimal

import pytest

from tests.support import late_payments
from tests.support.demo import OPENITEM, ROOT, Demo
from tests.support.late_payments import ABSENT, BUCKETS, DAYS, LEDGER

pytestmark = [
    pytest.mark.xdist_group("demo"),
    pytest.mark.skipif(not LEDGER.exists(), reason=ABSENT),
]


def reported(demo: Demo, as_of: date, by: str, name: str) -> dict[str, dict[str, Decimal]]:
    answer = demo.get(f"/aging?as_of={as_of}&by={by}&limit=1000")
    assert answer["next"] is None
    return {
        row[name]: {bucket: Decimal(row["buckets"][bucket]) for bucket in BUCKETS}
        for row in answer["rows"]
        if any(Decimal(amount) for amount in row["buckets"].values())
    }


@pytest.mark.parametrize("as_of", DAYS, ids=str)
class TestAging:
    def test_every_region_ages_as_the_file_says(self, running: Demo, as_of: date) -> None:
        assert reported(running, as_of, "branch", "branch") == late_payments.aging(as_of, "region")

    def test_every_customer_ages_as_the_file_says(self, running: Demo, as_of: date) -> None:
        assert reported(running, as_of, "account", "account") == late_payments.aging(as_of, "customer")

    def test_the_total_is_what_is_open_by_the_file(self, running: Demo, as_of: date) -> None:
        [total] = running.get(f"/aging?as_of={as_of}")["totals"]
        expected = sum((sum(row.values()) for row in late_payments.aging(as_of, "region").values()), Decimal(0))
        assert Decimal(total["total"]) == expected
        assert Decimal(total["unapplied"]) == 0

    def test_nothing_of_it_was_known_before_it_was_imported(self, running: Demo, as_of: date) -> None:
        answer = running.get(f"/aging?as_of={as_of}&known_at=2014-12-31")
        assert answer["rows"] == []


def test_cash_came_in_by_month_as_the_file_says(running: Demo) -> None:
    answer = running.get("/cash-flow?from=2012-01-01&to=2014-12-31&by=month")
    received = {row["on"][:7]: Decimal(row["net"]) for row in answer["rows"] if Decimal(row["net"])}
    assert received == late_payments.cash_by_month()
    assert {row["received"]["check"] for row in answer["rows"]} >= {str(late_payments.cash_by_month()["2012-06"])}


def test_disputes_are_on_the_timeline_on_their_own_dates(running: Demo) -> None:
    line = next(line for line in late_payments.lines() if line.disputed)
    [account] = running.get(f"/accounts?number={line.customer}")["rows"]
    [item] = running.get(f"/items?number={line.number}&status=settled")["rows"]
    timeline = running.get(f"/accounts/{account['account_id']}/timeline?item={item['item_id']}&limit=100")["rows"]
    dates = {row["type"]: row["effective_on"] for row in timeline}
    assert dates["invoice.issued"] == str(line.issued)
    assert dates["contact.dispute_opened"] == str(line.issued)
    assert dates["contact.dispute_resolved"] == str(line.settled)


def test_the_books_add_up(running: Demo) -> None:
    assert running.get("/consistency")["holds"]


def test_importing_the_same_file_again_adds_nothing(running: Demo) -> None:
    environment = {"OPENITEM_STATE_DIR": str(running.state), "PATH": "/usr/bin:/bin", "COLUMNS": "160"}
    program = [OPENITEM, "import", str(LEDGER)]
    again = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert again.returncode == 0, again.stderr
    rows = [line.split("│") for line in again.stderr.splitlines() if line.startswith("│")]
    counts = {row[1].strip(): [cell.strip() for cell in row[2:5]] for row in rows}
    assert counts["invoices"] == ["2,466", "0", "2,466"]
    assert counts["receipts"] == ["2,466", "0", "2,466"]
    assert all(landed == "0" for _, landed, _ in counts.values())
