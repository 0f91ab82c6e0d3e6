"""Commands at a steady rate over the four services, and how soon each shows in a report."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import msgspec

from tests.bench.client import Client
from tests.bench.ledger import CURRENCY, Ledger

LOOKED_AT: Final = 20  # One command in so many is waited for in a report: more would measure the reports.
_WAIT_S: Final = 10
_FIRST: Final = 80  # Commands that are not counted.
_WARM_S: Final = 10  # So long the load runs before it is: Kafka compiles, Postgres sweeps what was imported.
_SETTLED_S_MAX: Final = 300.0
_OVERLOADED: Final = 503
_DAY: Final = "2026-06-30"


@dataclass
class Load:
    """One client's view of the stack. `acknowledged` and `visible` are seconds, one for each command looked at."""

    urls: dict[str, str]
    ledger: Ledger
    client: Client
    acknowledged: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)
    put_off: int = 0
    rate: float = 0.0

    async def prepare(self, rate: int) -> None:
        """The ledger's invoices into the books, and what follows from them; then the load itself, for a while."""
        for kind in ("branches", "accounts", "invoices"):
            url, file = f"{self.urls['invoice']}/imports/{kind}", self.ledger.file(kind)
            answer = await self.client.ask("POST", url, {"Content-Type": "text/csv"}, file)
            assert b'"rejected":0' in answer.body.splitlines()[-1]
        await self._settled()
        for at in range(_FIRST):
            await self._command(at - _FIRST * 2, wait_s=_WAIT_S)
        # Connections are opened, and statements prepared on each, when commands first come at once.
        await asyncio.gather(*(self._command(at - _FIRST, wait_s=_WAIT_S) for at in range(_FIRST)))
        await self._settled()
        await self.run(_WARM_S, rate, first=-2 * _FIRST - _WARM_S * rate)
        self.acknowledged.clear()
        self.visible.clear()
        self.put_off = 0

    async def run(self, seconds: int, rate: int, first: int = 0) -> None:
        """So many commands a second, numbered from `first`, whatever the answers take."""
        tasks = []
        began = time.perf_counter()
        for at in range(seconds * rate):
            await asyncio.sleep(max(0.0, began + at / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(self._command(first + at)))
        await asyncio.gather(*tasks)
        self.rate = (len(tasks) - self.put_off) / (time.perf_counter() - began)

    async def _settled(self) -> None:
        """Return when everything published shows, and stays so: policies answer facts with facts."""
        url, quiet = f"{self.urls['reporting']}/freshness", 0
        async with asyncio.timeout(_SETTLED_S_MAX):
            while quiet < 4:  # The workers tell once a second how far they are.
                told = msgspec.json.decode((await self.client.ask("GET", url)).body)
                quiet = quiet + 1 if told["topics"] and told["freshness"]["facts_behind"] == 0 else 0
                await asyncio.sleep(0.5)

    async def _command(self, at: int, wait_s: int = 0) -> None:
        service, path, body = command(self.ledger, at)
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": uuid4().hex,
            "Prefer": f"wait={wait_s}",
        }
        began = time.perf_counter()
        answer = await self.client.ask("POST", self.urls[service] + path, headers, msgspec.json.encode(body))
        if answer.status == _OVERLOADED:
            self.put_off += 1  # It said so, and recorded nothing: a client sends it again.
            return
        assert answer.status < 300, (path, answer.status, answer.body)
        known = time.perf_counter()
        self.acknowledged.append(known - began)
        if at // 4 % LOOKED_AT == 0:  # All four services have their turn.
            headers = {"Openitem-After": answer.headers["openitem-position"], "Prefer": f"wait={_WAIT_S}"}
            answer = await self.client.ask("GET", f"{self.urls['reporting']}/items?limit=1", headers)
            assert answer.status == 200, answer.body
            self.visible.append(time.perf_counter() - known)


def command(ledger: Ledger, at: int) -> tuple[str, str, dict[str, Any]]:
    """One command: the service, the route, the body. Each service has one in four."""
    account = at % len(ledger.accounts)
    account_id, branch = str(ledger.accounts[account]), ledger.branch_of(account)
    money = {"amount": "120.50", "currency": CURRENCY}
    match at % 4:
        case 0:
            number = {"branch": branch, "number": f"V{at:06d}", "issued_on": _DAY, "total": "120.50"}
            return "invoice", "/invoices", {**number, "account_id": account_id, "currency": CURRENCY}
        case 1:
            receipt = {"branch": branch, "account_id": account_id, "method": "check", "received_on": _DAY}
            return "payment", "/receipts", {**receipt, **money}
        case 2:
            attempt = {"account_id": account_id, "channel": "call", "outcome": "reached", "attempted_on": _DAY}
            return "contact", "/attempts", attempt
        case _:
            hold = {"account_id": str(ledger.accounts[at // 4 % len(ledger.accounts)]), "reason": "past_due"}
            return "escalation", "/holds", {**hold, "placed_on": _DAY}
