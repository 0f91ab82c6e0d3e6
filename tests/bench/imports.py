"""How fast does a file become facts: rows read, decided by the domain, appended with every stream checked?"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg

from services.invoice.claims import index
from services.kernel.bulk import Summary
from tests.bench.bench import Bench
from tests.bench.figure import Figure, Wanted
from tests.bench.ledger import INVOICE_KINDS, PAYMENT_KINDS, Ledger, open_items, store_at, take_in

INVOICES: Final = 100_000
_WANTED: Final = Wanted("at least", 30_000, of_ratio=False)


async def measure(bench: Bench) -> list[Figure]:
    ledger = Ledger(bench.count(INVOICES, 2_000))
    figures = []
    async with bench.databases() as make:
        url = await make("invoice")
        async with store_at(url, index) as store:
            for kind in ("branches", "accounts"):
                await take_in(store, INVOICE_KINDS[kind], ledger.file(kind))
            file = ledger.file("invoices")
            rate = await _rate(lambda: take_in(store, INVOICE_KINDS["invoices"], file))
        limit = await copied(url)
        figures.append(
            Figure("import: invoices into the event store, one file", rate, "facts/s", limit, _BESIDE, _WANTED)
        )
        url = await make("payment")
        async with store_at(url) as store:
            await open_items(store, ledger)
            file = ledger.file("receipts")
            rate = await _rate(lambda: take_in(store, PAYMENT_KINDS["receipts"], file))
        limit = await copied(url)
        figures.append(
            Figure(
                "import: receipts, applied, into the event store, one file", rate, "facts/s", limit, _BESIDE, _WANTED
            )
        )
    return figures


async def copied(url: str) -> float:
    """Facts a second that Postgres alone takes: the events just recorded, into a table like theirs, in batches."""
    conn = await asyncpg.connect(url)
    try:
        await conn.execute("CREATE TABLE bare_events (LIKE events INCLUDING ALL)")
        low, high = await conn.fetchrow("SELECT min(position), max(position) FROM events")
        began = time.perf_counter()
        for at in range(low, high + 1, 500):
            await conn.execute(_COPY, at, at + 500)
        return (high - low + 1) / (time.perf_counter() - began)
    finally:
        await conn.close()


async def _rate(run: Callable[[], Awaitable[Summary]]) -> float:
    began = time.perf_counter()
    summary = await run()
    return summary.facts / (time.perf_counter() - began)


_BESIDE: Final = "INSERT … SELECT of the same rows, 500 a transaction"
_COPY: Final = """
INSERT INTO bare_events OVERRIDING SYSTEM VALUE SELECT * FROM events WHERE position >= $1 AND position < $2
"""
