"""Each invoice, released retainage and receipt as it stands now. A receipt is a negative item: a credit."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID

from events.invoice import CreditNoteIssued, InvoiceIssued, InvoiceVoided, RetainageReleased
from events.item import Item
from events.payment import (
    Application,
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
from services.projections.models.movement import WRITTEN_OFF
from services.projections.table import Row, Table


class OpenItemRow(Row):
    item_id: UUID
    kind: str | None = None
    invoice_id: UUID | None = None
    branch: str | None = None
    account_id: UUID | None = None
    job_id: UUID | None = None
    number: str | None = None
    reference: str | None = None
    method: str | None = None
    currency: str | None = None
    issued_on: date | None = None
    due_on: date | None = None
    total_minor: int = 0
    open_minor: int = 0
    retainage_minor: int = 0
    released_minor: int = 0
    credited_minor: int = 0
    paid_minor: int = 0
    written_off_minor: int = 0
    cancelled_minor: int = 0
    stated_minor: int | None = None
    changed_at: datetime | None = None


OPEN_ITEM: Final = Table("open_item", OpenItemRow, ["item_id"], greatest=["changed_at"])


def _item(out: Deltas, known: Known, item: Item, currency: str) -> OpenItemRow:
    """The row of an item. Every fact about it repeats its dimensions, so it does not matter which comes first."""
    row = out.at(OPEN_ITEM, item.item_id)
    if row.branch is None:
        row.kind = "invoice" if item.item_id == item.invoice_id else "release"
        row.invoice_id, row.branch, row.account_id, row.job_id = (
            item.invoice_id,
            item.branch,
            item.account_id,
            item.job_id,
        )
        row.currency, row.issued_on, row.due_on = currency, item.issued_on, item.due_on
    return _changed(row, known)


def _receipt(out: Deltas, known: Known, receipt_id: UUID, account_id: UUID | None, currency: str) -> OpenItemRow:
    row = out.at(OPEN_ITEM, receipt_id)
    if row.branch is None:
        on, method = out.receipts[receipt_id]
        row.kind, row.branch, row.currency = "receipt", known.fact.branch, currency
        row.issued_on, row.due_on, row.method = on, on, method
    if account_id is not None:
        row.account_id = account_id
    return _changed(row, known)


def _changed(row: OpenItemRow, known: Known) -> OpenItemRow:
    at = known.envelope.recorded_at
    if row.changed_at is None or row.changed_at < at:
        row.changed_at = at
    return row


def _issued(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, InvoiceIssued)
    row = _item(out, known, fact.item, fact.total.currency)
    row.number, row.reference = fact.number, fact.po
    row.total_minor += fact.total.minor
    row.open_minor += fact.total.minor - fact.retainage.minor
    row.retainage_minor += fact.retainage.minor


def _credited(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, CreditNoteIssued)
    row = _item(out, known, fact.item, fact.amount.currency)
    row.open_minor -= fact.amount.minor
    row.credited_minor += fact.amount.minor


def _voided(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, InvoiceVoided)
    row = _item(out, known, fact.item, fact.cancelled.currency)
    row.open_minor -= fact.cancelled.minor
    row.retainage_minor -= fact.retainage_cancelled.minor
    row.cancelled_minor += fact.cancelled.minor + fact.retainage_cancelled.minor
    for release in fact.releases:
        row = _item(out, known, release.item, release.amount.currency)
        row.open_minor -= release.amount.minor
        row.cancelled_minor += release.amount.minor


def _released(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, RetainageReleased)
    parent = _item(out, known, fact.parent, fact.amount.currency)
    parent.retainage_minor -= fact.amount.minor
    parent.released_minor += fact.amount.minor
    row = _item(out, known, fact.item, fact.amount.currency)
    row.number = fact.number
    row.total_minor += fact.amount.minor
    row.open_minor += fact.amount.minor


def _received(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentReceived)
    row = _receipt(out, known, fact.receipt_id, fact.account_id, fact.amount.currency)
    row.reference = fact.reference
    row.total_minor -= fact.amount.minor
    row.open_minor -= fact.amount.minor


def _identified(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentIdentified)
    _receipt(out, known, fact.receipt_id, fact.account_id, fact.unapplied.currency)


def _settle(out: Deltas, known: Known, receipt_id: UUID, lines: tuple[Application, ...], sign: int) -> None:
    for line in lines:
        minor = sign * line.amount.minor
        item = _item(out, known, line.item, line.amount.currency)
        item.open_minor -= minor
        item.paid_minor += minor
        receipt = _receipt(out, known, receipt_id, None, line.amount.currency)
        receipt.open_minor += minor
        receipt.paid_minor -= minor


def _applied(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentApplied)
    _settle(out, known, fact.receipt_id, fact.lines, +1)


def _unapplied(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentUnapplied)
    _settle(out, known, fact.receipt_id, fact.lines, -1)


def _went_back(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentReversed | PaymentRefunded)
    row = _receipt(out, known, fact.receipt_id, fact.account_id, fact.amount.currency)
    row.open_minor += fact.amount.minor
    row.cancelled_minor -= fact.amount.minor


def _stated(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, ItemChanged)
    row = _item(out, known, fact.item, fact.open.currency)
    row.stated_minor = fact.open.minor
    if fact.cause in WRITTEN_OFF:
        row.open_minor += fact.change.minor
        row.written_off_minor -= fact.change.minor


OPEN_ITEMS: Final = Model(
    "open_item",
    (OPEN_ITEM,),
    {
        InvoiceIssued: _issued,
        CreditNoteIssued: _credited,
        InvoiceVoided: _voided,
        RetainageReleased: _released,
        PaymentReceived: _received,
        PaymentIdentified: _identified,
        PaymentApplied: _applied,
        PaymentUnapplied: _unapplied,
        PaymentReversed: _went_back,
        PaymentRefunded: _went_back,
        ItemChanged: _stated,
    },
)
