"""One invoice's life, from the first call to the write-off, told over HTTP and read in the reports."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.demo import Demo
from tests.support.patience import PATIENCE_S, wait_until

pytestmark = pytest.mark.xdist_group("demo")
TODAY = date.today()  # noqa: DTZ011 - the day of the machine that runs the stack


def seen(demo: Demo, account: str, item: str, after: str) -> dict[str, Any]:
    """The item as the reports show it once they show what was just recorded."""
    own_write = {"Openitem-After": after, "Prefer": "wait=30"}
    rows = demo.get(f"/items?branch=STORY&account={account}", **own_write)["rows"]
    return next(row for row in rows if row["item_id"] == item)


def test_an_invoice_is_billed_promised_paid_bounced_and_given_up(running: Demo) -> None:
    account, invoice, receipt, promise, write_off = (str(uuid4()) for _ in range(5))
    issued_on = TODAY - timedelta(days=70)

    running.post("invoice", "/branches", {"branch": "STORY", "name": "Storyville"})
    running.post(
        "invoice",
        "/accounts",
        {
            "account_id": account,
            "branch": "STORY",
            "number": "S-1",
            "name": "Alder Hotels",
            "profile": "commercial_entity",
            "currency": "USD",
            "opened_on": str(issued_on),
        },
    )
    at = running.post(
        "invoice",
        "/invoices",
        {
            "invoice_id": invoice,
            "branch": "STORY",
            "account_id": account,
            "number": "S-100",
            "issued_on": str(issued_on),
            "currency": "USD",
            "total": "1000.00",
        },
    )
    assert seen(running, account, invoice, at)["open"] == "1000.00"

    # The customer promises it, and pays by check the day after.
    running.post(
        "contact",
        "/promises",
        {
            "promise_id": promise,
            "account_id": account,
            "item_ids": [invoice],
            "amount": "1000.00",
            "currency": "USD",
            "made_on": str(TODAY - timedelta(days=8)),
            "promised_on": str(TODAY - timedelta(days=6)),
        },
    )
    running.post(
        "payment",
        "/receipts",
        {
            "receipt_id": receipt,
            "branch": "STORY",
            "account_id": account,
            "method": "check",
            "reference": "CK-77",
            "amount": "1000.00",
            "currency": "USD",
            "received_on": str(TODAY - timedelta(days=7)),
        },
    )
    lines = {"currency": "USD", "lines": [{"item_id": invoice, "amount": "1000.00"}]}
    at = running.post("payment", f"/receipts/{receipt}/applications", lines)
    assert seen(running, account, invoice, at)["status"] == "settled"
    eventually(running, account, "contact.promise_kept")

    # The check bounces: the item is open again, and the promise it had kept is broken.
    bounced = {"reason": "nsf", "reversed_on": str(TODAY - timedelta(days=2))}
    at = running.post("payment", f"/receipts/{receipt}/reversal", bounced)
    assert seen(running, account, invoice, at)["open"] == "1000.00"
    eventually(running, account, "contact.promise_broken")

    # One person asks to give it up, another agrees, and the payment service closes the item.
    asked = {"write_off_id": write_off, "item_id": invoice, "amount": "1000.00", "currency": "USD"}
    asked["reason"] = "uncollectable"
    running.post("escalation", "/write-offs", asked, role="collector", after=at)
    refused = approve(running, write_off, "collector")
    assert refused.status_code == 403
    assert approve(running, write_off, "controller").status_code == 200
    eventually(running, account, "payment.item_changed", cause="written_off")
    [row] = running.get(f"/items?branch=STORY&account={account}&status=written_off")["rows"]
    assert (row["open"], row["written_off"]) == ("0.00", "1000.00")

    month = running.get("/bad-debt?branch=STORY")["write_offs"]
    assert sum(Decimal(line["written_off"]) for line in month) == Decimal("1000.00")
    assert running.get("/consistency")["holds"]


def approve(demo: Demo, write_off: str, role: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {demo.token(role)}", "Idempotency-Key": str(uuid4())}
    url = f"{demo.urls['escalation']}/write-offs/{write_off}/approval"
    return httpx.post(url, json={}, headers=headers, timeout=PATIENCE_S)


def eventually(demo: Demo, account: str, wire: str, **summary: str) -> None:
    """Wait until a fact of this type, decided by a policy somewhere else, is on the account's timeline."""

    def timeline() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = demo.get(f"/accounts/{account}/timeline?limit=200")["rows"]
        return rows

    wait_until(
        lambda: any(row["type"] == wire and summary.items() <= row["summary"].items() for row in timeline()),
        lambda: f"no {wire} {summary}: {[row['type'] for row in timeline()]}",
    )
