"""The rules of receipts and open items, pure. One `DOMAIN` over both kinds of stream: a decision may touch both."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, assert_never

from services.kernel.commands import Domain, Facts, States
from services.payment.domain import application, item, receipt
from services.payment.domain.application import Written
from services.payment.domain.commands import (
    ApplyReceipt,
    Command,
    CreditItem,
    IdentifyReceipt,
    ImportReceipt,
    OpenItem,
    RecordReceipt,
    RefundReceipt,
    ReverseReceipt,
    ReverseWriteOff,
    UnapplyReceipt,
    VoidItem,
    WriteOffItem,
)
from services.payment.domain.fold import evolve
from services.payment.domain.refusals import ReceiptUnknown
from services.payment.domain.state import ABSENT, MirroredItem, Receipt, State, item_stream, receipt_stream


def subject(command: Command) -> str:
    """The stream a command is about."""
    match command:
        case ImportReceipt():
            return receipt_stream(command.receipt.receipt_id)
        case OpenItem():
            return item_stream(command.item.item_id)
        case CreditItem() | VoidItem() | WriteOffItem() | ReverseWriteOff():
            return item_stream(command.item_id)
        case _:
            return receipt_stream(command.receipt_id)


def needs(command: Command, states: States[State]) -> Collection[str]:
    """The streams a command must see: its own, the items it names, and what those of them loaded so far lead to."""
    own = subject(command)
    match command:
        case ImportReceipt():
            return (own, item_stream(command.line.item_id)) if command.line else (own,)
        case ApplyReceipt():
            return [own, *(item_stream(line.item_id) for line in command.lines)]
        case UnapplyReceipt() | ReverseReceipt():
            known = states.get(own)
            if not isinstance(known, Receipt):
                return (own,)
            undone = set(application.everything(known))
            if isinstance(command, UnapplyReceipt) and command.lines:
                undone &= {line.item_id for line in command.lines}
            return [own, *map(item_stream, undone)]
        case CreditItem() | VoidItem():
            known = states.get(own)
            if not isinstance(known, MirroredItem):
                return (own,)
            # A void frees all that is not open, a credit note what it takes above that.
            minor = command.amount.minor if isinstance(command, CreditItem) else known.original
            return [own, *map(receipt_stream, item.receipts_to_free(known, minor - known.open))]
        case _:
            return (own,)


def decide(command: Command, states: States[State]) -> Facts:
    """Choose the facts that follow from `command`, or refuse.

    Shapes   facts by stream; none means that everything is on record already.
    Errors   ReceiptUnknown for what needs a receipt; then those of the function named for the command.
    Holds    0 <= open <= original of every item; amount = applied + unapplied + refunded + reversed of every receipt;
             what receipts say they settled is what items say they were settled by.
    """
    written: Written = {}
    match command:
        case RecordReceipt():
            receipt.record(command, states[receipt_stream(command.receipt_id)], written)
        case ImportReceipt():
            receipt.take_in(command, states, written)
        case IdentifyReceipt():
            receipt.identify(command, _receipt(command, states), written)
        case ApplyReceipt():
            application.apply(_receipt(command, states), command.lines, command.on, states, written)
        case UnapplyReceipt():
            application.unapply(command, _receipt(command, states), states, written)
        case ReverseReceipt():
            receipt.reverse(command, _receipt(command, states), states, written)
        case RefundReceipt():
            receipt.refund(command, _receipt(command, states), written)
        case OpenItem():
            item.open_item(command, states[item_stream(command.item.item_id)], written)
        case CreditItem():
            item.credit(command, states, written)
        case VoidItem():
            item.void(command, states, written)
        case WriteOffItem():
            item.write_off(command, states, written)
        case ReverseWriteOff():
            item.reverse_write_off(command, states, written)
        case _:
            assert_never(command)
    return written


def _receipt(
    command: IdentifyReceipt | ApplyReceipt | UnapplyReceipt | ReverseReceipt | RefundReceipt, states: States[State]
) -> Receipt:
    known = states[receipt_stream(command.receipt_id)]
    if not isinstance(known, Receipt):
        raise ReceiptUnknown("no such receipt", field="receipt_id")
    return known


DOMAIN: Final[Domain[Command, State]] = Domain(
    initial=ABSENT, subject=subject, needs=needs, decide=decide, evolve=evolve
)
