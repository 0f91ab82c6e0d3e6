"""A new promise: held against its items, put in the place of older ones, credited with what was paid before we learned
of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from events.contact import PromiseCancelled, PromiseMade
from events.envelope import Fact
from events.money import Money
from services.contact.domain.absent import Absent
from services.contact.domain.counting import contribution
from services.contact.domain.evolving import evolve_promise
from services.contact.domain.named import CurrencyDiffers, NoItems, SeveralBranches, in_order, require_positive
from services.contact.domain.promise import (
    GRACE_DAYS_MAX,
    PROMISED_DAYS_MAX,
    GraceOutOfRange,
    MakePromise,
    Promise,
    PromiseAboveBilled,
    PromiseAboveOpen,
    PromiseChanged,
    PromisedBeforeMade,
    PromisedTooFar,
    Received,
    ThresholdOutOfRange,
    cancelled_as,
    due_on,
    promise_stream,
)

__all__ = ["make_promise"]


def make_promise(
    command: MakePromise, state: Promise | Absent, beside: Sequence[Promise]
) -> Mapping[str, Sequence[Fact]]:
    """The promise, what already counts towards it, and the end of those it takes the place of.

    Shapes   `beside` are the promises on record that cover one of the items; facts on their streams and its own.
    Errors   in this order: NoItems, AmountNotPositive, PromisedBeforeMade, PromisedTooFar, GraceOutOfRange,
             ThresholdOutOfRange, ItemNotKnown, ItemOfOtherAccount, SeveralBranches, CurrencyDiffers,
             PromiseChanged, then PromiseAboveOpen, or PromiseAboveBilled for history.
    Source   domain 2.5: a promise renegotiated before its date is not broken;
             services/contact/decisions/0001-what-counts-towards-a-promise.md
    """
    made = _made(command)
    if isinstance(state, Promise):
        if state.made != made:
            raise PromiseChanged("the promise is on record with other values", field="promise_id")
        return {}
    _within_bounds(command)
    facts: dict[str, Sequence[Fact]] = {
        promise_stream(older.made.promise_id): [cancelled_as(older, "renegotiated", made.effective_on)]
        for older in beside
        if older.status == "open" and _takes_the_place_of(made, older.made)
    }
    newer = min((p.made.effective_on for p in beside if _renegotiates(p, made)), default=None)
    facts[promise_stream(made.promise_id)] = _so_far(command, made, beside, newer)
    return facts


def _made(command: MakePromise) -> PromiseMade:
    if not command.item_ids:
        raise NoItems("a promise is about items", field="item_ids")
    require_positive(command.amount)
    if command.promised_on < command.made_on:
        raise PromisedBeforeMade("promised for a day before it was made", field="promised_on", made_on=command.made_on)
    if (command.promised_on - command.made_on).days > PROMISED_DAYS_MAX:
        raise PromisedTooFar("promised for a day more than ten years ahead", field="promised_on")
    if not 0 <= command.grace_days <= GRACE_DAYS_MAX:
        raise GraceOutOfRange(f"0 to {GRACE_DAYS_MAX} days", field="grace_days")
    if not 1 <= command.threshold_pct <= 100:
        raise ThresholdOutOfRange("1 to 100 per cent", field="threshold_pct")
    item_ids = in_order(command.item_ids)
    items = command.named.items_of(command.account_id, item_ids)
    branches = sorted({item.item.branch for item in items})
    if len(branches) > 1:
        raise SeveralBranches("make one promise for each branch", field="item_ids", branches=branches)
    currencies = sorted({item.open.currency for item in items})
    if currencies != [command.amount.currency]:
        raise CurrencyDiffers("an item is in another currency", field="currency", currencies=currencies)
    return PromiseMade(
        branch=branches[0],
        effective_on=command.made_on,
        promise_id=command.promise_id,
        account_id=command.account_id,
        item_ids=item_ids,
        amount=command.amount,
        promised_on=command.promised_on,
        grace_days=command.grace_days,
        threshold_pct=command.threshold_pct,
        plan_id=command.plan_id,
    )


def _within_bounds(command: MakePromise) -> None:
    item_ids = in_order(command.item_ids)
    currency = command.amount.currency
    if command.historic:
        billed = sum(command.named.billed_of(item_id).minor for item_id in item_ids)
        if command.amount.minor > billed:
            raise PromiseAboveBilled("more than was billed", field="amount", billed=Money(billed, currency))
        return
    is_open = sum(item.open.minor for item in command.named.items_of(command.account_id, item_ids))
    if command.amount.minor > is_open:
        raise PromiseAboveOpen("more than is open on the items", field="amount", open=Money(is_open, currency))


def _takes_the_place_of(newer: PromiseMade, older: PromiseMade) -> bool:
    """Renegotiated no later than its date. Made after it, the older one stands, to be broken or kept in its grace."""
    return older.effective_on <= newer.effective_on <= older.promised_on


def _renegotiates(other: Promise, made: PromiseMade) -> bool:
    """Whether `other`, on record before, was made later and in the place of this one: history comes in any order."""
    undone = isinstance(other.ended, PromiseCancelled) and other.ended.reason == "entry_error"
    return not undone and made.effective_on < other.made.effective_on <= made.promised_on


def _so_far(command: MakePromise, made: PromiseMade, beside: Sequence[Promise], newer: date | None) -> Sequence[Fact]:
    """The facts on the stream of the new promise itself: made, paid, and its end where that is past already."""
    facts: list[Fact] = [made]
    promise = Promise(made, Money.zero(made.amount.currency))
    for received in sorted(command.received, key=lambda r: (r.applied_on, r.receipt_id, r.item_id)):
        if promise.status != "open" or not _counts(received, made, newer):
            continue
        free = received.amount.minor - _counted(beside, received)
        if free > 0:
            more = contribution(promise, received.receipt_id, received.item_id, free, received.applied_on, None)
            for fact in more:
                promise = evolve_promise(promise, fact)
            facts.extend(more)
    if promise.status == "open" and newer is not None:
        facts.append(cancelled_as(promise, "renegotiated", newer))
    return facts


def _counts(received: Received, made: PromiseMade, newer: date | None) -> bool:
    """What was on record before the promise counts if it was applied on a later day than the promise was made: what was
    applied by then was known to both when they agreed on the amount.
    """
    in_time = made.effective_on < received.applied_on and received.received_on <= due_on(made)
    return in_time and (newer is None or received.applied_on < newer)


def _counted(beside: Iterable[Promise], received: Received) -> int:
    """What of it other promises have counted."""
    return sum(promise.counted.get((received.receipt_id, received.item_id), 0) for promise in beside)
