"""Issue, credit, void and read invoices, and release their retainage."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import ConfigDict, Field

from events.invoice import CreditReason
from services.invoice.domain.credit_note import CreditInvoice
from services.invoice.domain.invoice import IssueInvoice, VoidInvoice, VoidReason
from services.invoice.domain.retainage import ReleaseRetainage
from services.invoice.domain.state import Invoice, invoice_stream
from services.invoice.handlers import handle, look
from services.invoice.rim import NAME_MAX, Number, now
from services.invoice.routes.view import InvoiceView, view_of
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.rim import AmountText, BranchText, CurrencyText, money
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf, made_id

router = APIRouter(prefix="/invoices", tags=["invoices"])


class InvoiceBody(Body):
    """`due_on` and `terms` follow the account's terms where they are left out. `total` includes `tax`."""

    invoice_id: UUID | None = None
    branch: BranchText
    account_id: UUID
    job_id: UUID | None = None
    number: Number
    po: Number | None = None
    issued_on: date
    due_on: date | None = None
    terms: Annotated[str, Field(max_length=NAME_MAX)] | None = None
    currency: CurrencyText
    total: AmountText
    tax: AmountText = "0"
    retainage: AmountText = "0"

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "branch": "DAL-01",
                "account_id": "5f1c3f0a-6a0e-4a57-9d0a-2d5a2f7c9b10",
                "number": "DAL000042",
                "po": "PO-7731",
                "issued_on": "2026-03-02",
                "currency": "USD",
                "total": "1204.50",
                "tax": "78.80",
                "retainage": "120.00",
            }
        }
    )


class CreditNoteBody(Body):
    credit_note_id: UUID | None = None
    number: Number | None = None
    currency: CurrencyText
    amount: AmountText
    reason: CreditReason
    issued_on: date | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"currency": "USD", "amount": "200.00", "reason": "price"}})


class VoidBody(Body):
    reason: VoidReason
    voided_on: date | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"reason": "entry_error"}})


class ReleaseBody(Body):
    release_id: UUID | None = None
    number: Number | None = None
    currency: CurrencyText
    amount: AmountText
    released_on: date | None = None
    due_on: date | None = None

    model_config = ConfigDict(
        json_schema_extra={"example": {"currency": "USD", "amount": "120.00", "due_on": "2026-09-30"}}
    )


@router.post("", status_code=201, dependencies=[allow("invoice.issue")])
async def issue_invoice(body: InvoiceBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Issue an invoice to an account."""
    invoice_id = made_id(meta, body.invoice_id)
    command = IssueInvoice(
        invoice_id=invoice_id,
        branch=body.branch,
        account_id=body.account_id,
        job_id=body.job_id,
        number=body.number,
        po=body.po,
        issued_on=body.issued_on,
        due_on=body.due_on,
        terms=body.terms,
        total=money(body.total, body.currency, "total"),
        tax=money(body.tax, body.currency, "tax"),
        retainage=money(body.retainage, body.currency, "retainage"),
    )
    return answer(response, await handle(store, meta, command), invoice_id=invoice_id)


@router.post("/{invoice_id}/credit-notes", status_code=201, dependencies=[allow("invoice.credit")])
async def credit_invoice(
    invoice_id: UUID, body: CreditNoteBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Take part of an invoice back. What was paid beyond the rest becomes unapplied cash."""
    credit_note_id = made_id(meta, body.credit_note_id)
    command = CreditInvoice(
        credit_note_id=credit_note_id,
        invoice_id=invoice_id,
        number=body.number,
        amount=money(body.amount, body.currency),
        reason=body.reason,
        on=body.issued_on,
        now=now(),
    )
    return answer(response, await handle(store, meta, command), invoice_id=invoice_id, credit_note_id=credit_note_id)


@router.post("/{invoice_id}/void", dependencies=[allow("invoice.void")])
async def void_invoice(
    invoice_id: UUID, body: VoidBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Void an invoice that should never have been, with its retainage. What was paid on it becomes unapplied cash."""
    command = VoidInvoice(invoice_id=invoice_id, reason=body.reason, on=body.voided_on, now=now())
    return answer(response, await handle(store, meta, command), invoice_id=invoice_id)


@router.post("/{invoice_id}/retainage-releases", status_code=201, dependencies=[allow("retainage.release")])
async def release_retainage(
    invoice_id: UUID, body: ReleaseBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Make retainage due, wholly or in part. It ages as an item of its own, named by `release_id`."""
    release_id = made_id(meta, body.release_id)
    command = ReleaseRetainage(
        release_id=release_id,
        invoice_id=invoice_id,
        number=body.number,
        amount=money(body.amount, body.currency),
        due_on=body.due_on,
        on=body.released_on,
        now=now(),
    )
    return answer(response, await handle(store, meta, command), invoice_id=invoice_id, release_id=release_id)


@router.get("/{invoice_id}", dependencies=[allow("report.read")])
async def read_invoice(invoice_id: UUID, caller: CallerOf, store: StoreOf, response: Response) -> InvoiceView:
    """An invoice as it was billed, credited and released. What is still open on it, the payment service knows."""
    loaded = await look(store, caller.branches, invoice_stream(invoice_id))
    assert isinstance(loaded.state, Invoice), "another thing in an invoice's stream"
    response.headers["ETag"] = f'"{loaded.version}"'
    return view_of(loaded.state, loaded.version)
