"""What is told twice: as facts to the read models, and as postings that know nothing of facts, tables or SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from uuid import NAMESPACE_OID, UUID, uuid5

import asyncpg

from events import contact, escalation, invoice, payment
from events.envelope import Envelope, Fact
from events.item import Item
from services.kernel import position
from services.kernel.delivery import Delivered
from services.projections.project import CONSUMER, handler
from tests.support.scenario import stream_of


def some_id(*parts: object) -> UUID:
    return uuid5(NAMESPACE_OID, repr(parts))


class Bill(NamedTuple):
    """An item and the currency it is in."""

    item: Item
    currency: str

    @property
    def id(self) -> UUID:
        return self.item.item_id


class Receipt(NamedTuple):
    id: UUID
    branch: str
    on: date
    method: str
    currency: str
    minor: int


@dataclass(frozen=True)
class Posting:
    """One change of one bill, retainage or receipt. `minor` is signed: a receipt is negative."""

    kind: str  # open, retainage, unapplied
    cause: str
    id: UUID
    branch: str
    account_id: UUID | None
    job_id: UUID | None
    currency: str
    issued_on: date
    due_on: date
    effective_on: date
    recorded_at: datetime
    minor: int


class Record:
    """Facts and postings. `at` is when the entries that follow are recorded; None: at noon of their own day."""

    def __init__(self) -> None:
        self.facts: list[Delivered] = []
        self.postings: list[Posting] = []
        self.cash: list[tuple[Posting, Receipt]] = []  # Money in and out, with the receipt it was.
        self.settled: list[tuple[Bill, int, int]] = []  # Bill, minor units, days late; negative where undone.
        self.collectors: dict[UUID, str | None] = {}
        self.numbers: dict[UUID, str] = {}
        self.at: datetime | None = None
        self._versions: dict[str, int] = {}
        self._given = 0
        self._payer: dict[UUID, UUID | None] = {}
        self._names = 0

    async def deliver(self, url: str) -> str:
        """Give what is new to the projections, as their worker does; answers the last position, as a command would."""
        batch, self._given = self.facts[self._given :], len(self.facts)
        versions = {known.envelope.stream: known.envelope.stream_version for known in batch}
        conn = await asyncpg.connect(url)
        try:
            async with conn.transaction():
                await handler(conn, batch)
                await conn.execute("SET LOCAL search_path = public")
                held = await position.held(conn, CONSUMER, versions.keys())
                was = {stream: known.version for stream, known in held.items()}
                await position.settle(conn, CONSUMER, versions, {}, was)
        finally:
            await conn.close()
        stream = batch[-1].envelope.stream
        return f"{stream}@{versions[stream]}"

    def known(self, as_of: date, known_at: datetime | None = None) -> list[Posting]:
        """The postings that a report as of that day, as known then, is made of."""
        return [
            p
            for p in self.postings
            if p.effective_on <= as_of and (known_at is None or p.recorded_at <= known_at) and p.minor
        ]

    def _next(self) -> int:
        self._names += 1
        return self._names

    def _tell(self, fact: Fact) -> datetime:
        stream = stream_of(fact)
        version = self._versions[stream] = self._versions.get(stream, 0) + 1
        seq = len(self.facts) + 1
        at = self.at or datetime.combine(fact.effective_on, time(12), UTC)
        at += timedelta(microseconds=seq)
        kind = type(fact)
        service = {invoice: "invoice", payment: "payment", contact: "contact", escalation: "escalation"}
        [source] = [name for module, name in service.items() if getattr(module, kind.__name__, None) is kind]
        envelope = Envelope(
            event_id=some_id("event", stream, version),
            type=f"openitem.{source}.v1",
            source=f"/openitem/{source}",
            stream=stream,
            stream_version=version,
            seq=seq,
            recorded_at=at,
            actor="tester",
            branch=fact.branch,
            correlation_id="test",
        )
        self.facts.append(Delivered(envelope, fact))
        return at

    def _post(self, kind: str, cause: str, bill: Bill, minor: int, on: date, at: datetime) -> None:
        item = bill.item
        where = (item.branch, item.account_id, item.job_id, bill.currency, item.issued_on, item.due_on)
        self.postings.append(Posting(kind, cause, item.item_id, *where, on, at, minor))

    def _cash(self, cause: str, receipt: Receipt, minor: int, on: date, at: datetime) -> None:
        where = (receipt.branch, self._payer[receipt.id], None, receipt.currency, receipt.on, receipt.on)
        posting = Posting("unapplied", cause, receipt.id, *where, on, at, minor)
        self.postings.append(posting)
        if cause in ("received", "reversed", "refunded"):
            self.cash.append((posting, receipt))
