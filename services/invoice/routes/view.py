"""How an invoice is shown."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from events.invoice import CreditReason
from services.invoice.domain.state import Invoice
from services.kernel.rim import amount_text


class CreditNoteView(BaseModel):
    credit_note_id: UUID
    number: str
    issued_on: date
    amount: str
    reason: CreditReason


class ReleaseView(BaseModel):
    release_id: UUID
    number: str
    released_on: date
    due_on: date
    amount: str


class InvoiceView(BaseModel):
    """`billed` is the total without retainage, `withheld` the retainage that was not released yet."""

    invoice_id: UUID
    branch: str
    account_id: UUID
    job_id: UUID | None
    number: str
    po: str | None
    issued_on: date
    due_on: date
    terms: str
    currency: str
    total: str
    tax: str
    retainage: str
    billed: str
    credited: str
    withheld: str
    state: Literal["issued", "void"]
    voided_on: date | None
    void_reason: str | None
    credit_notes: list[CreditNoteView]
    retainage_releases: list[ReleaseView]
    version: int


def view_of(invoice: Invoice, version: int) -> InvoiceView:
    """The invoice with its amounts as decimal strings."""
    issued, voided = invoice.issued, invoice.voided
    return InvoiceView(
        invoice_id=issued.item.invoice_id,
        branch=issued.branch,
        account_id=issued.item.account_id,
        job_id=issued.item.job_id,
        number=issued.number,
        po=issued.po,
        issued_on=issued.item.issued_on,
        due_on=issued.item.due_on,
        terms=issued.terms,
        currency=issued.total.currency,
        total=amount_text(issued.total),
        tax=amount_text(issued.tax),
        retainage=amount_text(issued.retainage),
        billed=amount_text(invoice.billed),
        credited=amount_text(invoice.credited),
        withheld=amount_text(invoice.withheld),
        state="issued" if voided is None else "void",
        voided_on=voided.effective_on if voided else None,
        void_reason=voided.reason if voided else None,
        credit_notes=[
            CreditNoteView(
                credit_note_id=credit.credit_note_id,
                number=credit.number,
                issued_on=credit.effective_on,
                amount=amount_text(credit.amount),
                reason=credit.reason,
            )
            for credit in invoice.credits
        ],
        retainage_releases=[
            ReleaseView(
                release_id=release.item.item_id,
                number=release.number,
                released_on=release.effective_on,
                due_on=release.item.due_on,
                amount=amount_text(release.amount),
            )
            for release in invoice.releases
        ],
        version=version,
    )
