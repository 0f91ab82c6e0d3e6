"""Sending a ledger: a kind is sent when its service knows what those it follows have recorded."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import httpx
import pytest

from services.cli.importing import send as sending
from services.cli.importing.ledger import FOLLOWS, KINDS, Ledger
from services.cli.importing.send import Report, ServiceAway, send
from services.contact import worker as contact
from services.escalation import worker as escalation
from services.kernel.store import Store
from services.payment import worker as payment

URLS = {service: f"http://{service}" for service in FOLLOWS}
ROWS = (
    {"kind": "invoices", "invoice_id": "i1"},
    {"kind": "receipts", "receipt_id": "r1", "item_id": "i1"},
    {"kind": "receipts", "receipt_id": "r2", "item_id": "bad"},
    {"kind": "write-offs", "write_off_id": "w1", "item_id": "i1"},
)


class Services:
    """Services that land every row but the bad, and learn of each other when they were asked `slow` times."""

    def __init__(self, *, slow: int = 0, faults: int = 0) -> None:
        self.slow = slow
        self.faults = faults
        self.asked: list[str] = []
        self.landed: dict[str, int] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        service, path = request.url.host, request.url.path
        assert request.headers["authorization"] == "Bearer token"
        if self.faults:
            self.faults -= 1
            return httpx.Response(503, json={"code": "unavailable"})
        if path.startswith("/imports/"):
            self.asked.append(f"{service}: {path.removeprefix('/imports/')}")
            return self._land(service, request.content)
        after = request.headers.get("openitem-after")
        if after is not None:
            self.asked.append(f"{service}: knows {after}?")
            self.slow -= 1
            if self.slow >= 0:
                return httpx.Response(503, json={"code": "not_yet_known"})
        landed = self.landed.get(service)
        return httpx.Response(200, headers={"Openitem-Position": f"{service}-1@{landed}" if landed else ""})

    def _land(self, service: str, content: bytes) -> httpx.Response:
        lines = []
        rows = [json.loads(line) for line in content.splitlines()]
        for number, row in enumerate(rows, start=1):
            if row.get("item_id") == "bad":
                refused = {"line": "rejected", "row": number, "field": "item_id", "message": "no", "arriving": True}
                lines.append({**refused, "code": "item_unknown"})
        landed = len(rows) - len(lines)
        self.landed[service] = self.landed.get(service, 0) + landed
        lines.append({"line": "summary", "landed": landed, "on_record": 0, "rejected": len(lines), "facts": landed})
        return httpx.Response(200, content=b"\n".join(json.dumps(line).encode() for line in lines))


def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, services: Services) -> tuple[Report, int]:
    path = tmp_path / "ledger.ndjson"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    monkeypatch.setattr(sending.httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(services)))
    monkeypatch.setattr(sending, "_RETRY_S", 0.0)
    done = 0

    def progress(_kind: str, more: int) -> None:
        nonlocal done
        done += more

    return send(Ledger(path, None), URLS, lambda: "token", progress), done


def test_a_kind_is_sent_when_its_service_knows_what_those_it_follows_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = Services(slow=2)
    report, done = sent(tmp_path, monkeypatch, services)
    assert services.asked == [
        "invoice: invoices",
        *["payment: knows invoice-1@1?"] * 3,
        "payment: receipts",
        "escalation: knows invoice-1@1?",
        "escalation: knows payment-1@1?",  # Of contact nothing is on record that it would have to know.
        "escalation: write-offs",
    ]
    assert done == len(ROWS)
    assert {kind: tally.landed for kind, tally in report.tallies.items()} == {
        "invoices": 1,
        "receipts": 1,
        "write-offs": 1,
    }


def test_what_its_service_does_not_know_even_then_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    services = Services()
    report, _ = sent(tmp_path, monkeypatch, services)
    assert [(problem.line, problem.code) for problem in report.problems] == [(3, "item_unknown")]
    assert services.asked.count("payment: receipts") == 1


def test_a_service_that_never_learns_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "AWAITED_S_MAX", 0.0)
    services = Services(slow=1_000)
    with pytest.raises(ServiceAway, match=r"http://payment does not learn of what http://invoice recorded"):
        sent(tmp_path, monkeypatch, services)
    assert "payment: receipts" not in services.asked


@pytest.mark.parametrize("faults", [sending.ATTEMPTS_MAX - 1, sending.ATTEMPTS_MAX])
def test_a_service_that_is_away_is_asked_again_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: int
) -> None:
    services = Services(faults=faults)
    if faults < sending.ATTEMPTS_MAX:
        assert sent(tmp_path, monkeypatch, services)[1] == len(ROWS)
    else:
        with pytest.raises(ServiceAway, match=r"http://invoice/imports/invoices: 503"):
            sent(tmp_path, monkeypatch, services)


def test_who_follows_whom_is_as_the_workers_have_it() -> None:
    order = list(dict.fromkeys(KINDS.values()))
    followed: dict[str, set[str]] = {"invoice": set()}  # Its worker has no consumer.
    for service, worker in (("payment", payment), ("contact", contact), ("escalation", escalation)):
        specs = worker.consumers(Store(None))  # type: ignore[arg-type]
        followed[service] = {topic for spec in specs for topic in spec.topics}
    for service, earlier in FOLLOWS.items():
        before = order[: order.index(service)]
        assert set(earlier) == followed[service].intersection(before), service
