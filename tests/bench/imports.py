"""How fast does a file become facts: rows read, decided by the domain, appended with every stream checked?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

import asyncpg
import uvloop

from services.invoice.claims import index
from tests.bench.bench import Bench
from tests.bench.figure import Figure, Wanted
from tests.bench.ledger import INVOICE_KINDS, PAYMENT_KINDS, Ledger, open_items, store_at, take_in

INVOICES: Final = 100_000
PROCESSES: Final = 2  # Two apps of one service behind one address, a file each.
_WANTED: Final = Wanted("at least", 30_000, of_ratio=False)
_KINDS: Final = {"invoices": INVOICE_KINDS["invoices"], "receipts": PAYMENT_KINDS["receipts"]}
_INDEX: Final = {"invoices": index, "receipts": None}
_BESIDE: Final = "INSERT … SELECT of the same rows, 500 a transaction"


async def measure(bench: Bench) -> list[Figure]:
    ledger = Ledger(bench.count(INVOICES, 2_000))
    figures = []
    for name, prepare in (("invoices", _with_accounts), ("receipts", _with_items)):
        async with bench.databases() as make:
            alone, together = await prepare(make, ledger), await prepare(make, ledger)
            file = ledger.file(name)
            one = await _rate([file], alone, name)
            limit = await copied(alone)
            both = await _rate(halves(file), together, name)
        what = "receipts with what they pay" if name == "receipts" else name
        figures += [
            Figure(f"import of {what}, one file", one, "facts/s", limit, _BESIDE, _WANTED),
            Figure(f"import of {what}, two files in two processes", both, "facts/s", limit, _BESIDE, _WANTED),
        ]
    return figures


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


def halves(file: bytes) -> list[bytes]:
    """The file as two, each with the header."""
    head, *rows = file.splitlines(keepends=True)
    middle = len(rows) // 2
    return [head + b"".join(rows[:middle]), head + b"".join(rows[middle:])]


async def _rate(files: list[bytes], url: str, name: str) -> float:
    """Facts a second from the first row of any file to the last commit, each file in a process of its own."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(len(files), mp_context=get_context("spawn")) as processes:
        await asyncio.gather(*(loop.run_in_executor(processes, time.sleep, 1) for _ in files))  # All are up.
        runs = await asyncio.gather(*(loop.run_in_executor(processes, _import, file, url, name) for file in files))
    return sum(run[2] for run in runs) / (max(run[1] for run in runs) - min(run[0] for run in runs))


def _import(file: bytes, url: str, name: str) -> tuple[float, float, int]:
    """When it began and ended, by the clock that all processes share, and the facts."""

    async def run() -> tuple[float, float, int]:
        async with store_at(url, _INDEX[name]) as store:
            began = time.monotonic()
            summary = await take_in(store, _KINDS[name], file)
            return began, time.monotonic(), summary.facts

    return uvloop.run(run())


async def copied(url: str) -> float:
    """Facts a second that Postgres alone takes: the events just recorded, into a table like theirs, in batches."""
    conn = await asyncpg.connect(url)
    try:
        await conn.execute("CREATE TABLE bare_events (LIKE events INCLUDING ALL)")
        low, high = await conn.fetchrow("SELECT min(position), max(position) FROM events")
        began = time.perf_counter()
        for at in range(low, high + 1, 500):
            await conn.execute(_COPY, at, at + 500)
        return float((high - low + 1) / (time.perf_counter() - began))
    finally:
        await conn.close()


_COPY: Final = """
INSERT INTO bare_events OVERRIDING SYSTEM VALUE SELECT * FROM events WHERE position >= $1 AND position < $2
"""
