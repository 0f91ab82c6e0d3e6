"""Books to measure with: branches, accounts, invoices and receipts that pay them, as files and in the event stores."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID

from events.item import Item
from events.money import Money, decimal_text
from services.invoice import imports as invoice_imports
from services.invoice.claims import index
from services.kernel.bulk import BulkKind, Import, Summary
from services.kernel.commands import carry_out_many
from services.kernel.meta import EVERY_BRANCH
from services.kernel.rows import CsvRows, rows_of
from services.kernel.store import Index, Store, open_pool
from services.payment import imports as payment_imports
from services.payment.domain import DOMAIN as PAYMENT
from services.payment.domain.commands import OpenItem
from tests.support.facts import meta

CURRENCY: Final = "USD"
FIRST_DAY: Final = date(2024, 1, 1)
DAYS: Final = 700
CHUNK: Final = 64 * 1024  # Bytes of a file at a time, as HTTP brings them.
INVOICE_KINDS: Final = {kind.name: kind for kind in invoice_imports.KINDS}
PAYMENT_KINDS: Final = {kind.name: kind for kind in payment_imports.KINDS}


@dataclass(frozen=True, slots=True)
class Line:
    """An invoice of the ledger, and the receipt that paid it where one did."""

    invoice_id: UUID
    account: int
    number: str
    issued_on: date
    due_on: date
    minor: int
    receipt_id: UUID | None
    paid_on: date


class Ledger:
    """So many invoices over a twentieth as many accounts; three of four are paid. The same seed, the same ledger."""

    def __init__(self, invoices: int, *, seed: int = 7, branches: int = 30, accounts: int | None = None) -> None:
        rng = random.Random(seed)
        self.branches = [f"B{number:03d}" for number in range(1, branches + 1)]
        self.accounts = [
            UUID(int=rng.getrandbits(128), version=4) for _ in range(accounts or max(branches, invoices // 20))
        ]
        self.lines = [self._line(rng, number) for number in range(1, invoices + 1)]

    def branch_of(self, account: int) -> str:
        return self.branches[account % len(self.branches)]

    def file(self, kind: str) -> bytes:
        """The rows of one kind as CSV."""
        rows = {
            "branches": self._branches,
            "accounts": self._accounts,
            "invoices": self._invoices,
            "receipts": self._receipts,
        }[kind]()
        return "".join(f"{','.join(row)}\n" for row in rows).encode()

    def items(self) -> Iterator[OpenItem]:
        """What the invoice service's facts make the payment service open."""
        for line in self.lines:
            item = Item(
                item_id=line.invoice_id,
                invoice_id=line.invoice_id,
                branch=self.branch_of(line.account),
                account_id=self.accounts[line.account],
                issued_on=line.issued_on,
                due_on=line.due_on,
            )
            yield OpenItem(item=item, number=line.number, original=Money(line.minor, CURRENCY), on=line.issued_on)

    def _line(self, rng: random.Random, number: int) -> Line:
        issued_on = FIRST_DAY + timedelta(days=rng.randrange(DAYS))
        due_on = issued_on + timedelta(days=30)
        return Line(
            UUID(int=rng.getrandbits(128), version=4),
            min(int(rng.paretovariate(0.6)) - 1, len(self.accounts) - 1),
            f"I{number:07d}",
            issued_on,
            due_on,
            rng.randrange(5_000, 900_000),
            UUID(int=rng.getrandbits(128), version=4) if rng.random() < 0.75 else None,
            due_on + timedelta(days=rng.randrange(-10, 40)),
        )

    def _branches(self) -> Iterator[list[str]]:
        yield ["branch", "name"]
        for branch in self.branches:
            yield [branch, f"Branch {branch}"]

    def _accounts(self) -> Iterator[list[str]]:
        yield ["account_id", "branch", "number", "currency", "opened_on"]
        for number, account_id in enumerate(self.accounts):
            yield [str(account_id), self.branch_of(number), f"C{number:06d}", CURRENCY, FIRST_DAY.isoformat()]

    def _invoices(self) -> Iterator[list[str]]:
        yield ["invoice_id", "branch", "account_id", "number", "issued_on", "due_on", "total", "tax", "currency"]
        for line in self.lines:
            yield [
                str(line.invoice_id),
                self.branch_of(line.account),
                str(self.accounts[line.account]),
                line.number,
                line.issued_on.isoformat(),
                line.due_on.isoformat(),
                decimal_text(line.minor, CURRENCY),
                decimal_text(line.minor // 16, CURRENCY),
                CURRENCY,
            ]

    def _receipts(self) -> Iterator[list[str]]:
        head = ["receipt_id", "branch", "account_id", "method", "reference", "amount", "currency", "received_on"]
        yield [*head, "item_id", "applied"]
        for line in self.lines:
            if line.receipt_id is not None:
                amount = decimal_text(line.minor, CURRENCY)
                yield [
                    str(line.receipt_id),
                    self.branch_of(line.account),
                    str(self.accounts[line.account]),
                    "check",
                    line.number[1:],
                    amount,
                    CURRENCY,
                    line.paid_on.isoformat(),
                    str(line.invoice_id),
                    amount,
                ]


async def take_in(store: Store, kind: BulkKind[Any, Any], file: bytes) -> Summary:
    """Import a file as `POST /imports/<kind>` does, but for HTTP. Errors: AssertionError where a row does not land."""

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(file), CHUNK):
            yield file[at : at + CHUNK]

    summary: Summary | None = None
    reader = CsvRows(kind.row, kind.row_bytes_max)
    async for line in Import(kind, store, meta()).run(rows_of(reader, chunks())):
        if isinstance(line, Summary):
            summary = line
    assert summary is not None, "an import ends with its summary"
    assert summary.landed == summary.rows > 0, summary
    return summary


@asynccontextmanager
async def store_at(url: str, index_: Index | None = None, size_max: int = 4) -> AsyncIterator[Store]:
    """A store as a service's app opens it."""
    pool = await open_pool(url, size_max=size_max, branches=EVERY_BRANCH)
    try:
        yield Store(pool, index_)
    finally:
        pool.terminate()


async def open_items(store: Store, ledger: Ledger, batch: int = 500) -> None:
    """Open the items that receipts pay, as the payment service's policy does."""
    items = ledger.items()
    while some := list(islice(items, batch)):
        await carry_out_many(store, meta(), PAYMENT, some)


async def record(ledger: Ledger, invoice_url: str, payment_url: str) -> int:
    """The whole ledger into the event stores of both services; answers how many facts that are."""
    facts = len(ledger.lines)
    async with store_at(invoice_url, index) as store:
        for kind in ("branches", "accounts", "invoices"):
            facts += (await take_in(store, INVOICE_KINDS[kind], ledger.file(kind))).facts
        facts -= len(ledger.lines)
    async with store_at(payment_url) as store:
        await open_items(store, ledger)
        facts += len(ledger.lines) + (await take_in(store, PAYMENT_KINDS["receipts"], ledger.file("receipts"))).facts
    return facts
