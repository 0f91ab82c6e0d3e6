"""Every change of receivables, a line at a time. Balances, buckets and snapshots are sums of these lines.

Of the two kinds of fact that an application writes, the receipt's is taken; of an item's own facts only write-offs.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID

from events.invoice import CreditNoteIssued, InvoiceIssued, InvoiceVoided, RetainageReleased
from events.item import Item
from events.payment import (
    ItemChanged,
    PaymentApplied,
    PaymentIdentified,
    PaymentReceived,
    PaymentRefunded,
    PaymentReversed,
    PaymentUnapplied,
)
from services.kernel.delivery import Known
from services.projections.deltas import Deltas, Model
from services.projections.models.dimensions import BRANCH
from services.projections.table import Row, Table


class MovementRow(Row):
    stream: str
    stream_version: int
    line: int
    kind: str
    cause: str
    item_id: UUID | None
    receipt_id: UUID | None
    branch: str
    account_id: UUID | None
    job_id: UUID | None
    currency: str
    issued_on: date
    due_on: date
    effective_on: date
    recorded_at: datetime
    amount_minor: int


MOVEMENT: Final = Table("movement", MovementRow)
WRITTEN_OFF: Final = frozenset({"written_off", "write_off_reversed"})


class _Lines:
    """The lines of one fact, numbered from 1. A line of nothing is left out, and its number with it."""

    __slots__ = ("_cause", "_currency", "_known", "_line", "_out")

    def __init__(self, out: Deltas, known: Known, cause: str, currency: str) -> None:
        self._out = out
        self._known = known
        self._cause = cause
        self._currency = currency
        self._line = 0

    def item(self, kind: str, item: Item, minor: int, receipt_id: UUID | None = None) -> None:
        self._add(
            kind,
            minor,
            item.item_id,
            receipt_id,
            item.branch,
            item.account_id,
            item.job_id,
            item.issued_on,
            item.due_on,
        )

    def cash(self, receipt_id: UUID, account_id: UUID | None, minor: int) -> None:
        """Unapplied cash, which ages from the day it came in."""
        branch, on = self._known.fact.branch, self._out.receipts[receipt_id].received_on
        self._add("unapplied", minor, None, receipt_id, branch, account_id, None, on, on)

    def _add(
        self,
        kind: str,
        minor: int,
        item_id: UUID | None,
        receipt_id: UUID | None,
        branch: str,
        account_id: UUID | None,
        job_id: UUID | None,
        issued_on: date,
        due_on: date,
    ) -> None:
        self._line += 1
        if not minor:
            return
        envelope, on = self._known.envelope, self._known.fact.effective_on
        begun = self._out.begun.get(branch)
        if begun is None or on < begun:
            self._out.begun[branch] = self._out.at(BRANCH, branch).first_on = on
        self._out.add(
            MOVEMENT,
            MovementRow(
                envelope.stream,
                envelope.stream_version,
                self._line,
                kind,
                self._cause,
                item_id,
                receipt_id,
                branch,
                account_id,
                job_id,
                self._currency,
                issued_on,
                due_on,
                on,
                envelope.recorded_at,
                minor,
            ),
        )


def _issued(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, InvoiceIssued)
    lines = _Lines(out, known, "issued", fact.total.currency)
    lines.item("open", fact.item, fact.total.minor - fact.retainage.minor)
    lines.item("retainage", fact.item, fact.retainage.minor)


def _credited(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, CreditNoteIssued)
    _Lines(out, known, "credited", fact.amount.currency).item("open", fact.item, -fact.amount.minor)


def _voided(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, InvoiceVoided)
    lines = _Lines(out, known, "voided", fact.cancelled.currency)
    lines.item("open", fact.item, -fact.cancelled.minor)
    lines.item("retainage", fact.item, -fact.retainage_cancelled.minor)
    for release in fact.releases:
        lines.item("open", release.item, -release.amount.minor)


def _released(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, RetainageReleased)
    lines = _Lines(out, known, "released", fact.amount.currency)
    lines.item("retainage", fact.parent, -fact.amount.minor)
    lines.item("open", fact.item, fact.amount.minor)


def _received(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentReceived)
    _Lines(out, known, "received", fact.amount.currency).cash(fact.receipt_id, fact.account_id, -fact.amount.minor)


def _identified(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentIdentified)
    lines = _Lines(out, known, "identified", fact.unapplied.currency)
    lines.cash(fact.receipt_id, None, fact.unapplied.minor)
    lines.cash(fact.receipt_id, fact.account_id, -fact.unapplied.minor)


def _applied(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentApplied)
    lines = _Lines(out, known, "applied", fact.applied.currency)
    lines.cash(fact.receipt_id, fact.account_id, sum(line.amount.minor for line in fact.lines))
    for line in fact.lines:
        lines.item("open", line.item, -line.amount.minor, fact.receipt_id)


def _unapplied(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentUnapplied)
    lines = _Lines(out, known, "unapplied", fact.returned.currency)
    lines.cash(fact.receipt_id, fact.account_id, -sum(line.amount.minor for line in fact.lines))
    for line in fact.lines:
        lines.item("open", line.item, line.amount.minor, fact.receipt_id)


def _reversed(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentReversed)
    _Lines(out, known, "reversed", fact.amount.currency).cash(fact.receipt_id, fact.account_id, fact.amount.minor)


def _refunded(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentRefunded)
    _Lines(out, known, "refunded", fact.amount.currency).cash(fact.receipt_id, fact.account_id, fact.amount.minor)


def _written_off(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, ItemChanged)
    if fact.cause in WRITTEN_OFF:
        _Lines(out, known, fact.cause, fact.change.currency).item("open", fact.item, fact.change.minor)


MOVEMENTS: Final = Model(
    "movement",
    (MOVEMENT,),
    {
        InvoiceIssued: _issued,
        CreditNoteIssued: _credited,
        InvoiceVoided: _voided,
        RetainageReleased: _released,
        PaymentReceived: _received,
        PaymentIdentified: _identified,
        PaymentApplied: _applied,
        PaymentUnapplied: _unapplied,
        PaymentReversed: _reversed,
        PaymentRefunded: _refunded,
        ItemChanged: _written_off,
    },
)
