"""An open item's own life. Its commands come from facts of other services, and each is idempotent by what caused it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from uuid import UUID

from events.money import Money
from events.payment import ChangeCause, ItemChanged, ItemOpened, UnapplyReason
from services.kernel.commands import States
from services.payment.domain.application import Written, undo
from services.payment.domain.commands import CreditItem, OpenItem, ReverseWriteOff, VoidItem, WriteOffItem
from services.payment.domain.refusals import (
    CreditTooLarge,
    ItemDiffers,
    ItemIsVoid,
    ItemUnknown,
    OtherCurrency,
    WriteOffUnknown,
)
from services.payment.domain.state import Absent, MirroredItem, Receipt, State, item_stream, receipt_stream


def open_item(command: OpenItem, state: State, written: Written) -> None:
    """Take the item in. Errors: ItemDiffers."""
    if isinstance(state, Absent):
        written[item_stream(command.item.item_id)] = [
            ItemOpened(
                branch=command.item.branch,
                effective_on=command.on,
                item=command.item,
                number=command.number,
                original=command.original,
            )
        ]
        return
    assert isinstance(state, MirroredItem)
    if (state.item, state.number, Money(state.original, state.currency)) != (
        command.item,
        command.number,
        command.original,
    ):
        raise ItemDiffers("opened before with other values", item_id=command.item.item_id)


def credit(command: CreditItem, states: States[State], written: Written) -> None:
    """Lower what is owed. What is no longer there to credit is freed first: write-offs, then the newest applications.

    A write-off goes first because it was never money: the customer keeps no credit for what he had not paid.
    Errors   ItemUnknown, OtherCurrency, ItemIsVoid, CreditTooLarge.
    """
    item = _known(command.item_id, states)
    if command.credit_note_id in item.credits:
        return
    _same_currency(command.amount, item)
    if item.voided is not None:
        raise ItemIsVoid("its invoice was voided", item_id=command.item_id)
    minor = command.amount.minor
    if minor > item.original - item.credited:
        raise CreditTooLarge("more than the item ever stood for", item_id=command.item_id, credited=item.credited)
    left = _free(item, minor - item.open, states, written, on=command.on, reason="credit_note")
    _change(item, "credited", command.credit_note_id, -minor, left - minor, command.on, written)


def void(command: VoidItem, states: States[State], written: Written) -> None:
    """Undo applications and write-offs, then close the item. Errors: ItemUnknown."""
    item = _known(command.item_id, states)
    if item.voided is not None:
        return
    left = _free(item, item.applied + item.written_off, states, written, on=command.on, reason="void")
    _change(item, "voided", command.invoice_id, -left, 0, command.on, written)


def write_off(command: WriteOffItem, states: States[State], written: Written) -> None:
    """Give up what is open, up to the amount; nothing open gives a change of nothing, so that it is on record.

    Errors   ItemUnknown, OtherCurrency.
    """
    item = _known(command.item_id, states)
    if command.write_off_id in item.write_offs:
        return
    _same_currency(command.amount, item)
    minor = min(item.open, command.amount.minor)
    _change(item, "written_off", command.write_off_id, -minor, item.open - minor, command.on, written)


def reverse_write_off(command: ReverseWriteOff, states: States[State], written: Written) -> None:
    """Open again what of the write-off still stands. Errors: ItemUnknown, WriteOffUnknown."""
    item = _known(command.item_id, states)
    standing = item.write_offs.get(command.write_off_id)
    if standing is None:
        raise WriteOffUnknown("the item has no such write-off", write_off_id=command.write_off_id)
    if standing:
        _change(item, "write_off_reversed", command.write_off_id, standing, item.open + standing, command.on, written)


def receipts_to_free(item: MirroredItem, minor: int) -> Iterable[UUID]:
    """The receipts that would be freed if `minor` more were needed than is open, newest first."""
    left = minor - item.written_off
    for receipt_id in reversed(list(item.receipts)):
        if left <= 0:
            return
        yield receipt_id
        left -= item.receipts[receipt_id]


def _free(
    item: MirroredItem, minor: int, states: States[State], written: Written, *, on: date, reason: UnapplyReason
) -> int:
    """Open `minor` more of the item; answers what is open then."""
    opens = {item.item.item_id: item.open}
    needed = minor
    for write_off_id, standing in _newest(item.write_offs):
        if taken := max(0, min(needed, standing)):
            needed -= taken
            opens[item.item.item_id] += taken
            _change(item, "write_off_reversed", write_off_id, taken, opens[item.item.item_id], on, written)
    for receipt_id in receipts_to_free(item, minor):
        receipt = states[receipt_stream(receipt_id)]
        assert isinstance(receipt, Receipt), "an item was paid by a receipt that is not there"
        taken = min(needed, item.receipts[receipt_id])
        needed -= taken
        undo(receipt, {item.item.item_id: taken}, opens, written, on=on, reason=reason)
    return opens[item.item.item_id]


def _newest(amounts: Mapping[UUID, int]) -> list[tuple[UUID, int]]:
    return list(amounts.items())[::-1]


def _known(item_id: UUID, states: States[State]) -> MirroredItem:
    item = states[item_stream(item_id)]
    if not isinstance(item, MirroredItem):
        raise ItemUnknown("no such item", item_id=item_id)
    return item


def _same_currency(amount: Money, item: MirroredItem) -> None:
    if amount.currency != item.currency:
        raise OtherCurrency(f"the item is in {item.currency}", item_id=item.item.item_id)


def _change(
    item: MirroredItem, cause: ChangeCause, caused_by: UUID, change: int, left: int, on: date, written: Written
) -> None:
    written.setdefault(item_stream(item.item.item_id), []).append(
        ItemChanged(
            branch=item.item.branch,
            effective_on=on,
            item=item.item,
            cause=cause,
            caused_by=caused_by,
            change=Money(change, item.currency),
            open=Money(left, item.currency),
        )
    )
