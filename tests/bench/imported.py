"""How fast does a ledger file show in a report: `openitem import` into the whole stack, until aging has all of it?"""

from __future__ import annotations

import asyncio
import csv
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx

from deploy.demo.stack import Stack
from deploy.embedded.keys import mint
from deploy.embedded.ports import free_port
from events.money import decimal_text
from services.kernel.settings import HTTP_PORTS, WORKER_PORTS
from tests.bench.bench import Bench, family, processor_s
from tests.bench.figure import Figure
from tests.bench.ledger import CURRENCY, Ledger

ROWS: Final = 20_000  # Each an invoice, and three of four with the receipt that paid it.
SHOWN_S_MAX: Final = 600.0
_POLL_S: Final = 0.1
_AS_OF: Final = "2026-12-31"  # After the last day of the ledger.
# The columns of a layout that `openitem import` knows by its header.
_HEAD: Final = [
    "countryCode", "customerID", "invoiceNumber", "InvoiceDate", "DueDate", "InvoiceAmount", "Disputed", "SettledDate",
]  # fmt: skip
_DAY: Final = "%m/%d/%Y"


async def file_to_report(bench: Bench) -> list[Figure]:
    """In a thread of its own, because the stack prepares its databases with a loop of its own."""
    return await asyncio.to_thread(_run, bench)


def _run(bench: Bench) -> list[Figure]:
    ledger = Ledger(bench.count(ROWS, 500))
    path = bench.directory / "ledger.csv"
    write(ledger, path)
    owed = sum(line.minor for line in ledger.lines if line.receipt_id is None)
    stack = Stack(
        bench.directory / "import-stack",
        http_ports={service: free_port() for service in HTTP_PORTS},
        worker_ports={service: free_port() for service in WORKER_PORTS},
    )
    with stack.running() as supervisor:
        assert supervisor.pid is not None
        reports = Reports(stack)
        processor_s, began = _processor_s(supervisor.pid), time.perf_counter()
        importing = subprocess.Popen(
            [sys.executable, "-c", "from services.cli.main import app; app()", "import", str(path)],
            env=os.environ | {"OPENITEM_STATE_DIR": str(stack.state)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert importing.wait(SHOWN_S_MAX) == 0, "a row did not land"
        finally:
            importing.kill()
        sent_s = time.perf_counter() - began
        while reports.owed() != owed:
            assert time.perf_counter() - began < SHOWN_S_MAX, "the report does not show all of it"
            time.sleep(_POLL_S)
        shown_s = time.perf_counter() - began
        processor_s = _processor_s(supervisor.pid) - processor_s
        assert stack.postgres is not None
        limit = asyncio.run(_copied(path, stack.postgres))
    rows = len(ledger.lines)
    return [
        Figure("file to visible report", rows / shown_s, "rows/s", limit, "COPY of the same file into one plain table"),
        Figure("file to event stores: `openitem import` is done", rows / sent_s, "rows/s"),
        Figure("file to visible report, processor time of the whole stack", processor_s / rows * 1e6, "us a row"),
    ]


def write(ledger: Ledger, path: Path) -> None:
    """The ledger as somebody else's program would write it: a row an invoice, with the day it was paid."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_HEAD)
        for line in ledger.lines:
            writer.writerow(
                [
                    ledger.branch_of(line.account),
                    f"C{line.account:06d}",
                    line.number,
                    line.issued_on.strftime(_DAY),
                    line.due_on.strftime(_DAY),
                    decimal_text(line.minor, CURRENCY),
                    "No",
                    line.paid_on.strftime(_DAY) if line.receipt_id is not None else "",
                ]
            )


class Reports:
    """The reporting API, as one reader sees it."""

    def __init__(self, stack: Stack) -> None:
        token = mint(stack.state, "bench", ["admin"], "*")
        self._client = httpx.Client(base_url=stack.urls["reporting"], headers={"Authorization": f"Bearer {token}"})

    def owed(self) -> int:
        """What aging says is owed in all, in minor units."""
        answer = self._client.get("/aging", params={"as_of": _AS_OF})
        assert answer.status_code == 200, answer.text
        totals: list[dict[str, Any]] = answer.json()["totals"]
        return sum(int(Decimal(total["total"]) * 100) for total in totals)


def _processor_s(pid: int) -> float:
    """Seconds of processor that a process and all it started have taken, those that ended included."""
    return processor_s(family(pid), ended=True)


async def _copied(path: Path, url: str) -> float:
    """Rows a second that Postgres alone takes of the file as it is."""
    conn = await asyncpg.connect(url)
    try:
        columns = ", ".join(f"c{at} text" for at in range(len(_HEAD)))
        await conn.execute(f"CREATE TABLE bare_ledger ({columns})")
        began = time.perf_counter()
        await conn.copy_to_table("bare_ledger", source=path, format="csv", header=True)
        took = time.perf_counter() - began
        count: int = await conn.fetchval("SELECT count(*) FROM bare_ledger")
        return count / took
    finally:
        await conn.close()
