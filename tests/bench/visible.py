"""The whole stack: how soon is it ready, what does it hold in memory, how soon does a command show in a report?"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Final

import psutil
import uvloop

from deploy.demo.stack import Stack
from deploy.embedded.keys import mint
from deploy.embedded.ports import free_port
from deploy.embedded.supervise import Supervisor
from services.kernel.settings import HTTP_PORTS, WORKER_PORTS
from tests.bench.bench import Bench, family, percentile, processor_s, resident_mib
from tests.bench.client import Client
from tests.bench.figure import Figure, Wanted
from tests.bench.ledger import Ledger
from tests.bench.load import Load

RATE: Final = 300  # Commands a second, over the four services.
SECONDS: Final = 20
INVOICES: Final = 32_000  # In the books before.
_ACCOUNTS: Final = 3_000  # The escalation service holds an account once only.
_BRANCHES: Final = 10
_MS: Final = 1_000.0
_BOUND: Final = (
    "Processor time bounds it: {rate} a second at what a command costs, of {cores} cores; a third of that are the apps,"
    " a quarter PostgreSQL. Where less is asked, at 100 a second, half show within 90 ms: decisions/0008."
)


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
        resident = dict(_resident(supervisor))
        load, spent_s = uvloop.run(_loaded(stack, supervisor, bench.count(INVOICES, 1_000)))
        after = dict(_resident(supervisor))
    each = len(load.acknowledged)
    bound = _BOUND.format(rate=RATE, cores=os.cpu_count())
    spent = {name: seconds * _MS / each for name, seconds in spent_s.items()}
    return [
        Figure("stack: ready", ready_s, "s", wanted=_at_most(25)),
        Figure("stack: resident when ready", sum(resident.values()), "MiB", wanted=_at_most(1_536), parts=resident),
        Figure("stack: resident under load", sum(after.values()), "MiB", wanted=_at_most(1_536), parts=after),
        Figure("commands answered, four services", load.rate, "/s", wanted=Wanted("at least", RATE * 0.99, False)),
        Figure("commands put off with 503", load.put_off, "of them"),
        Figure("processor time of a command and all that follows", sum(spent.values()), "ms", parts=spent),
        Figure("command, p99 until acknowledged", percentile(load.acknowledged) * _MS, "ms"),
        Figure("acknowledged to visible in a report, median", percentile(load.visible, 0.5) * _MS, "ms"),
        Figure(
            "acknowledged to visible in a report, p99",
            percentile(load.visible) * _MS,
            "ms",
            wanted=_at_most(200),
            bound=bound,
        ),
    ]


async def _loaded(stack: Stack, supervisor: Supervisor, invoices: int) -> tuple[Load, dict[str, float]]:
    """The load when it is over, and the seconds of processor that each program took for it."""
    ledger = Ledger(invoices, branches=_BRANCHES, accounts=_ACCOUNTS)
    headers = {"Authorization": f"Bearer {mint(stack.state, 'bench', ['admin', 'integration'], '*')}"}
    async with Client(headers) as client:
        load = Load(stack.urls, ledger, client)
        await load.prepare(RATE)
        before = dict(_processor_s(supervisor))
        await load.run(SECONDS, RATE)
        return load, {name: seconds - before[name] for name, seconds in _processor_s(supervisor)}


def _at_most(value: float) -> Wanted:
    return Wanted("at most", value, of_ratio=False)


def _programs(supervisor: Supervisor) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Each program with what it started."""
    assert supervisor.pid is not None
    yield "supervisor", [psutil.Process(supervisor.pid)]
    for name, pid in sorted(supervisor.pids().items()):
        yield name, family(pid)


def _processor_s(supervisor: Supervisor) -> Iterator[tuple[str, float]]:
    """Seconds of processor so far, the client's too: says what a load needs, also on a busy machine."""
    for name, processes in _programs(supervisor):
        yield name, processor_s(processes)
    yield "this client", time.process_time()


def _resident(supervisor: Supervisor) -> Iterator[tuple[str, float]]:
    for name, processes in _programs(supervisor):
        yield name, resident_mib(processes)
