"""Sending a ledger: what was refused for what is still arriving is sent again, and told once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.importing import send as sending
from services.cli.importing.ledger import Ledger
from services.cli.importing.send import Report, send

URLS = {"payment": "http://payment", "invoice": "http://invoice"}


class Payments:
    """A payment service that knows one more item after each request."""

    def __init__(self, known: int, *, learns: bool) -> None:
        self.known = known
        self.learns = learns
        self.requests = 0
        self.on_record: set[str] = set()

    def post(self, _client: object, url: str, body: bytes, _token: str) -> list[dict[str, Any]]:
        assert url == "http://payment/imports/receipts"
        self.requests += 1
        lines: list[dict[str, Any]] = []
        landed = 0
        rows = [json.loads(line) for line in body.splitlines()]
        for number, row in enumerate(rows, start=1):
            refused = {"line": "rejected", "row": number, "field": "item_id", "message": "no"}
            if row["item_id"] == "bad":
                lines.append({**refused, "code": "row_field_invalid"})
            elif int(row["item_id"]) > self.known:
                lines.append({**refused, "code": "item_unknown", "arriving": True})
            else:
                assert row["receipt_id"] not in self.on_record
                self.on_record.add(row["receipt_id"])
                landed += 1
        self.known += self.learns
        figures = {"rows": len(rows), "landed": landed, "on_record": 0, "rejected": len(lines), "facts": 3 * landed}
        return [*lines, {"line": "summary", **figures}]


def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, payments: Payments, items: list[str]) -> tuple[Report, int]:
    path = tmp_path / "receipts.ndjson"
    rows = ({"kind": "receipts", "receipt_id": f"r{at}", "item_id": item} for at, item in enumerate(items))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    monkeypatch.setattr(sending, "_post", payments.post)
    done = 0

    def progress(_kind: str, more: int) -> None:
        nonlocal done
        done += more

    return send(Ledger(path, None), URLS, lambda: "token", progress), done


def test_rows_whose_item_is_still_arriving_are_sent_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = Payments(known=1, learns=True)
    report, done = sent(tmp_path, monkeypatch, payments, ["1", "4", "2", "3"])
    tally = report.tallies["receipts"]
    assert (tally.rows, tally.landed, tally.rejected, tally.facts) == (4, 4, 0, 12)
    assert report.problems == []
    assert done == 4
    assert payments.requests == 4


def test_rows_whose_item_never_comes_are_told_once_and_in_the_files_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments = Payments(known=1, learns=False)
    report, done = sent(tmp_path, monkeypatch, payments, ["9", "1", "bad", "8"])
    assert [(problem.line, problem.code) for problem in report.problems] == [
        (1, "item_unknown"),
        (3, "row_field_invalid"),
        (4, "item_unknown"),
    ]
    tally = report.tallies["receipts"]
    assert (tally.rows, tally.landed, tally.rejected) == (4, 1, 3)
    assert done == 4
    assert payments.requests == 2  # The second landed nothing: a third would not either.
