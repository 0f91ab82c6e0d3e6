"""Credit notes: part of what an invoice billed is taken back. What was paid beyond the rest is payment's concern."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.invoice import CreditNoteIssued, CreditReason
from events.money import Money
from services.invoice.domain.claim import Claim, Holder, is_held
from services.invoice.domain.day import Dated
from services.invoice.domain.invoice import day_of_change, same_currency, standing_invoice
from services.invoice.domain.state import Invoice, State, States, invoice_stream
from services.kernel.errors import Kind, Refused


class CreditNotPositive(Refused):
    """A credit note gives something back: it is above zero."""

    code = "credit_not_positive"
    kind: ClassVar[Kind] = Kind.INVALID


class CreditAboveBilled(Refused):
    """More than was billed, less what was credited already. Retainage still withheld was not billed yet."""

    code = "credit_above_billed"


class CreditNoteDiffers(Refused):
    """The credit note was issued with other values."""

    code = "credit_note_changed"


class CreditNoteElsewhere(Refused):
    """The credit note belongs to another invoice."""

    code = "credit_note_of_other_invoice"


class CreditInvoice(Dated, frozen=True, kw_only=True):
    """`number` is the invoice's with /C1, /C2, … where it is left out."""

    credit_note_id: UUID
    invoice_id: UUID
    number: str | None = None
    amount: Money
    reason: CreditReason
    holders: tuple[Holder, ...] = ()

    @property
    def stream(self) -> str:
        return invoice_stream(self.invoice_id)

    @property
    def claim(self) -> Claim:
        return Claim("credit_note_id", "", str(self.credit_note_id))


def credit(command: CreditInvoice, states: States) -> list[Fact]:
    """Issue a credit note.

    Errors   in this order: InvoiceUnknown, InvoiceVoid, CreditNoteDiffers, CreditNoteElsewhere, CurrencyNotAccounts,
             CreditNotPositive, CreditAboveBilled, BeforeInvoiceDate.
    Holds    0 < the sum of an invoice's credit notes <= total - retainage.
    """
    if _is_on_record(command, states[command.stream]):
        return []
    invoice = standing_invoice(command.invoice_id, states)
    if is_held(command.claim, command.holders, states):
        raise CreditNoteElsewhere("the credit note belongs to another invoice", field="credit_note_id")
    same_currency(command.amount, invoice)
    if command.amount.minor <= 0:
        raise CreditNotPositive("the amount must be above zero", field="amount")
    left = invoice.billed - invoice.credited
    if command.amount.minor > left.minor:
        raise CreditAboveBilled(f"at most {left} can be credited", field="amount", left=left)
    return [
        CreditNoteIssued(
            branch=invoice.item.branch,
            effective_on=day_of_change(command, invoice, states),
            item=invoice.item,
            credit_note_id=command.credit_note_id,
            number=command.number or f"{invoice.issued.number}/C{len(invoice.credits) + 1}",
            amount=command.amount,
            reason=command.reason,
            credited=invoice.credited + command.amount,
        )
    ]


def _is_on_record(command: CreditInvoice, state: State) -> bool:
    """Also after a void: what happened before it did happen. Errors: CreditNoteDiffers."""
    if not isinstance(state, Invoice):
        return False
    before = next((c for c in state.credits if c.credit_note_id == command.credit_note_id), None)
    if before is None:
        return False
    said = msgspec.structs.replace(
        before,
        amount=command.amount,
        reason=command.reason,
        number=command.number or before.number,
        effective_on=command.on or before.effective_on,
    )
    if said != before:
        raise CreditNoteDiffers("the credit note was issued with other values", issued=before)
    return True
