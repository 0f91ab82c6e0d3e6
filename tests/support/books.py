"""A ledger in memory that records what happens as delivered facts, and can tell what stood open on any day.

It obeys the rules of the services that decide (no more applied than open, none more than received), so what it records
is a history they could have published. Its aging is computed from a list of postings, and shares nothing with
projections.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5

from events.codec import wire_of
from events.contact import AttemptLogged, DisputeOpened, DisputeResolved, PromiseBroken, PromiseKept, PromiseMade
from events.envelope import Envelope, Fact
from events.escalation import (
    PlacedItem,
    PlacedWithAgency,
    RecoveryReported,
    StepAdvanced,
    WriteOffApproved,
    WriteOffRequested,
)
from events.invoice import (
    AccountOpened,
    BranchRegistered,
    CreditNoteIssued,
    InvoiceIssued,
    InvoiceVoided,
    ReleaseCancelled,
    RetainageReleased,
)
from events.item import Item
from events.money import Money
from events.payment import (
    Application,
    ItemChanged,
    ItemOpened,
    Method,
    PaymentApplied,
    PaymentIdentified,
    PaymentReceived,
    PaymentRefunded,
    PaymentReversed,
    PaymentUnapplied,
    UnapplyReason,
)
from services.kernel.delivery import Delivered

SPACE = UUID("6f70656e-6974-656d-0000-000000000000")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def uid(name: str) -> UUID:
    """The same id for the same name, in every run."""
    return uuid5(SPACE, name)


@dataclass
class Billed:
    item: Item
    currency: str
    open: int
    billed: int
    retainage: int = 0
    credited: int = 0
    void: bool = False
    releases: list[UUID] = field(default_factory=list)


@dataclass
class Cash:
    receipt_id: UUID
    branch: str
    account_id: UUID | None
    currency: str
    method: Method
    received_on: date
    amount: int
    unapplied: int
    applied: dict[UUID, int] = field(default_factory=dict)
    last_on: date = date.min
    gone: bool = False


@dataclass(frozen=True)
class Posting:
    """One change of receivables: what, whose, since when it is true, since when it is known."""

    kind: str
    branch: str
    account_id: UUID | None
    job_id: UUID | None
    item_id: UUID
    currency: str
    issued_on: date
    due_on: date
    effective_on: date
    recorded_at: datetime
    minor: int


class Books:
    """Everything recorded lies in `log`, in the order of recording. One step of the clock per fact."""

    def __init__(self, recorded_from: datetime = NOON) -> None:
        self.log: list[Delivered] = []
        self.items: dict[UUID, Billed] = {}
        self.receipts: dict[UUID, Cash] = {}
        self.postings: list[Posting] = []
        self.now = recorded_from
        self._versions: dict[str, int] = defaultdict(int)
        self._seqs: dict[str, int] = defaultdict(int)

    def say(self, stream: str, fact: Fact) -> Delivered:
        """Record any fact as it is."""
        wire = wire_of(fact)
        service = wire.split(".")[1]
        self._versions[stream] += 1
        self._seqs[service] += 1
        self.now += timedelta(seconds=1)
        known = Delivered(
            Envelope(
                event_id=uid(f"{stream}@{self._versions[stream]}"),
                type=wire,
                source=f"/openitem/{service}",
                stream=stream,
                stream_version=self._versions[stream],
                seq=self._seqs[service],
                recorded_at=self.now,
                actor="tester",
                branch=fact.branch,
                correlation_id="test",
            ),
            fact,
        )
        self.log.append(known)
        return known

    def branch(self, code: str, on: date = date(2020, 1, 1)) -> None:
        self.say(f"branch-{code}", BranchRegistered(branch=code, effective_on=on, name=f"Branch {code}"))

    def account(self, name: str, branch: str, currency: str = "USD", collector: str | None = None) -> UUID:
        account_id = uid(name)
        fact = AccountOpened(
            branch=branch,
            effective_on=date(2020, 1, 1),
            account_id=account_id,
            number=name,
            name=name.title(),
            currency=currency,
            terms_days=30,
            collector=collector,
        )
        self.say(f"account-{account_id}", fact)
        return account_id

    def issue(
        self,
        name: str,
        branch: str,
        account: str,
        total: int,
        on: date,
        *,
        due_on: date | None = None,
        retainage: int = 0,
        job: str | None = None,
        currency: str = "USD",
    ) -> UUID:
        item = Item(
            item_id=uid(name),
            invoice_id=uid(name),
            branch=branch,
            account_id=uid(account),
            job_id=uid(job) if job else None,
            issued_on=on,
            due_on=due_on or on + timedelta(days=30),
        )
        self.items[item.item_id] = Billed(item, currency, total - retainage, total - retainage, retainage)
        fact = InvoiceIssued(
            branch=branch,
            effective_on=on,
            item=item,
            number=name,
            terms="net 30",
            total=Money(total, currency),
            tax=Money(0, currency),
            retainage=Money(retainage, currency),
        )
        self._post("open", item, currency, on, self.say(f"invoice-{item.item_id}", fact), total - retainage)
        self._post("retainage", item, currency, on, self.log[-1], retainage)
        opened = ItemOpened(
            branch=branch, effective_on=on, item=item, number=name, original=Money(total - retainage, currency)
        )
        self.say(f"item-{item.item_id}", opened)
        return item.item_id

    def release(self, name: str, invoice_id: UUID, minor: int, on: date, due_on: date | None = None) -> UUID:
        parent = self.items[invoice_id]
        item = Item(
            item_id=uid(name),
            invoice_id=invoice_id,
            branch=parent.item.branch,
            account_id=parent.item.account_id,
            job_id=parent.item.job_id,
            issued_on=on,
            due_on=due_on or on + timedelta(days=30),
        )
        parent.retainage -= minor
        parent.releases.append(item.item_id)
        self.items[item.item_id] = Billed(item, parent.currency, minor, minor)
        fact = RetainageReleased(
            branch=item.branch,
            effective_on=on,
            item=item,
            parent=parent.item,
            number=name,
            amount=Money(minor, parent.currency),
            retainage=Money(parent.retainage, parent.currency),
        )
        known = self.say(f"invoice-{invoice_id}", fact)
        self._post("retainage", parent.item, parent.currency, on, known, -minor)
        self._post("open", item, parent.currency, on, known, minor)
        return item.item_id

    def credit(self, name: str, item_id: UUID, minor: int, on: date) -> None:
        billed = self.items[item_id]
        billed.credited += minor
        fact = CreditNoteIssued(
            branch=billed.item.branch,
            effective_on=on,
            item=billed.item,
            credit_note_id=uid(name),
            number=name,
            amount=Money(minor, billed.currency),
            reason="price",
            credited=Money(billed.credited, billed.currency),
        )
        known = self.say(f"invoice-{billed.item.invoice_id}", fact)
        self._post("open", billed.item, billed.currency, on, known, -minor)
        for cash in self.receipts.values():
            needed = minor - billed.open
            if needed > 0 and (taken := min(needed, cash.applied.get(item_id, 0))):
                self._undo(cash, {item_id: taken}, on, "credit_note")
        self._change(billed, "credited", uid(name), -minor, on)

    def void(self, invoice_id: UUID, on: date) -> None:
        billed = self.items[invoice_id]
        releases = [self.items[each] for each in billed.releases]
        fact = InvoiceVoided(
            branch=billed.item.branch,
            effective_on=on,
            item=billed.item,
            reason="entry_error",
            cancelled=Money(billed.billed - billed.credited, billed.currency),
            retainage_cancelled=Money(billed.retainage, billed.currency),
            releases=tuple(ReleaseCancelled(item=r.item, amount=Money(r.billed, r.currency)) for r in releases),
        )
        known = self.say(f"invoice-{invoice_id}", fact)
        self._post("open", billed.item, billed.currency, on, known, -(billed.billed - billed.credited))
        self._post("retainage", billed.item, billed.currency, on, known, -billed.retainage)
        billed.retainage = 0
        for each in (billed, *releases):
            if each is not billed:
                self._post("open", each.item, each.currency, on, known, -each.billed)
            for cash in self.receipts.values():
                if taken := cash.applied.get(each.item.item_id, 0):
                    self._undo(cash, {each.item.item_id: taken}, on, "void")
            written = each.billed - each.credited - each.open
            if written:
                self._change(each, "write_off_reversed", uid(f"off {each.item.item_id}"), written, on, post=True)
            self._change(each, "voided", invoice_id, -each.open, on)
            each.void = True

    def receive(
        self,
        name: str,
        branch: str,
        account: str | None,
        minor: int,
        on: date,
        *,
        method: Method = "check",
        currency: str = "USD",
    ) -> UUID:
        cash = Cash(uid(name), branch, uid(account) if account else None, currency, method, on, minor, minor)
        self.receipts[cash.receipt_id] = cash
        fact = PaymentReceived(
            branch=branch,
            effective_on=on,
            receipt_id=cash.receipt_id,
            account_id=cash.account_id,
            method=method,
            reference=name,
            amount=Money(minor, currency),
        )
        self._cash(cash, on, self.say(f"receipt-{cash.receipt_id}", fact), -minor)
        return cash.receipt_id

    def identify(self, receipt_id: UUID, account: str, on: date) -> None:
        cash = self.receipts[receipt_id]
        fact = PaymentIdentified(
            branch=cash.branch,
            effective_on=on,
            receipt_id=receipt_id,
            account_id=uid(account),
            unapplied=Money(cash.unapplied, cash.currency),
        )
        known = self.say(f"receipt-{receipt_id}", fact)
        self._cash(cash, on, known, cash.unapplied)
        cash.account_id = uid(account)
        self._cash(cash, on, known, -cash.unapplied)

    def apply(self, receipt_id: UUID, lines: dict[UUID, int], on: date) -> None:
        cash = self.receipts[receipt_id]
        shares = []
        for item_id, minor in lines.items():
            billed = self.items[item_id]
            billed.open -= minor
            cash.unapplied -= minor
            cash.applied[item_id] = cash.applied.get(item_id, 0) + minor
            money, left = Money(minor, cash.currency), Money(billed.open, cash.currency)
            shares.append(Application(item=billed.item, amount=money, open=left))
        assert cash.account_id is not None
        cash.last_on = max(cash.last_on, on)
        fact = PaymentApplied(
            branch=cash.branch,
            effective_on=on,
            receipt_id=receipt_id,
            account_id=cash.account_id,
            lines=tuple(shares),
            applied=Money(sum(lines.values()), cash.currency),
            unapplied=Money(cash.unapplied, cash.currency),
        )
        known = self.say(f"receipt-{receipt_id}", fact)
        self._cash(cash, on, known, sum(lines.values()))
        for share in shares:
            self._post("open", share.item, cash.currency, on, known, -share.amount.minor)
            self._changed(share.item, "applied", receipt_id, -share.amount.minor, share.open.minor, cash.currency, on)

    def unapply(self, receipt_id: UUID, lines: dict[UUID, int], on: date) -> None:
        self._undo(self.receipts[receipt_id], lines, on, "correction")

    def reverse(self, receipt_id: UUID, on: date) -> None:
        cash = self.receipts[receipt_id]
        if applied := {item_id: minor for item_id, minor in cash.applied.items() if minor}:
            self._undo(cash, applied, on, "reversal")
        fact = PaymentReversed(
            branch=cash.branch,
            effective_on=on,
            receipt_id=receipt_id,
            account_id=cash.account_id,
            method=cash.method,
            reason="nsf",
            amount=Money(cash.amount, cash.currency),
        )
        cash.unapplied, cash.gone = 0, True
        self._cash(cash, on, self.say(f"receipt-{receipt_id}", fact), cash.amount)

    def refund(self, name: str, receipt_id: UUID, minor: int, on: date) -> None:
        cash = self.receipts[receipt_id]
        cash.unapplied -= minor
        assert cash.account_id is not None
        fact = PaymentRefunded(
            branch=cash.branch,
            effective_on=on,
            receipt_id=receipt_id,
            refund_id=uid(name),
            account_id=cash.account_id,
            amount=Money(minor, cash.currency),
            unapplied=Money(cash.unapplied, cash.currency),
        )
        self._cash(cash, on, self.say(f"receipt-{receipt_id}", fact), minor)

    def write_off(self, item_id: UUID, minor: int, on: date) -> None:
        """Requested, approved, and closed by the payment service. At most one per item."""
        billed = self.items[item_id]
        write_off_id = uid(f"off {item_id}")
        common = {
            "branch": billed.item.branch,
            "effective_on": on,
            "write_off_id": write_off_id,
            "account_id": billed.item.account_id,
            "item_id": item_id,
            "amount": Money(minor, billed.currency),
            "reason": "uncollectable",
            "requested_by": "ann",
        }
        self.say(f"write-off-{write_off_id}", WriteOffRequested(**common))  # type: ignore[arg-type]
        self.say(f"write-off-{write_off_id}", WriteOffApproved(**common, approved_by="bob"))  # type: ignore[arg-type]
        self._change(billed, "written_off", write_off_id, -min(minor, billed.open), on, post=True)

    def talk(self, item_id: UUID, on: date, name: str) -> None:
        """An attempt, a promise that is broken or kept, a dispute that ends, a step, a placement that recovers."""
        item, currency = self.items[item_id].item, self.items[item_id].currency
        money, base = Money(100, currency), {"branch": item.branch, "effective_on": on, "account_id": item.account_id}
        ids = (item_id,)
        self.say(
            f"attempt-{uid(name)}",
            AttemptLogged(**base, attempt_id=uid(name), channel="call", outcome="reached", item_ids=ids),  # type: ignore[arg-type]
        )
        promise = base | {"promise_id": uid(f"p{name}"), "amount": money, "promised_on": on + timedelta(days=7)}
        stream = f"promise-{uid(f'p{name}')}"
        self.say(stream, PromiseMade(**promise, item_ids=ids, grace_days=3, threshold_pct=100))  # type: ignore[arg-type]
        if on.day % 2:
            self.say(stream, PromiseBroken(**promise, paid=Money(0, currency), reason="not_paid"))  # type: ignore[arg-type]
        else:
            self.say(stream, PromiseKept(**promise, paid=money))  # type: ignore[arg-type]
        dispute = base | {"dispute_id": uid(f"d{name}"), "item_id": item_id, "amount": money}
        stream = f"dispute-{uid(f'd{name}')}"
        self.say(stream, DisputeOpened(**dispute, reason="PRC"))  # type: ignore[arg-type]
        self.say(stream, DisputeResolved(**dispute, outcome="rejected", upheld=Money(0, currency)))  # type: ignore[arg-type]
        placement = base | {"placement_id": uid(f"a{name}"), "agency": "TSI", "phase": "contingency"}
        stream = f"placement-{uid(f'a{name}')}"
        placed = (PlacedItem(item_id=item_id, amount=money),)
        zero = Money(0, currency)
        self.say(stream, PlacedWithAgency(**placement, items=placed, amount=money, fee_bp=3000, flat_fee=zero))  # type: ignore[arg-type]
        self.say(
            stream,
            RecoveryReported(  # type: ignore[arg-type]
                **placement,
                recovered=money,
                recovery_id=uid(f"r{name}"),
                recovered_from="agency",
                gross=money,
                fee=Money(30, currency),
                net=Money(70, currency),
            ),
        )
        version = self._versions[f"delinquency-{item_id}"] + 1
        self.say(f"delinquency-{item_id}", StepAdvanced(**base, item_id=item_id, step=version, label="call"))  # type: ignore[arg-type]

    def open_on(self, as_of: date, known_at: datetime | None = None) -> Iterable[Posting]:
        """The postings that count on a day, as far as they were known."""
        return [p for p in self.postings if p.effective_on <= as_of and (known_at is None or p.recorded_at <= known_at)]

    def _undo(self, cash: Cash, lines: dict[UUID, int], on: date, reason: UnapplyReason) -> None:
        shares = []
        on = max(on, cash.last_on)
        for item_id, minor in lines.items():
            billed = self.items[item_id]
            billed.open += minor
            cash.unapplied += minor
            cash.applied[item_id] -= minor
            money, left = Money(minor, cash.currency), Money(billed.open, cash.currency)
            shares.append(Application(item=billed.item, amount=money, open=left))
        assert cash.account_id is not None
        fact = PaymentUnapplied(
            branch=cash.branch,
            effective_on=on,
            receipt_id=cash.receipt_id,
            account_id=cash.account_id,
            lines=tuple(shares),
            reason=reason,
            returned=Money(sum(lines.values()), cash.currency),
            unapplied=Money(cash.unapplied, cash.currency),
        )
        known = self.say(f"receipt-{cash.receipt_id}", fact)
        self._cash(cash, on, known, -sum(lines.values()))
        for share in shares:
            self._post("open", share.item, cash.currency, on, known, share.amount.minor)
            args = (share.item, "unapplied", cash.receipt_id, share.amount.minor, share.open.minor, cash.currency, on)
            self._changed(*args)

    def _change(self, billed: Billed, cause: str, caused_by: UUID, minor: int, on: date, *, post: bool = False) -> None:
        billed.open += minor
        known = self._changed(billed.item, cause, caused_by, minor, billed.open, billed.currency, on)
        if post:
            self._post("open", billed.item, billed.currency, on, known, minor)

    def _changed(
        self, item: Item, cause: str, caused_by: UUID, minor: int, left: int, currency: str, on: date
    ) -> Delivered:
        fact = ItemChanged(
            branch=item.branch,
            effective_on=on,
            item=item,
            cause=cause,  # type: ignore[arg-type]
            caused_by=caused_by,
            change=Money(minor, currency),
            open=Money(left, currency),
        )
        return self.say(f"item-{item.item_id}", fact)

    def _cash(self, cash: Cash, on: date, known: Delivered, minor: int) -> None:
        day = cash.received_on
        at = known.envelope.recorded_at
        self.postings.append(
            Posting(
                "unapplied",
                cash.branch,
                cash.account_id,
                None,
                cash.receipt_id,
                cash.currency,
                day,
                day,
                on,
                at,
                minor,
            )
        )

    def _post(self, kind: str, item: Item, currency: str, on: date, known: Delivered, minor: int) -> None:
        at = known.envelope.recorded_at
        self.postings.append(
            Posting(
                kind,
                item.branch,
                item.account_id,
                item.job_id,
                item.item_id,
                currency,
                item.issued_on,
                item.due_on,
                on,
                at,
                minor,
            )
        )
