"""Retainage: what the customer withholds by contract until it is released, and then owes as an item of its own."""

from __future__ import annotations

from datetime import date
from typing import ClassVar
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.invoice import RetainageReleased, due_by_terms
from events.item import Item
from events.money import Money
from services.invoice.domain.account import account_of
from services.invoice.domain.claim import Claim, Holder, is_held, release_id, undecided
from services.invoice.domain.day import Dated, ledger_day
from services.invoice.domain.invoice import (
    DueBeforeIssued,
    change_needs,
    day_of_change,
    same_currency,
    standing_invoice,
)
from services.invoice.domain.state import Invoice, State, States, account_stream, invoice_stream
from services.kernel.errors import Kind, Refused


class ReleaseNotPositive(Refused):
    """A release makes something due: it is above zero."""

    code = "release_not_positive"
    kind: ClassVar[Kind] = Kind.INVALID


class ReleaseAboveWithheld(Refused):
    """More than is still withheld."""

    code = "release_above_withheld"


class ReleaseDiffers(Refused):
    """That release was made with other values."""

    code = "release_changed"


class ReleaseElsewhere(Refused):
    """The release belongs to another invoice, or the id is an invoice's."""

    code = "release_of_other_invoice"


class ReleaseRetainage(Dated, frozen=True, kw_only=True):
    """`due_on` follows the account's terms, `number` is the invoice's with /R1, /R2, … where they are left out."""

    release_id: UUID
    invoice_id: UUID
    number: str | None = None
    amount: Money
    due_on: date | None = None
    holders: tuple[Holder, ...] = ()

    @property
    def stream(self) -> str:
        return invoice_stream(self.invoice_id)

    @property
    def claim(self) -> Claim:
        return release_id(self.release_id)


def release_needs(command: ReleaseRetainage, states: States) -> list[str]:
    needs = change_needs(command.invoice_id, states) + undecided(command.holders)
    invoice = states.get(command.stream)
    if command.due_on is None and isinstance(invoice, Invoice):
        needs.append(account_stream(invoice.item.account_id))
    return needs


def release(command: ReleaseRetainage, states: States) -> list[Fact]:
    """Release retainage.

    Errors   in this order: ReleaseDiffers, InvoiceUnknown, InvoiceVoid, ReleaseElsewhere, CurrencyNotAccounts,
             ReleaseNotPositive, ReleaseAboveWithheld, BeforeInvoiceDate, DueBeforeIssued.
    Holds    the sum of the releases + what is withheld = the retainage of the invoice.
    """
    if _is_on_record(command, states[command.stream]):
        return []
    invoice = standing_invoice(command.invoice_id, states)
    if command.release_id == command.invoice_id or is_held(command.claim, command.holders, states):
        raise ReleaseElsewhere("the id is taken by another item", field="release_id")
    same_currency(command.amount, invoice)
    if command.amount.minor <= 0:
        raise ReleaseNotPositive("the amount must be above zero", field="amount")
    if command.amount.minor > invoice.withheld.minor:
        raise ReleaseAboveWithheld(f"{invoice.withheld} is withheld", field="amount", withheld=invoice.withheld)
    on = day_of_change(command, invoice, states)
    if command.due_on is None:
        due_on = due_by_terms(on, account_of(invoice.item.account_id, states).current.terms_days)
    else:
        due_on = ledger_day(command.due_on, "due_on")
    if due_on < on:
        raise DueBeforeIssued(f"released on {on}, due on {due_on}", field="due_on")
    item = Item(
        item_id=command.release_id,
        invoice_id=command.invoice_id,
        branch=invoice.item.branch,
        account_id=invoice.item.account_id,
        job_id=invoice.item.job_id,
        issued_on=on,
        due_on=due_on,
    )
    return [
        RetainageReleased(
            branch=invoice.item.branch,
            effective_on=on,
            item=item,
            parent=invoice.item,
            number=command.number or f"{invoice.issued.number}/R{len(invoice.releases) + 1}",
            amount=command.amount,
            retainage=invoice.withheld - command.amount,
        )
    ]


def _is_on_record(command: ReleaseRetainage, state: State) -> bool:
    """Also after a void: what happened before it did happen. Errors: ReleaseDiffers."""
    if not isinstance(state, Invoice):
        return False
    before = next((r for r in state.releases if r.item.item_id == command.release_id), None)
    if before is None:
        return False
    item = msgspec.structs.replace(before.item, due_on=command.due_on or before.item.due_on)
    said = msgspec.structs.replace(
        before,
        item=item,
        amount=command.amount,
        number=command.number or before.number,
        effective_on=command.on or before.effective_on,
    )
    if said != before:
        raise ReleaseDiffers("the release was made with other values", released=before)
    return True
