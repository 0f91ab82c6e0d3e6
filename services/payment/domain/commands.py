"""What can be asked of the payment service. People and files command receipts; policies command items."""

from __future__ import annotations

from datetime import date
from typing import TypeAlias
from uuid import UUID

import msgspec

from events.item import Item
from events.money import Money
from events.payment import Method, ReversalReason


class RecordReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Money came in. Without an account its payer is unknown until identified."""

    receipt_id: UUID
    branch: str
    account_id: UUID | None = None
    method: Method
    reference: str | None = None
    amount: Money
    received_on: date


class IdentifyReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The payer became known. `on` defaults to the day the money came in."""

    receipt_id: UUID
    account_id: UUID
    on: date | None = None


class Line(msgspec.Struct, frozen=True):
    """One item's share of an application."""

    item_id: UUID
    amount: Money


class ApplyReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Settle items with a receipt, all of them or none.

    `on` defaults to the day the money came in. A line counts from that day, or from its item's own date where that is
    later: a prepayment settles an invoice when there is one.
    """

    receipt_id: UUID
    lines: tuple[Line, ...]
    on: date | None = None


class UndoLine(msgspec.Struct, frozen=True):
    """An item whose application is undone: `amount` of it, or all."""

    item_id: UUID
    amount: Money | None = None


class UnapplyReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Correct an application. Without lines everything the receipt settles is undone.

    Without `on` each application is undone as of its own day, as though it had never been.
    """

    receipt_id: UUID
    lines: tuple[UndoLine, ...] = ()
    on: date | None = None


class ReverseReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The bank took the money back."""

    receipt_id: UUID
    reason: ReversalReason
    on: date


class RefundReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Pay unapplied money back to the customer."""

    receipt_id: UUID
    refund_id: UUID
    amount: Money
    on: date


class ImportReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a file: a receipt and, where it has one, what it settled of one item on one day.

    Receipt, item and day together name an application, so a row that comes again adds nothing.
    """

    receipt: RecordReceipt
    line: Line | None = None
    on: date | None = None


class OpenItem(msgspec.Struct, frozen=True, kw_only=True):
    """Take an item into the mirror."""

    item: Item
    number: str
    original: Money
    on: date


class CreditItem(msgspec.Struct, frozen=True, kw_only=True):
    """A credit note took `amount` of the item back."""

    item_id: UUID
    credit_note_id: UUID
    amount: Money
    on: date


class VoidItem(msgspec.Struct, frozen=True, kw_only=True):
    """The item's invoice should never have been."""

    item_id: UUID
    invoice_id: UUID
    on: date


class WriteOffItem(msgspec.Struct, frozen=True, kw_only=True):
    """Give up what is open, up to `amount`."""

    item_id: UUID
    write_off_id: UUID
    amount: Money
    on: date


class ReverseWriteOff(msgspec.Struct, frozen=True, kw_only=True):
    """Take a write-off back: what of it still stands is open again."""

    item_id: UUID
    write_off_id: UUID
    on: date


ItemCommand: TypeAlias = OpenItem | CreditItem | VoidItem | WriteOffItem | ReverseWriteOff
Command: TypeAlias = (
    RecordReceipt
    | IdentifyReceipt
    | ApplyReceipt
    | UnapplyReceipt
    | ReverseReceipt
    | RefundReceipt
    | ImportReceipt
    | ItemCommand
)
