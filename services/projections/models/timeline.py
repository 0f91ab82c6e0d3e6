"""What happened to an account, in the order it was true: one line per fact, or per item where a fact has several."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

import events.contact as contact
import events.escalation as escalation
import events.invoice as invoice
import events.payment as payment
from events.envelope import Fact
from events.money import Money
from events.registry import REGISTRY
from services.kernel.delivery import Known
from services.projections.deltas import Deltas, Fold, Model
from services.projections.models.movement import WRITTEN_OFF
from services.projections.table import Row, Table


class TimelineRow(Row):
    account_id: UUID
    effective_on: date
    recorded_at: datetime
    stream: str
    stream_version: int
    line: int
    type: str
    branch: str
    item_id: UUID | None
    currency: str | None
    amount_minor: int | None
    actor: str
    summary: str


TIMELINE: Final = Table("timeline", TimelineRow, casts={"summary": "json"})
_JSON: Final = msgspec.json.Encoder()
_EMPTY: Final = "{}"


def _line(
    out: Deltas,
    known: Known,
    account_id: UUID,
    *,
    line: int = 1,
    branch: str | None = None,
    item_id: UUID | None = None,
    amount: Money | None = None,
    summary: str = _EMPTY,
) -> None:
    envelope, fact = known.envelope, known.fact
    out.add(
        TIMELINE,
        TimelineRow(
            account_id,
            fact.effective_on,
            envelope.recorded_at,
            envelope.stream,
            envelope.stream_version,
            line,
            _NAMES[type(fact)],
            branch or fact.branch,
            item_id,
            amount.currency if amount else None,
            amount.minor if amount else None,
            envelope.actor,
            summary,
        ),
    )


def _told(fact: Fact, *members: str) -> str:
    """The members of a fact that a reader of the timeline wants to see, as JSON. Absent ones are left out."""
    told = {
        name: value
        for name in members
        if (value := getattr(fact, name)) is not None and (value or not isinstance(value, tuple))
    }
    return _JSON.encode(told).decode() if told else _EMPTY


def _plain(*members: str, amount: str | None = None) -> Fold:
    """A fact that names its account and at most one item."""

    def fold(out: Deltas, known: Known) -> None:
        fact: Any = known.fact
        if fact.account_id is None:
            return  # Nobody's yet. Who it belongs to will be a fact of its own.
        ids: tuple[UUID, ...] = getattr(fact, "item_ids", ())
        item_id = ids[0] if len(ids) == 1 else getattr(fact, "item_id", None)
        money = getattr(fact, amount) if amount else None
        _line(out, known, fact.account_id, item_id=item_id, amount=money, summary=_told(fact, *members))

    return fold


def _of_item(*members: str, amount: str) -> Fold:
    """A fact about one item, which knows its account."""

    def fold(out: Deltas, known: Known) -> None:
        fact: Any = known.fact
        item = fact.item
        money, summary = getattr(fact, amount), _told(fact, *members)
        _line(out, known, item.account_id, branch=item.branch, item_id=item.item_id, amount=money, summary=summary)

    return fold


def _issued(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, invoice.InvoiceIssued)
    told: dict[str, object] = {"number": fact.number, "due_on": fact.item.due_on, "terms": fact.terms}
    if fact.retainage.minor:
        told["retainage_minor"] = fact.retainage.minor
    item, summary = fact.item, _JSON.encode(told).decode()
    _line(out, known, item.account_id, branch=item.branch, item_id=item.item_id, amount=fact.total, summary=summary)


def _voided(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, invoice.InvoiceVoided)
    told = _told(fact, "reason")
    account, whole = fact.item.account_id, fact.cancelled + fact.retainage_cancelled
    _line(out, known, account, branch=fact.item.branch, item_id=fact.item.item_id, amount=whole, summary=told)
    for line, release in enumerate(fact.releases, start=2):
        item = release.item
        _line(
            out,
            known,
            item.account_id,
            line=line,
            branch=item.branch,
            item_id=item.item_id,
            amount=release.amount,
            summary=told,
        )


def _settled(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, payment.PaymentApplied | payment.PaymentUnapplied)
    told: dict[str, object] = {"receipt_id": fact.receipt_id}
    if isinstance(fact, payment.PaymentUnapplied):
        told["reason"] = fact.reason
    for line, share in enumerate(fact.lines, start=1):
        item = share.item
        summary = _JSON.encode(told | {"open_minor": share.open.minor}).decode()
        _line(
            out,
            known,
            item.account_id,
            line=line,
            branch=item.branch,
            item_id=item.item_id,
            amount=share.amount,
            summary=summary,
        )


def _written_off(out: Deltas, known: Known) -> None:
    """Of an item's own changes only write-offs: the others are told by the fact that caused them."""
    fact = known.fact
    assert isinstance(fact, payment.ItemChanged)
    if fact.cause in WRITTEN_OFF:
        _of_item("cause", amount="change")(out, known)


_FOLDS: Final[dict[type[Fact], Callable[[Deltas, Known], None]]] = {
    invoice.AccountOpened: _plain("number", "profile", "terms_days", "collector"),
    invoice.AccountChanged: _plain("profile", "terms_days", "collector"),
    invoice.JobOpened: _plain("job_id", "number"),
    invoice.InvoiceIssued: _issued,
    invoice.CreditNoteIssued: _of_item("number", "reason", amount="amount"),
    invoice.InvoiceVoided: _voided,
    invoice.RetainageReleased: _of_item("number", amount="amount"),
    payment.PaymentReceived: _plain("receipt_id", "method", "reference", amount="amount"),
    payment.PaymentIdentified: _plain("receipt_id", amount="unapplied"),
    payment.PaymentApplied: _settled,
    payment.PaymentUnapplied: _settled,
    payment.PaymentReversed: _plain("receipt_id", "method", "reason", amount="amount"),
    payment.PaymentRefunded: _plain("receipt_id", "refund_id", amount="amount"),
    payment.ItemChanged: _written_off,
    contact.AttemptLogged: _plain("attempt_id", "channel", "outcome", "item_ids", "person_id", "note_id"),
    contact.PromiseMade: _plain("promise_id", "promised_on", "item_ids", "plan_id", amount="amount"),
    contact.PromisePaid: _plain("promise_id", "receipt_id", amount="change"),
    contact.PromiseKept: _plain("promise_id", "promised_on", amount="amount"),
    contact.PromiseBroken: _plain("promise_id", "promised_on", "reason", amount="amount"),
    contact.PromiseCancelled: _plain("promise_id", "promised_on", "reason", amount="amount"),
    contact.DisputeOpened: _plain("dispute_id", "reason", "owner", "note_id", amount="amount"),
    contact.DisputeResolved: _plain("dispute_id", "outcome", amount="amount"),
    contact.FollowUpScheduled: _plain("follow_up_id", "due_on", "item_ids", "owner", "note_id"),
    contact.FollowUpDone: _plain("follow_up_id", "attempt_id"),
    escalation.StepAdvanced: _plain("step", "label"),
    escalation.HoldPlaced: _plain("reason"),
    escalation.HoldReleased: _plain("released_by"),
    escalation.PlacedWithAgency: _plain("placement_id", "agency", "phase", amount="amount"),
    escalation.RecoveryReported: _plain("placement_id", "recovered_from", "receipt_id", amount="gross"),
    escalation.PlacementRecalled: _plain("placement_id", "agency", "phase", "reason"),
    escalation.PlacementClosed: _plain("placement_id", "agency", "phase", "outcome"),
    escalation.WriteOffRequested: _plain("write_off_id", "reason", "requested_by", amount="amount"),
    escalation.WriteOffApproved: _plain("write_off_id", "reason", "approved_by", amount="amount"),
    escalation.WriteOffRejected: _plain("write_off_id", "because", "rejected_by", amount="amount"),
    escalation.WriteOffReversed: _plain("write_off_id", "reversed_by", amount="amount"),
}
_NAMES: Final = {kind: REGISTRY.of(kind).name for kind in _FOLDS}

TIMELINES: Final = Model("timeline", (TIMELINE,), _FOLDS)
