"""What the payment service's facts do to promises: money counts towards them, stops counting, or is taken back.

Source   domain 2.5; services/contact/decisions/0001-what-counts-towards-a-promise.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID

import msgspec

from events.contact import PromiseBroken, PromiseKept, PromisePaid
from events.envelope import Fact
from events.money import Money
from services.contact.domain.promise import Promise, progress, promise_stream


class CountPayment(msgspec.Struct, frozen=True, kw_only=True):
    """`amount` of a receipt was applied to an item. `promises` are all that cover the item."""

    receipt_id: UUID
    item_id: UUID
    amount: Money
    received_on: date
    applied_on: date
    caused_by: UUID
    promises: tuple[UUID, ...] = ()


class UncountPayment(msgspec.Struct, frozen=True, kw_only=True):
    """`amount` of a receipt was taken off an item again, for a reason that is not the customer's."""

    receipt_id: UUID
    item_id: UUID
    amount: Money
    unapplied_on: date
    caused_by: UUID
    promises: tuple[UUID, ...] = ()


class TakeBackReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The bank took a receipt back. `promises` are all that cover an item it was ever applied to."""

    receipt_id: UUID
    reversed_on: date
    caused_by: UUID
    promises: tuple[UUID, ...] = ()


def count_payment(command: CountPayment, promises: Sequence[Promise]) -> Mapping[str, Sequence[Fact]]:
    """First promised, first served, among the open promises whose last day the receipt was in time for.

    Each takes what it still lacks and the last takes all the rest, so that what counts is what was paid: were the last
    one capped too, the reversal of another receipt would break a promise that is paid in full.
    """
    if _is_counted(promises, command.caused_by, command.item_id):
        return {}
    eligible = sorted((p for p in promises if p.status == "open" and command.received_on <= p.due_on), key=_turn)
    left = command.amount.minor
    facts: dict[str, Sequence[Fact]] = {}
    for place, promise in enumerate(eligible, start=1):
        lacks = max(promise.made.amount.minor - promise.paid.minor, 0)
        share = left if place == len(eligible) else min(left, lacks)
        if share > 0:
            facts[promise_stream(promise.made.promise_id)] = contribution(
                promise, command.receipt_id, command.item_id, share, command.applied_on, command.caused_by
            )
        left -= share
    return facts


def uncount_payment(command: UncountPayment, promises: Sequence[Promise]) -> Mapping[str, Sequence[Fact]]:
    """The newest open promise gives back first. A promise that has ended stays as it ended: it was the customer's money
    and came in time, and booking it elsewhere does not change that.
    """
    if _is_counted(promises, command.caused_by, command.item_id):
        return {}
    key = (command.receipt_id, command.item_id)
    left = command.amount.minor
    facts: dict[str, Sequence[Fact]] = {}
    for promise in sorted((p for p in promises if p.status == "open"), key=_turn, reverse=True):
        share = min(left, promise.counted.get(key, 0))
        if share > 0:
            facts[promise_stream(promise.made.promise_id)] = [
                _paid(promise, key, -share, command.unapplied_on, command.caused_by)
            ]
        left -= share
    return facts


def take_back_receipt(command: TakeBackReceipt, promises: Sequence[Promise]) -> Mapping[str, Sequence[Fact]]:
    """Whatever of the receipt counts on open and kept promises no longer does. One that it had kept is broken."""
    facts: dict[str, Sequence[Fact]] = {}
    for promise in promises:
        keys = sorted(key for key, minor in promise.counted.items() if key[0] == command.receipt_id and minor)
        if keys and promise.status in ("open", "kept"):
            facts[promise_stream(promise.made.promise_id)] = _taken_back(command, promise, keys)
    return facts


def contribution(
    promise: Promise, receipt_id: UUID, item_id: UUID, minor: int, on: date, caused_by: UUID | None
) -> list[PromisePaid | PromiseKept]:
    """What follows when `minor` more counts towards an open promise: paid, and kept once the threshold is reached."""
    paid = _paid(promise, (receipt_id, item_id), minor, on, caused_by)
    if paid.paid.minor * 100 < promise.made.amount.minor * promise.made.threshold_pct:
        return [paid]
    return [paid, PromiseKept(effective_on=on, **progress(promise, paid.paid))]


def _taken_back(command: TakeBackReceipt, promise: Promise, keys: Sequence[tuple[UUID, UUID]]) -> Sequence[Fact]:
    facts: list[Fact] = []
    left = promise.paid
    for key in keys:
        change = -promise.counted[key]
        left = Money(left.minor + change, left.currency)
        fact = _paid(promise, key, change, command.reversed_on, command.caused_by)
        facts.append(msgspec.structs.replace(fact, paid=left))
    still_reached = left.minor * 100 >= promise.made.amount.minor * promise.made.threshold_pct
    # One that was kept by hand, without the money that counts here, was not kept by this receipt.
    if promise.status == "kept" and promise.reached and not still_reached:
        broken = PromiseBroken(effective_on=command.reversed_on, reason="payment_reversed", **progress(promise, left))
        facts.append(broken)
    return facts


def _paid(promise: Promise, key: tuple[UUID, UUID], change: int, on: date, caused_by: UUID | None) -> PromisePaid:
    currency = promise.paid.currency
    return PromisePaid(
        effective_on=on,
        receipt_id=key[0],
        item_id=key[1],
        change=Money(change, currency),
        caused_by=caused_by,
        **progress(promise, Money(promise.paid.minor + change, currency)),
    )


def _is_counted(promises: Sequence[Promise], caused_by: UUID, item_id: UUID) -> bool:
    return any((caused_by, item_id) in promise.causes for promise in promises)


def _turn(promise: Promise) -> tuple[date, date, UUID]:
    return promise.made.effective_on, promise.made.promised_on, promise.made.promise_id
