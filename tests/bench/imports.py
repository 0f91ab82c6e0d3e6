"""How fast does a file become facts: rows read, decided, appended with every stream checked? And lines of a report?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final, NamedTuple

import asyncpg
import uvloop

from services.invoice.claims import index
from services.kernel.garbage import collect_rarely
from tests.bench.bench import Bench, family, processor_s
from tests.bench.figure import Figure, Wanted
from tests.bench.imported import file_to_report
from tests.bench.ledger import INVOICE_KINDS, PAYMENT_KINDS, Ledger, open_items, store_at, take_in

INVOICES: Final = 100_000
PROCESSES: Final = 2  # Two apps of one service behind one address.
REQUESTS: Final = 2  # At once in each: what `openitem import` sends side by side.
_WANTED: Final = Wanted("at least", 30_000, of_ratio=False)
_KINDS: Final = {"invoices": INVOICE_KINDS["invoices"], "receipts": PAYMENT_KINDS["receipts"]}
_INDEX: Final = {"invoices": index, "receipts": None}
_BESIDE: Final = "INSERT … SELECT of the same rows, 500 a transaction"
_BOUND: Final = "Processor time bounds it: what our processes and PostgreSQL take for a fact is told above, in us."
_US: Final = 1e6


class Taken(NamedTuple):
    """What imports came to, in seconds: by the clock that all processes share, and of processors."""

    began: float
    ended: float
    facts: int
    ours: float
    postgres: float = 0.0

    @property
    def rate(self) -> float:
        return self.facts / (self.ended - self.began)


async def measure(bench: Bench) -> list[Figure]:
    ledger = Ledger(bench.count(INVOICES, 2_000))
    figures: list[Figure] = []
    everything = Taken(0.0, 0.0, 0, 0.0)
    for name, prepare in (("invoices", _with_accounts), ("receipts", _with_items)):
        async with bench.databases() as make:
            alone, together = await prepare(make, ledger), await prepare(make, ledger)
            file = ledger.file(name)
            one = await _take(bench, [[file]], alone, name)
            limit = await copied(alone)
            all_ = await _take(bench, shares(file), together, name)
        what = "receipts with what they pay" if name == "receipts" else name
        side = f"{PROCESSES * REQUESTS} requests at once in {PROCESSES} processes"
        figures += [
            Figure(f"import of {what}, one request", one.rate, "facts/s", limit, _BESIDE),
            Figure(f"import of {what}, {side}", all_.rate, "facts/s", limit, _BESIDE, _WANTED, _BOUND),
            Figure("the same, processor time of our processes", all_.ours / all_.facts * _US, "us a fact"),
            Figure("the same, processor time of PostgreSQL", all_.postgres / all_.facts * _US, "us a fact"),
        ]
        everything = Taken(
            0.0,
            everything.ended + all_.ended - all_.began,
            everything.facts + all_.facts,
            everything.ours + all_.ours,
            everything.postgres + all_.postgres,
        )
    figures.append(
        Figure("import of both, one after the other", everything.rate, "facts/s", wanted=_WANTED, bound=_BOUND)
    )
    return [*figures, *await file_to_report(bench)]


async def _with_accounts(make: Callable[[str], Awaitable[str]], ledger: Ledger) -> str:
    """A database of the invoice service where only the invoices are missing."""
    url = await make("invoice")
    async with store_at(url, index) as store:
        for kind in ("branches", "accounts"):
            await take_in(store, INVOICE_KINDS[kind], ledger.file(kind))
    return url


async def _with_items(make: Callable[[str], Awaitable[str]], ledger: Ledger) -> str:
    """A database of the payment service where only the receipts are missing."""
    url = await make("payment")
    async with store_at(url) as store:
        await open_items(store, ledger)
    return url


def shares(file: bytes) -> list[list[bytes]]:
    """The file in as many parts as there are requests, for each process its own, each with the header."""
    head, *rows = file.splitlines(keepends=True)
    count = PROCESSES * REQUESTS
    parts = [head + b"".join(rows[part::count]) for part in range(count)]
    return [parts[process::PROCESSES] for process in range(PROCESSES)]


async def _take(bench: Bench, files: list[list[bytes]], url: str, name: str) -> Taken:
    """Import the files of each process at once: from the first row of any to the last commit."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(len(files), mp_context=get_context("spawn")) as processes:
        await asyncio.gather(*(loop.run_in_executor(processes, time.sleep, 1) for _ in files))  # All are up.
        before = _postgres_s(bench)
        runs = await asyncio.gather(*(loop.run_in_executor(processes, _import, some, url, name) for some in files))
        spent = _postgres_s(bench) - before
    return Taken(
        min(run.began for run in runs),
        max(run.ended for run in runs),
        sum(run.facts for run in runs),
        sum(run.ours for run in runs),
        spent,
    )


def _import(files: list[bytes], url: str, name: str) -> Taken:
    """In a process of its own, which collects garbage as rarely as an app."""
    collect_rarely()

    async def run() -> Taken:
        async with store_at(url, _INDEX[name], size_max=REQUESTS) as store:
            spent, began = time.process_time(), time.monotonic()
            summaries = await asyncio.gather(*(take_in(store, _KINDS[name], file) for file in files))
            facts = sum(summary.facts for summary in summaries)
            return Taken(began, time.monotonic(), facts, time.process_time() - spent)

    return uvloop.run(run())


def _postgres_s(bench: Bench) -> float:
    """Seconds of processor that the server has taken so far, those of sessions that are over included."""
    assert bench.postgres.pid is not None
    return processor_s(family(bench.postgres.pid), ended=True)


async def copied(url: str) -> float:
    """Facts a second that Postgres alone takes: the events just recorded, into a table like theirs, in batches."""
    conn = await asyncpg.connect(url)
    try:
        await conn.execute("CREATE TABLE bare_events (LIKE events INCLUDING ALL)")
        low = await conn.fetchval("SELECT min(position) FROM events")
        high = await conn.fetchval("SELECT max(position) FROM events")
        began = time.perf_counter()
        for at in range(low, high + 1, 500):
            await conn.execute(_COPY, at, at + 500)
        return float((high - low + 1) / (time.perf_counter() - began))
    finally:
        await conn.close()


_COPY: Final = """
INSERT INTO bare_events OVERRIDING SYSTEM VALUE SELECT * FROM events WHERE position >= $1 AND position < $2
"""
