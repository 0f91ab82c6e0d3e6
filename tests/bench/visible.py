"""The whole stack: how soon is it ready, what does it hold in memory, how soon does a command show in a report?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import aiohttp
import psutil

from deploy.demo.stack import Stack
from deploy.embedded.keys import mint
from deploy.embedded.ports import free_port
from deploy.embedded.supervise import Supervisor
from services.kernel.settings import HTTP_PORTS, WORKER_PORTS
from tests.bench.bench import Bench, percentile
from tests.bench.figure import Figure, Wanted
from tests.bench.ledger import CURRENCY, Ledger

RATE: Final = 300  # Commands a second, over the four services.
SECONDS: Final = 30
INVOICES: Final = 32_000  # In the books before.
LOOKED_AT: Final = 10  # One command in so many is waited for in a report: more would measure the reports.
_ACCOUNTS: Final = 3_000
_WAIT_S: Final = 10
_MS: Final = 1_000.0
_MIB: Final = 1024.0**2
_OVERLOADED: Final = 503
_DAY: Final = "2026-06-30"


async def measure(bench: Bench) -> list[Figure]:
    return await asyncio.to_thread(_run, bench)


def _run(bench: Bench) -> list[Figure]:
    """In a thread of its own, because the stack prepares its databases with a loop of its own."""
    stack = Stack(
        bench.directory / "stack",
        http_ports={service: free_port() for service in HTTP_PORTS},
        worker_ports={service: free_port() for service in WORKER_PORTS},
    )
    began = time.perf_counter()
    with stack.running() as supervisor:
        ready_s = time.perf_counter() - began
        token = mint(stack.state, "bench", ["admin", "integration"], "*")
        load = Load(stack.urls, token)
        before = _processor_s(supervisor)
        asyncio.run(load.run(max(5, round(SECONDS * bench.scale))))
        spent_s = _processor_s(supervisor) - before
        resident = dict(_resident(supervisor))
    figures = [
        Figure("stack: ready", ready_s, "s", wanted=Wanted("at most", 25, of_ratio=False)),
        Figure(
            "stack: resident, shared pages counted once",
            sum(resident.values()),
            "MiB",
            wanted=Wanted("at most", 1_536, of_ratio=False),
        ),
        *(Figure(f"stack: resident, {name}", mib, "MiB") for name, mib in resident.items()),
        Figure("commands answered, four services", load.rate, "/s", wanted=Wanted("at least", RATE * 0.99, False)),
        Figure("processor time of the whole stack per command", spent_s * _MS / len(load.acknowledged), "ms"),
        Figure("commands put off with 503", load.put_off, "of them"),
        Figure("command, p99 until acknowledged", percentile(load.acknowledged) * _MS, "ms"),
    ]
    visible = Wanted("at most", 200, of_ratio=False)
    return [
        *figures,
        Figure("acknowledged to visible in a report, median", percentile(load.visible, 0.5) * _MS, "ms"),
        Figure("acknowledged to visible in a report, p99", percentile(load.visible) * _MS, "ms", wanted=visible),
    ]


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _processor_s(supervisor: Supervisor) -> float:
    """Seconds of processor that the stack has taken so far: says what a load needs, also on a busy machine."""
    assert supervisor.pid is not None
    return sum(sum(one.cpu_times()[:2]) for one in _family(supervisor.pid))


def _resident(supervisor: Supervisor) -> Iterator[tuple[str, float]]:
    """MiB of each program with what it started: the unique pages, and its share of those that several use."""
    assert supervisor.pid is not None
    yield "supervisor", psutil.Process(supervisor.pid).memory_full_info().pss / _MIB
    for name, pid in sorted(supervisor.pids().items()):
        yield name, sum(one.memory_full_info().pss for one in _family(pid)) / _MIB


@dataclass
class Load:
    """Commands at a steady rate, whatever the answers take."""

    urls: dict[str, str]
    token: str
    acknowledged: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)
    put_off: int = 0
    rate: float = 0.0

    async def run(self, seconds: int) -> None:
        ledger = Ledger(_ACCOUNTS * 20, branches=10)
        headers = {"Authorization": f"Bearer {self.token}"}
        async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:
            for kind in ("branches", "accounts"):
                url = f"{self.urls['invoice']}/imports/{kind}"
                async with session.post(url, data=ledger.file(kind), headers={"Content-Type": "text/csv"}) as answer:
                    assert '"rejected":0' in (await answer.text()).splitlines()[-1]
            for at in range(40):  # Every route once, and the accounts known everywhere.
                await self._command(session, ledger, at - 40, wait_s=_WAIT_S)
            self.acknowledged.clear()
            self.visible.clear()
            self.put_off = 0
            tasks = []
            began = time.perf_counter()
            for at in range(seconds * RATE):
                await asyncio.sleep(max(0.0, began + at / RATE - time.perf_counter()))
                tasks.append(asyncio.create_task(self._command(session, ledger, at)))
            await asyncio.gather(*tasks)
            self.rate = (len(tasks) - self.put_off) / (time.perf_counter() - began)

    async def _command(self, session: aiohttp.ClientSession, ledger: Ledger, at: int, wait_s: int = 0) -> None:
        service, path, body = _command(ledger, at)
        headers = {"Idempotency-Key": uuid4().hex, "Prefer": f"wait={wait_s}"}
        began = time.perf_counter()
        async with session.post(self.urls[service] + path, json=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status == _OVERLOADED:
                self.put_off += 1  # It said so, and recorded nothing: a client sends it again.
                return
            assert answer.status < 300, (path, answer.status, text)
            position = answer.headers["Openitem-Position"]
        known = time.perf_counter()
        self.acknowledged.append(known - began)
        if at // 4 % LOOKED_AT == 0:  # All four services have their turn.
            headers = {"Openitem-After": position, "Prefer": f"wait={_WAIT_S}"}
            async with session.get(f"{self.urls['reporting']}/items?limit=1", headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()
            self.visible.append(time.perf_counter() - known)


def _command(ledger: Ledger, at: int) -> tuple[str, str, dict[str, Any]]:
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
