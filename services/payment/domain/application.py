"""Applying a receipt to items, and undoing it. Both sides are written at once: the receipt's and each item's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final, TypeAlias
from uuid import UUID

from events.envelope import Fact
from events.money import Money
from events.payment import Application, ChangeCause, ItemChanged, PaymentApplied, PaymentUnapplied, UnapplyReason
from services.kernel.commands import States
from services.payment.domain.commands import Line, UnapplyReceipt
from services.payment.domain.refusals import (
    BeforeReceived,
    DateOutOfRange,
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
# Outside of these a date is a slip of the keyboard, and reports would carry empty decades.
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)
# A line has some 450 bytes, and a fact must stay below what one Kafka record carries to every subscriber.
LINES_PER_FACT: Final = 1_000


def apply(receipt: Receipt, lines: Sequence[Line], on: date | None, states: States[State], written: Written) -> None:
    """Settle items with what is left of the receipt.

    Shapes   one `PaymentApplied` for each day that lines count from, oldest first; its lines in the order given. More
             only where one would have more than LINES_PER_FACT.
    Errors   Reversed, Unidentified, BeforeReceived, DateOutOfRange, NothingToApply; line by line NotPositive,
             OtherCurrency, ItemUnknown, OtherAccount, MoreThanOpen; then ItemRepeated, MoreThanUnapplied.
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
    for day, shares in _facts(days):
        applied = sum(share.amount.minor for share in shares)
        unapplied -= applied
        on_receipt.append(
            PaymentApplied(
                branch=receipt.branch,
                effective_on=day,
                receipt_id=receipt.receipt_id,
                account_id=receipt.account_id,
                lines=shares,
                applied=Money(applied, receipt.currency),
                unapplied=Money(unapplied, receipt.currency),
            )
        )
        for share in shares:
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
    takes: Mapping[UUID, int],
    opens: dict[UUID, int],
    written: Written,
    *,
    on: date | None,
    reason: UnapplyReason = "correction",
) -> None:
    """Take `takes` of each item back to the receipt, the newest application first; moves `opens` along.

    An application dated later than `on` is undone on its own day: undone earlier, the receipt would for some days have
    had more to its credit than ever came in.
    Shapes   one `PaymentUnapplied` for each day, oldest first; more where one would have more than LINES_PER_FACT.
    """
    days: dict[date, dict[UUID, int]] = {}
    for item_id, minor in takes.items():
        for day, taken in _newest(receipt, item_id, minor):
            undone = days.setdefault(day if on is None else max(on, day), {})
            undone[item_id] = undone.get(item_id, 0) + taken
    shares: dict[date, list[Application]] = {}
    for day in sorted(days):
        for item_id, minor in days[day].items():
            opens[item_id] += minor
            left = Money(opens[item_id], receipt.currency)
            share = Application(item=receipt.shares[item_id].item, amount=Money(minor, receipt.currency), open=left)
            shares.setdefault(day, []).append(share)
    unapplied = receipt.unapplied
    for day, lines in _facts(shares):
        assert receipt.account_id is not None, "an unidentified receipt settles nothing"
        returned = sum(share.amount.minor for share in lines)
        unapplied += returned
        written.setdefault(receipt_stream(receipt.receipt_id), []).append(
            PaymentUnapplied(
                branch=receipt.branch,
                effective_on=day,
                receipt_id=receipt.receipt_id,
                account_id=receipt.account_id,
                lines=lines,
                reason=reason,
                returned=Money(returned, receipt.currency),
                unapplied=Money(unapplied, receipt.currency),
            )
        )
        for share in lines:
            written.setdefault(item_stream(share.item.item_id), []).append(
                _changed(share, day, receipt.receipt_id, "unapplied")
            )


def _facts(shares: Mapping[date, Sequence[Application]]) -> Iterable[tuple[date, tuple[Application, ...]]]:
    """The lines of each fact that is to be written, oldest day first."""
    for day in sorted(shares):
        for first in range(0, len(shares[day]), LINES_PER_FACT):
            yield day, tuple(shares[day][first : first + LINES_PER_FACT])


def _newest(receipt: Receipt, item_id: UUID, minor: int) -> Iterable[tuple[date, int]]:
    """The days whose applications make up `minor`, newest first, with what each gives."""
    left = minor
    for layer in reversed(receipt.shares[item_id].layers):
        if taken := min(left, layer.now):
            left -= taken
            yield layer.on, taken
    assert left == 0, "more is undone than was applied"


def not_before(receipt: Receipt, on: date, field: str) -> None:
    """Errors: BeforeReceived, DateOutOfRange."""
    if on < receipt.received_on:
        raise BeforeReceived("the money had not come in yet", field=field, received_on=receipt.received_on)
    in_ledger(on, field)


def in_ledger(on: date, field: str) -> None:
    """Errors: DateOutOfRange."""
    if not FIRST_DAY <= on <= LAST_DAY:
        raise DateOutOfRange(f"dates are from {FIRST_DAY} to {LAST_DAY}", field=field)


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
