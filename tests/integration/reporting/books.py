"""Books kept twice: every entry is a fact for the projections, and a posting from which tests compute what reports say.

The postings know nothing of facts, tables or SQL. A report that equals a sum of them is right for its own reasons.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, UUID, uuid5

import asyncpg

from events import contact, escalation, invoice, payment
from events.envelope import Envelope, Fact
from events.item import Item
from events.money import Money
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


class Books:
    """`at` is when the entries that follow are recorded; None: at noon of their own day."""

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

    # --- what happens -------------------------------------------------------------------------------------------------

    def branch(self, code: str, name: str | None = None) -> str:
        fact = invoice.BranchRegistered(branch=code, effective_on=date(2020, 1, 1), name=name or f"Branch {code}")
        self._tell(fact)
        return code

    def account(
        self, branch: str, number: str, currency: str = "USD", collector: str | None = None, name: str | None = None
    ) -> UUID:
        account_id = some_id("account", number)
        self._tell(
            invoice.AccountOpened(
                branch=branch,
                effective_on=date(2020, 1, 1),
                account_id=account_id,
                number=number,
                name=name or f"Customer {number}",
                currency=currency,
                terms_days=30,
                collector=collector,
            )
        )
        self.collectors[account_id], self.numbers[account_id] = collector, number
        return account_id

    def job(self, branch: str, account_id: UUID, number: str) -> UUID:
        job_id = some_id("job", number)
        fact = invoice.JobOpened(
            branch=branch,
            effective_on=date(2020, 1, 1),
            job_id=job_id,
            account_id=account_id,
            number=number,
            name=f"Job {number}",
        )
        self._tell(fact)
        self.numbers[job_id] = number
        return job_id

    def issue(
        self,
        branch: str,
        account_id: UUID,
        minor: int,
        issued_on: date,
        due_on: date,
        *,
        currency: str = "USD",
        retainage: int = 0,
        job_id: UUID | None = None,
        number: str | None = None,
    ) -> Bill:
        number = number or f"INV-{self._next():05d}"
        item_id = some_id("invoice", number)
        item = Item(
            item_id=item_id,
            invoice_id=item_id,
            branch=branch,
            account_id=account_id,
            job_id=job_id,
            issued_on=issued_on,
            due_on=due_on,
        )
        bill = Bill(item, currency)
        fact = invoice.InvoiceIssued(
            branch=branch,
            effective_on=issued_on,
            item=item,
            number=number,
            terms="NET 30",
            total=Money(minor, currency),
            tax=Money(0, currency),
            retainage=Money(retainage, currency),
        )
        at = self._tell(fact)
        self.numbers[item_id] = number
        self._post("open", "issued", bill, minor - retainage, issued_on, at)
        self._post("retainage", "issued", bill, retainage, issued_on, at)
        return bill

    def credit(self, bill: Bill, minor: int, on: date) -> None:
        fact = invoice.CreditNoteIssued(
            branch=bill.item.branch,
            effective_on=on,
            item=bill.item,
            credit_note_id=some_id("credit", self._next()),
            number=f"CN-{self._names}",
            amount=Money(minor, bill.currency),
            reason="price",
            credited=Money(minor, bill.currency),
        )
        self._post("open", "credited", bill, -minor, on, self._tell(fact))

    def void(self, bill: Bill, minor: int, on: date, retainage: int = 0) -> None:
        fact = invoice.InvoiceVoided(
            branch=bill.item.branch,
            effective_on=on,
            item=bill.item,
            reason="duplicate",
            cancelled=Money(minor, bill.currency),
            retainage_cancelled=Money(retainage, bill.currency),
        )
        at = self._tell(fact)
        self._post("open", "voided", bill, -minor, on, at)
        self._post("retainage", "voided", bill, -retainage, on, at)

    def release(self, bill: Bill, minor: int, on: date, due_on: date) -> Bill:
        release = Bill(replace_item(bill.item, some_id("release", self._next()), on, due_on), bill.currency)
        fact = invoice.RetainageReleased(
            branch=bill.item.branch,
            effective_on=on,
            item=release.item,
            parent=bill.item,
            number=f"{self.numbers[bill.id]}-R",
            amount=Money(minor, bill.currency),
            retainage=Money(0, bill.currency),
        )
        at = self._tell(fact)
        self.numbers[release.id] = fact.number
        self._post("retainage", "released", bill, -minor, on, at)
        self._post("open", "released", release, minor, on, at)
        return release

    def receive(
        self, branch: str, account_id: UUID | None, minor: int, on: date, method: str = "check", currency: str = "USD"
    ) -> Receipt:
        receipt = Receipt(some_id("receipt", self._next()), branch, on, method, currency, minor)
        fact = payment.PaymentReceived(
            branch=branch,
            effective_on=on,
            receipt_id=receipt.id,
            account_id=account_id,
            method=method,  # type: ignore[arg-type]
            reference=f"CHK {self._names}",
            amount=Money(minor, currency),
        )
        self._payer[receipt.id] = account_id
        self._cash("received", receipt, -minor, on, self._tell(fact))
        return receipt

    def identify(self, receipt: Receipt, account_id: UUID, unapplied: int, on: date) -> None:
        fact = payment.PaymentIdentified(
            branch=receipt.branch,
            effective_on=on,
            receipt_id=receipt.id,
            account_id=account_id,
            unapplied=Money(unapplied, receipt.currency),
        )
        at = self._tell(fact)
        self._cash("identified", receipt, unapplied, on, at)
        self._payer[receipt.id] = account_id
        self._cash("identified", receipt, -unapplied, on, at)

    def apply(self, receipt: Receipt, bill: Bill, minor: int, on: date | None = None) -> None:
        self._settle(payment.PaymentApplied, receipt, bill, minor, on or receipt.on, +1)

    def unapply(self, receipt: Receipt, bill: Bill, minor: int, on: date) -> None:
        self._settle(payment.PaymentUnapplied, receipt, bill, minor, on, -1)

    def pay(self, bill: Bill, minor: int, on: date, method: str = "check") -> Receipt:
        """Received and applied on one day."""
        receipt = self.receive(bill.item.branch, bill.item.account_id, minor, on, method, bill.currency)
        self.apply(receipt, bill, minor)
        return receipt

    def reverse(self, receipt: Receipt, on: date) -> None:
        fact = payment.PaymentReversed(
            branch=receipt.branch,
            effective_on=on,
            receipt_id=receipt.id,
            account_id=self._payer[receipt.id],
            method=receipt.method,  # type: ignore[arg-type]
            reason="nsf",
            amount=Money(receipt.minor, receipt.currency),
        )
        self._cash("reversed", receipt, receipt.minor, on, self._tell(fact))

    def refund(self, receipt: Receipt, minor: int, on: date) -> None:
        account_id = self._payer[receipt.id]
        assert account_id is not None
        fact = payment.PaymentRefunded(
            branch=receipt.branch,
            effective_on=on,
            receipt_id=receipt.id,
            refund_id=some_id("refund", self._next()),
            account_id=account_id,
            amount=Money(minor, receipt.currency),
            unapplied=Money(0, receipt.currency),
        )
        self._cash("refunded", receipt, minor, on, self._tell(fact))

    def write_off(self, bill: Bill, minor: int, on: date) -> UUID:
        write_off_id = some_id("write-off", self._next())
        common: dict[str, Any] = {
            "branch": bill.item.branch,
            "effective_on": on,
            "write_off_id": write_off_id,
            "account_id": bill.item.account_id,
            "item_id": bill.id,
            "amount": Money(minor, bill.currency),
            "reason": "uncollectable",
            "requested_by": "ann",
        }
        self._tell(escalation.WriteOffRequested(**common))
        self._tell(escalation.WriteOffApproved(**common, approved_by="bob"))
        self._written(bill, write_off_id, "written_off", -minor, on)
        return write_off_id

    def reverse_write_off(self, bill: Bill, write_off_id: UUID, minor: int, on: date) -> None:
        fact = escalation.WriteOffReversed(
            branch=bill.item.branch,
            effective_on=on,
            write_off_id=write_off_id,
            account_id=bill.item.account_id,
            item_id=bill.id,
            amount=Money(minor, bill.currency),
            reversed_by="bob",
        )
        self._tell(fact)
        self._written(bill, write_off_id, "write_off_reversed", minor, on)

    def promise(self, account_id: UUID, bills: Sequence[Bill], minor: int, made_on: date, promised_on: date) -> UUID:
        promise_id = some_id("promise", self._next())
        fact = contact.PromiseMade(
            branch=bills[0].item.branch,
            effective_on=made_on,
            promise_id=promise_id,
            account_id=account_id,
            item_ids=tuple(bill.id for bill in bills),
            amount=Money(minor, bills[0].currency),
            promised_on=promised_on,
            grace_days=3,
            threshold_pct=100,
        )
        self._tell(fact)
        return promise_id

    def dispute(self, bill: Bill, minor: int, on: date) -> UUID:
        dispute_id = some_id("dispute", self._next())
        fact = contact.DisputeOpened(
            branch=bill.item.branch,
            effective_on=on,
            dispute_id=dispute_id,
            account_id=bill.item.account_id,
            item_id=bill.id,
            amount=Money(minor, bill.currency),
            reason="PRC",
            owner="sam",
        )
        self._tell(fact)
        return dispute_id

    def resolve(self, bill: Bill, dispute_id: UUID, minor: int, on: date) -> None:
        fact = contact.DisputeResolved(
            branch=bill.item.branch,
            effective_on=on,
            dispute_id=dispute_id,
            account_id=bill.item.account_id,
            item_id=bill.id,
            amount=Money(minor, bill.currency),
            outcome="rejected",
            upheld=Money(0, bill.currency),
        )
        self._tell(fact)

    def place(self, bill: Bill, minor: int, on: date, agency: str = "TSI", phase: str = "contingency") -> UUID:
        placement_id = some_id("placement", self._next())
        fact = escalation.PlacedWithAgency(
            branch=bill.item.branch,
            effective_on=on,
            placement_id=placement_id,
            account_id=bill.item.account_id,
            agency=agency,
            phase=phase,  # type: ignore[arg-type]
            items=(escalation.PlacedItem(item_id=bill.id, amount=Money(minor, bill.currency)),),
            amount=Money(minor, bill.currency),
            fee_bp=3_000,
            flat_fee=Money(0, bill.currency),
        )
        self._tell(fact)
        return placement_id

    def recover(self, bill: Bill, placement_id: UUID, gross: int, fee: int, on: date, source: str = "agency") -> None:
        fact = escalation.RecoveryReported(
            branch=bill.item.branch,
            effective_on=on,
            placement_id=placement_id,
            account_id=bill.item.account_id,
            agency="TSI",
            phase="contingency",
            recovered=Money(gross, bill.currency),
            recovery_id=some_id("recovery", self._next()),
            recovered_from=source,  # type: ignore[arg-type]
            gross=Money(gross, bill.currency),
            fee=Money(fee, bill.currency),
            net=Money(gross - fee, bill.currency),
        )
        self._tell(fact)

    def hold(self, branch: str, account_id: UUID, on: date) -> None:
        self._tell(escalation.HoldPlaced(branch=branch, effective_on=on, account_id=account_id, reason="past_due"))

    def attempt(self, bill: Bill, on: date) -> None:
        fact = contact.AttemptLogged(
            branch=bill.item.branch,
            effective_on=on,
            attempt_id=some_id("attempt", self._next()),
            account_id=bill.item.account_id,
            channel="call",
            outcome="reached",
            item_ids=(bill.id,),
        )
        self._tell(fact)

    # --- to the read models -------------------------------------------------------------------------------------------

    async def deliver(self, url: str) -> str:
        """Give what is new to the projections, as their worker does; answers the last position, as a command would."""
        batch, self._given = self.facts[self._given :], len(self.facts)
        versions = {known.envelope.stream: known.envelope.stream_version for known in batch}
        conn = await asyncpg.connect(url)
        try:
            async with conn.transaction():
                await handler(conn, batch)
                await conn.execute("SET LOCAL search_path = public")
                await position.settle(conn, CONSUMER, versions, {})
        finally:
            await conn.close()
        stream = batch[-1].envelope.stream
        return f"{stream}@{versions[stream]}"

    # --- what reports should say --------------------------------------------------------------------------------------

    def known(self, as_of: date, known_at: datetime | None = None) -> list[Posting]:
        """The postings that a report as of that day, as known then, is made of."""
        return [
            p
            for p in self.postings
            if p.effective_on <= as_of and (known_at is None or p.recorded_at <= known_at) and p.minor
        ]

    # --- inside -------------------------------------------------------------------------------------------------------

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

    def _settle(
        self,
        kind: type[payment.PaymentApplied] | type[payment.PaymentUnapplied],
        receipt: Receipt,
        bill: Bill,
        minor: int,
        on: date,
        sign: int,
    ) -> None:
        account_id = self._payer[receipt.id]
        assert account_id is not None
        money = Money(minor, bill.currency)
        line = payment.Application(item=bill.item, amount=money, open=Money(0, bill.currency))
        more: dict[str, Any] = {"applied": money} if sign > 0 else {"returned": money, "reason": "correction"}
        fact = kind(
            branch=receipt.branch,
            effective_on=on,
            receipt_id=receipt.id,
            account_id=account_id,
            lines=(line,),
            unapplied=Money(0, bill.currency),
            **more,
        )
        at = self._tell(fact)
        cause = "applied" if sign > 0 else "unapplied"
        self._cash(cause, receipt, sign * minor, on, at)
        self._post("open", cause, bill, -sign * minor, on, at)
        self.settled.append((bill, sign * minor, (receipt.on - bill.item.due_on).days))

    def _written(self, bill: Bill, write_off_id: UUID, cause: str, change: int, on: date) -> None:
        opened = sum(p.minor for p in self.postings if p.kind == "open" and p.id == bill.id) + change
        fact = payment.ItemChanged(
            branch=bill.item.branch,
            effective_on=on,
            item=bill.item,
            cause=cause,  # type: ignore[arg-type]
            caused_by=write_off_id,
            change=Money(change, bill.currency),
            open=Money(opened, bill.currency),
        )
        self._post("open", cause, bill, change, on, self._tell(fact))


def replace_item(item: Item, item_id: UUID, issued_on: date, due_on: date) -> Item:
    """The same dimensions, another item."""
    return Item(
        item_id=item_id,
        invoice_id=item.invoice_id,
        branch=item.branch,
        account_id=item.account_id,
        job_id=item.job_id,
        issued_on=issued_on,
        due_on=due_on,
    )


Key = tuple[Any, ...]
BY: dict[str, Callable[[Posting], Key]] = {
    "branch": lambda p: (p.branch, p.currency),
    "account": lambda p: (p.account_id, p.currency),
    "job": lambda p: (p.account_id, p.job_id, p.currency),
    "item": lambda p: (p.id, p.account_id, p.currency),
    "total": lambda p: (p.currency,),
}


def aged(
    postings: Iterable[Posting],
    as_of: date,
    by: str,
    *,
    anchor: str = "due",
    ends: Sequence[int] = (30, 60, 90, 120),
    in_bucket: bool = False,
) -> dict[Key, dict[str, Any]]:
    """Aging rows in minor units, by key: a list of buckets, past_due, retainage, unapplied and total.

    A row is left out where every (kind, bucket) of it is zero.
    """
    cells: dict[Key, dict[tuple[str, int], int]] = {}
    for p in postings:
        days = (as_of - (p.due_on if anchor == "due" else p.issued_on)).days
        at = 0 if days <= 0 else 1 + sum(days > end for end in ends)
        row = cells.setdefault(BY[by](p), {})
        row[p.kind, at] = row.get((p.kind, at), 0) + p.minor
    found: dict[Key, dict[str, Any]] = {}
    for key, row in cells.items():
        if not any(row.values()):
            continue
        sums = {kind: [row.get((kind, at), 0) for at in range(len(ends) + 2)] for kind in ("open", "unapplied")}
        buckets = [o + (u if in_bucket else 0) for o, u in zip(sums["open"], sums["unapplied"], strict=True)]
        found[key] = {
            "buckets": buckets,
            "past_due": sum(buckets[1:]),
            "retainage": sum(minor for (kind, _), minor in row.items() if kind == "retainage"),
            "unapplied": None if in_bucket else sum(sums["unapplied"]),
            "total": sum(row.values()),
        }
    return found
