"""Invoices: issue one, or void one that should never have been."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.invoice import InvoiceIssued, InvoiceVoided, ReleaseCancelled, due_by_terms
from events.item import Item
from events.money import Money
from services.invoice.domain.account import account_of
from services.invoice.domain.branch import branch_of
from services.invoice.domain.claim import Holder, invoice_number, is_held, release_id, undecided
from services.invoice.domain.day import Dated, ledger_day
from services.invoice.domain.job import job_for
from services.invoice.domain.state import (
    Absent,
    Invoice,
    States,
    account_stream,
    branch_stream,
    invoice_stream,
    job_stream,
)
from services.kernel.errors import Kind, Refused

# A list and no free text: facts are kept for ever, and people write names into reasons.
VoidReason = Literal["entry_error", "duplicate", "wrong_customer", "wrong_amount", "work_cancelled", "other"]


class InvoiceUnknown(Refused):
    """No such invoice was issued, or the caller may not see it."""

    code = "invoice_not_issued"
    kind: ClassVar[Kind] = Kind.UNKNOWN


class InvoiceDiffers(Refused):
    """The invoice was issued with other values: correct it by a credit note, or void it."""

    code = "invoice_changed"


class InvoiceNumberTaken(Refused):
    """Another invoice of the branch has that number."""

    code = "invoice_number_taken"


class InvoiceIdTaken(Refused):
    """Something else is owed under that id: a release of retainage."""

    code = "invoice_id_taken"


class InvoiceNumberMissing(Refused):
    """An invoice needs a number."""

    code = "invoice_number_missing"
    kind: ClassVar[Kind] = Kind.INVALID


class CurrencyNotAccounts(Refused):
    """The amount is not in the account's currency."""

    code = "account_currency_differs"
    kind: ClassVar[Kind] = Kind.INVALID


class TotalNotPositive(Refused):
    """An invoice asks for something: its total is above zero."""

    code = "total_not_positive"
    kind: ClassVar[Kind] = Kind.INVALID


class TaxOutOfRange(Refused):
    """The tax is part of the total: from zero up to it."""

    code = "tax_out_of_range"
    kind: ClassVar[Kind] = Kind.INVALID


class RetainageOutOfRange(Refused):
    """Retainage is a part of the total, never all of it."""

    code = "retainage_out_of_range"
    kind: ClassVar[Kind] = Kind.INVALID


class DueBeforeIssued(Refused):
    """Nothing is due before it is billed."""

    code = "due_before_issued"
    kind: ClassVar[Kind] = Kind.INVALID


class InvoiceVoid(Refused):
    """The invoice is void: nothing more can be done with it."""

    code = "invoice_void"


class BeforeInvoiceDate(Refused):
    """It is dated before the invoice it changes."""

    code = "before_invoice_date"
    kind: ClassVar[Kind] = Kind.INVALID


class IssueInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """`due_on` and `terms` follow the account's terms where they are left out."""

    invoice_id: UUID
    branch: str
    account_id: UUID
    job_id: UUID | None = None
    number: str
    po: str | None = None
    issued_on: date
    due_on: date | None = None
    terms: str | None = None
    total: Money
    tax: Money
    retainage: Money
    holders: tuple[Holder, ...] = ()

    @property
    def stream(self) -> str:
        return invoice_stream(self.invoice_id)


class VoidInvoice(Dated, frozen=True, kw_only=True):
    invoice_id: UUID
    reason: VoidReason

    @property
    def stream(self) -> str:
        return invoice_stream(self.invoice_id)


def issue_needs(command: IssueInvoice) -> list[str]:
    needs = [command.stream, branch_stream(command.branch), account_stream(command.account_id)]
    if command.job_id is not None:
        needs.append(job_stream(command.job_id))
    if command.holders:
        needs.extend(undecided(command.holders))
    return needs


def change_needs(invoice_id: UUID, states: States) -> list[str]:
    """For whatever changes an invoice: itself, then its branch, whose today may be the date of the change."""
    stream = invoice_stream(invoice_id)
    invoice = states.get(stream)
    return [stream, branch_stream(invoice.item.branch)] if isinstance(invoice, Invoice) else [stream]


def issue(command: IssueInvoice, states: States) -> list[Fact]:
    """Issue an invoice.

    Errors   in this order: InvoiceDiffers (only where it is on record), InvoiceNumberMissing, BranchUnknown,
             AccountUnknown, JobUnknown, JobOfOtherAccount, CurrencyNotAccounts, TotalNotPositive, TaxOutOfRange,
             RetainageOutOfRange, DateOutOfRange, DueBeforeIssued, InvoiceIdTaken, InvoiceNumberTaken.
    Holds    the number is the branch's alone, also after a void: a number that means two things proves nothing.
    """
    match states[command.stream]:
        case Invoice(issued=before):
            if not _same(command, before):
                raise InvoiceDiffers("the invoice was issued with other values", issued=before)
            return []
        case Absent():
            pass
        case _:
            raise AssertionError("no invoice in an invoice's stream")
    if not command.number.strip():
        raise InvoiceNumberMissing("an invoice needs a number", field="number")
    branch_of(command.branch, states)
    account = account_of(command.account_id, states).current
    if command.job_id is not None:
        job_for(command.job_id, command.account_id, states)
    _check_amounts(command, account.currency)
    issued_on = ledger_day(command.issued_on, "issued_on")
    due_on = ledger_day(command.due_on or due_by_terms(issued_on, account.terms_days), "due_on")
    if due_on < command.issued_on:
        raise DueBeforeIssued(f"issued on {command.issued_on}, due on {due_on}", field="due_on")
    if command.holders:  # Seldom: most ids and numbers are new.
        if is_held(release_id(command.invoice_id), command.holders, states):
            raise InvoiceIdTaken("a release of retainage has the id", field="invoice_id")
        if is_held(invoice_number(command.branch, command.number), command.holders, states):
            raise InvoiceNumberTaken(f"{command.branch} has an invoice {command.number} already", field="number")
    item = Item(
        item_id=command.invoice_id,
        invoice_id=command.invoice_id,
        branch=command.branch,
        account_id=command.account_id,
        job_id=command.job_id,
        issued_on=command.issued_on,
        due_on=due_on,
    )
    terms = command.terms if command.terms is not None else f"net {account.terms_days}"
    return [_issued(command, item, terms)]


def void(command: VoidInvoice, states: States) -> list[Fact]:
    """Void an invoice, with its released retainage.

    Errors   in this order: InvoiceUnknown, InvoiceVoid (voided for another reason or on another day),
             DateOutOfRange, BeforeInvoiceDate.
    Holds    cancelled + credited + retainage_cancelled + the releases cancelled = the total.
    """
    invoice = invoice_of(command.invoice_id, states)
    if (before := invoice.voided) is not None:
        if before.reason != command.reason or command.on not in (None, before.effective_on):
            raise InvoiceVoid("the invoice is void already", voided_on=before.effective_on, reason=before.reason)
        return []
    return [
        InvoiceVoided(
            branch=invoice.item.branch,
            effective_on=day_of_change(command, invoice, states),
            item=invoice.item,
            reason=command.reason,
            cancelled=invoice.billed - invoice.credited,
            retainage_cancelled=invoice.withheld,
            releases=tuple(ReleaseCancelled(item=r.item, amount=r.amount) for r in invoice.releases),
        )
    ]


def invoice_of(invoice_id: UUID, states: States) -> Invoice:
    """The issued invoice. Errors: InvoiceUnknown."""
    match states[invoice_stream(invoice_id)]:
        case Invoice() as invoice:
            return invoice
        case _:
            raise InvoiceUnknown("no such invoice was issued", field="invoice_id", invoice_id=invoice_id)


def standing_invoice(invoice_id: UUID, states: States) -> Invoice:
    """The invoice, which was not voided. Errors, in this order: InvoiceUnknown, InvoiceVoid."""
    invoice = invoice_of(invoice_id, states)
    if invoice.voided is not None:
        raise InvoiceVoid("the invoice is void", voided_on=invoice.voided.effective_on)
    return invoice


def day_of_change(command: Dated, invoice: Invoice, states: States) -> date:
    """When a change of the invoice is true. Errors: BeforeInvoiceDate."""
    on = command.day_at(branch_of(invoice.item.branch, states))
    if on < invoice.item.issued_on:
        raise BeforeInvoiceDate(f"dated {on}, the invoice {invoice.item.issued_on}", issued_on=invoice.item.issued_on)
    return on


def same_currency(amount: Money, invoice: Invoice) -> None:
    """Errors: CurrencyNotAccounts."""
    if amount.currency != invoice.issued.total.currency:
        raise CurrencyNotAccounts(f"the account's currency is {invoice.issued.total.currency}", field="currency")


def _check_amounts(command: IssueInvoice, currency: str) -> None:
    if not command.total.currency == command.tax.currency == command.retainage.currency == currency:
        raise CurrencyNotAccounts(f"the account's currency is {currency}", field="currency")
    total = command.total.minor
    if total <= 0:
        raise TotalNotPositive("the total must be above zero", field="total")
    if not 0 <= command.tax.minor <= total:
        raise TaxOutOfRange(f"the tax must be from 0 to {command.total}", field="tax")
    if not 0 <= command.retainage.minor < total:
        raise RetainageOutOfRange(f"the retainage must be from 0 to less than {command.total}", field="retainage")


def _same(command: IssueInvoice, before: InvoiceIssued) -> bool:
    """Whether the command says what is on record. What it leaves to the account's terms says nothing: they change."""
    due_on = command.due_on or before.item.due_on
    item = msgspec.structs.replace(
        before.item,
        branch=command.branch,
        account_id=command.account_id,
        job_id=command.job_id,
        issued_on=command.issued_on,
        due_on=due_on,
    )
    return _issued(command, item, command.terms if command.terms is not None else before.terms) == before


def _issued(command: IssueInvoice, item: Item, terms: str) -> InvoiceIssued:
    return InvoiceIssued(
        branch=command.branch,
        effective_on=command.issued_on,
        item=item,
        number=command.number,
        po=command.po,
        terms=terms,
        total=command.total,
        tax=command.tax,
        retainage=command.retainage,
    )
