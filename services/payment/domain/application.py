"""Applying a receipt to items, and undoing it. Both sides are written at once: the receipt's and each item's."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from datetime import date
from typing import TypeAlias
from uuid import UUID

from events.envelope import Fact
from events.money import Money
from events.payment import Application, ChangeCause, ItemChanged, PaymentApplied, PaymentUnapplied, UnapplyReason
from services.kernel.commands import States
from services.payment.domain.commands import Line, UnapplyReceipt
from services.payment.domain.refusals import (
    BeforeReceived,
    ItemRepeated,
    ItemUnknown,
    MoreThanApplied,
    MoreThanOpen,
    MoreThanUnapplied,
    NothingToApply,
    NotPositive,
    OtherAccount,
    OtherCurrency,
    Reversed,
    Unidentified,
)
from services.payment.domain.state import MirroredItem, Receipt, State, item_stream, receipt_stream

Written: TypeAlias = dict[str, list[Fact]]


def apply(receipt: Receipt, lines: Sequence[Line], on: date | None, states: States[State], written: Written) -> None:
    """Settle items with what is left of the receipt.

    Shapes   one `PaymentApplied` for each day that lines count from, oldest first; its lines in the order given.
    Errors   Reversed, Unidentified, BeforeReceived, NothingToApply; line by line ItemRepeated, NotPositive,
             OtherCurrency, ItemUnknown, OtherAccount, MoreThanOpen; then MoreThanUnapplied.
    Holds    all lines are written, or none is.
    """
    if receipt.reversal is not None:
        raise Reversed("the bank took the money back", receipt_id=receipt.receipt_id)
    if receipt.account_id is None:
        raise Unidentified("the payer is unknown", receipt_id=receipt.receipt_id)
    if on is not None:
        not_before(receipt, on, "applied_on")
    if not lines:
        raise NothingToApply("an application has at least one line", field="lines")
    items = [_payable(receipt, line, states) for line in lines]
    if len({line.item_id for line in lines}) < len(lines):
        raise ItemRepeated("an item is named twice", field="lines")
    total = sum(line.amount.minor for line in lines)
    if total > receipt.unapplied:
        raise MoreThanUnapplied(
            "more than is left of the receipt", field="lines", unapplied=str(Money(receipt.unapplied, receipt.currency))
        )

    since = on or receipt.received_on
    days: dict[date, list[Application]] = {}
    for line, item in zip(lines, items, strict=True):
        day = max(since, item.item.issued_on)
        left = Money(item.open - line.amount.minor, item.currency)
        days.setdefault(day, []).append(Application(item=item.item, amount=line.amount, open=left))
    unapplied = receipt.unapplied
    on_receipt = written.setdefault(receipt_stream(receipt.receipt_id), [])
    for day in sorted(days):
        applied = sum(line.amount.minor for line in days[day])
        unapplied -= applied
        on_receipt.append(
            PaymentApplied(
                branch=receipt.branch,
                effective_on=day,
                receipt_id=receipt.receipt_id,
                account_id=receipt.account_id,
                lines=tuple(days[day]),
                applied=Money(applied, receipt.currency),
                unapplied=Money(unapplied, receipt.currency),
            )
        )
        for share in days[day]:
            written[item_stream(share.item.item_id)] = [_changed(share, day, receipt.receipt_id, "applied")]


def _payable(receipt: Receipt, line: Line, states: States[State]) -> MirroredItem:
    """The item of a line, where the receipt may pay it. Errors: as `apply` lists them for a line."""
    if line.amount.minor <= 0:
        raise NotPositive("more than nothing must be applied", field="lines", item_id=line.item_id)
    if line.amount.currency != receipt.currency:
        raise OtherCurrency(f"the receipt is in {receipt.currency}", field="lines", item_id=line.item_id)
    item = states[item_stream(line.item_id)]
    if not isinstance(item, MirroredItem):
        raise ItemUnknown("no such item", field="lines", item_id=line.item_id)
    if item.currency != receipt.currency:
        raise OtherCurrency(f"the item is in {item.currency}", field="lines", item_id=line.item_id)
    if item.item.account_id != receipt.account_id:
        raise OtherAccount("another account owes this item", field="lines", item_id=line.item_id)
    if line.amount.minor > item.open:
        left = str(Money(item.open, item.currency))
        raise MoreThanOpen("more than is owed on the item", field="lines", item_id=line.item_id, open=left)
    return item


def unapply(command: UnapplyReceipt, receipt: Receipt, states: States[State], written: Written) -> None:
    """Undo what was asked to be undone; nothing where nothing is applied any more.

    Errors   BeforeReceived; line by line ItemRepeated, NotPositive, OtherCurrency, MoreThanApplied.
    """
    if command.on is not None:
        not_before(receipt, command.on, "unapplied_on")
    takes: dict[UUID, int] = {}
    for line in command.lines:
        share = receipt.shares.get(line.item_id)
        now = share.now if share else 0
        if line.item_id in takes:
            raise ItemRepeated("an item is named twice", field="lines", item_id=line.item_id)
        if line.amount is not None and line.amount.minor <= 0:
            raise NotPositive("more than nothing must be undone", field="lines", item_id=line.item_id)
        if line.amount is not None and line.amount.currency != receipt.currency:
            raise OtherCurrency(f"the receipt is in {receipt.currency}", field="lines", item_id=line.item_id)
        if (line.amount is None and now == 0) or (line.amount is not None and line.amount.minor > now):
            applied = str(Money(now, receipt.currency))
            raise MoreThanApplied("more than is applied", field="lines", item_id=line.item_id, applied=applied)
        takes[line.item_id] = now if line.amount is None else line.amount.minor
    undo(receipt, takes if command.lines else everything(receipt), opens_of(receipt, states), written, on=command.on)


def everything(receipt: Receipt) -> dict[UUID, int]:
    """What the receipt settles now, by item."""
    return {item_id: now for item_id, share in receipt.shares.items() if (now := share.now)}


def opens_of(receipt: Receipt, states: States[State]) -> dict[UUID, int]:
    """What is open of the items that the receipt ever settled, as far as they are loaded."""
    found = ((item_id, states.get(item_stream(item_id))) for item_id in receipt.shares)
    return {item_id: item.open for item_id, item in found if isinstance(item, MirroredItem)}


def undo(
    receipt: Receipt,
    takes: MutableMapping[UUID, int],
    opens: dict[UUID, int],
    written: Written,
    *,
    on: date | None,
    reason: UnapplyReason = "correction",
) -> None:
    """Take `takes` of each item back to the receipt, the newest application first; moves `opens` along.

    An application dated later than `on` is undone on its own day: undone earlier, the receipt would for some days have
    had more to its credit than ever came in.
    Shapes   one `PaymentUnapplied` for each day, oldest first.
    """
    assert receipt.account_id is not None or not takes, "an unidentified receipt settles nothing"
    days: dict[date, dict[UUID, int]] = {}
    for item_id, minor in takes.items():
        for day, taken in _newest(receipt, item_id, minor):
            undone = days.setdefault(day if on is None else max(on, day), {})
            undone[item_id] = undone.get(item_id, 0) + taken
    unapplied = receipt.unapplied
    on_receipt = written.setdefault(receipt_stream(receipt.receipt_id), []) if days else []
    for day in sorted(days):
        lines: list[Application] = []
        for item_id, minor in days[day].items():
            opens[item_id] += minor
            share = Application(
                item=receipt.shares[item_id].item,
                amount=Money(minor, receipt.currency),
                open=Money(opens[item_id], receipt.currency),
            )
            lines.append(share)
            written.setdefault(item_stream(item_id), []).append(_changed(share, day, receipt.receipt_id, "unapplied"))
        returned = sum(days[day].values())
        unapplied += returned
        assert receipt.account_id is not None
        on_receipt.append(
            PaymentUnapplied(
                branch=receipt.branch,
                effective_on=day,
                receipt_id=receipt.receipt_id,
                account_id=receipt.account_id,
                lines=tuple(lines),
                reason=reason,
                returned=Money(returned, receipt.currency),
                unapplied=Money(unapplied, receipt.currency),
            )
        )


def _newest(receipt: Receipt, item_id: UUID, minor: int) -> Iterable[tuple[date, int]]:
    """The days whose applications make up `minor`, newest first, with what each gives."""
    left = minor
    for layer in reversed(receipt.shares[item_id].layers):
        if taken := min(left, layer.now):
            left -= taken
            yield layer.on, taken
    assert left == 0, "more is undone than was applied"


def not_before(receipt: Receipt, on: date, field: str) -> None:
    """Errors: BeforeReceived."""
    if on < receipt.received_on:
        raise BeforeReceived("the money had not come in yet", field=field, received_on=receipt.received_on)


def _changed(share: Application, on: date, receipt_id: UUID, cause: ChangeCause) -> ItemChanged:
    return ItemChanged(
        branch=share.item.branch,
        effective_on=on,
        item=share.item,
        cause=cause,
        caused_by=receipt_id,
        change=-share.amount if cause == "applied" else share.amount,
        open=share.open,
    )
