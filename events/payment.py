"""Facts of the payment service: receipts, their application, and the open items they settle.

A decision that applies a receipt writes two kinds of fact at once: `PaymentApplied` on the receipt's stream, with a
line per item, and `ItemChanged` on each item's stream. Sum money from one of the two, never from both: reports take
cash from the receipt's facts and write-offs from the item's.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.item import Item
from events.money import Money
from events.registry import event

Method = Literal["check", "ach", "wire", "card", "lockbox", "cash"]
UnapplyReason = Literal["correction", "reversal", "void", "credit_note"]
ReversalReason = Literal["nsf", "ach_return", "chargeback", "stop_payment", "entry_error"]
ChangeCause = Literal[
    "applied", "unapplied", "credited", "voided", "written_off", "write_off_reversed", "retainage_released"
]


@event("payment.received", version=1)
class PaymentReceived(Fact, frozen=True, kw_only=True):
    """Money came in; `effective_on` is the deposit date. `account_id` is absent while the payer is unknown.

    `reference` is the check number, trace number or wire reference; never a card number.
    """

    receipt_id: UUID
    account_id: UUID | None = None
    method: Method
    reference: str | None = None
    amount: Money


@event("payment.identified", version=1)
class PaymentIdentified(Fact, frozen=True, kw_only=True):
    """The payer of an unidentified receipt became known. `unapplied` is what then stands to his credit."""

    receipt_id: UUID
    account_id: UUID
    unapplied: Money


class Application(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One item's share of a receipt. `open` is the item's balance afterwards."""

    item: Item
    amount: Money
    open: Money


@event("payment.applied", version=1)
class PaymentApplied(Fact, frozen=True, kw_only=True):
    """Part of a receipt settled items. `applied` is the sum of the lines, `unapplied` what is left of the receipt.

    `branch` is the receipt's; a line's item may stand in another.
    """

    receipt_id: UUID
    account_id: UUID
    lines: tuple[Application, ...]
    applied: Money
    unapplied: Money


@event("payment.unapplied", version=1)
class PaymentUnapplied(Fact, frozen=True, kw_only=True):
    """An application was undone, wholly or in part. The lines' amounts are positive: what went back to the receipt."""

    receipt_id: UUID
    account_id: UUID
    lines: tuple[Application, ...]
    reason: UnapplyReason
    returned: Money
    unapplied: Money


@event("payment.reversed", version=1)
class PaymentReversed(Fact, frozen=True, kw_only=True):
    """The bank took the money back. Its applications were undone in the same decision, before this fact."""

    receipt_id: UUID
    account_id: UUID | None = None
    method: Method
    reason: ReversalReason
    amount: Money


@event("payment.refunded", version=1)
class PaymentRefunded(Fact, frozen=True, kw_only=True):
    """Unapplied money went back to the customer."""

    receipt_id: UUID
    refund_id: UUID
    account_id: UUID
    amount: Money
    unapplied: Money


@event("payment.item_opened", version=1)
class ItemOpened(Fact, frozen=True, kw_only=True):
    """The payment service took an item into its mirror. From here on it is the authority on what is open."""

    item: Item
    number: str
    original: Money


@event("payment.item_changed", version=1)
class ItemChanged(Fact, frozen=True, kw_only=True):
    """The balance of an item changed by `change`, which is signed, to `open`, which is never negative.

    `caused_by` is the receipt, credit note, write-off or invoice that did it.
    """

    item: Item
    cause: ChangeCause
    caused_by: UUID
    change: Money
    open: Money
