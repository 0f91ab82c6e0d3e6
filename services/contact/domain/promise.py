"""Promises to pay: what one is, and how it ends by hand or by its date. What counts as paid is in `counting.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, TypedDict
from uuid import UUID

import msgspec

from events.contact import CancelReason, PromiseBroken, PromiseCancelled, PromiseKept, PromiseMade
from events.money import Money
from services.contact.domain.absent import Absent
from services.contact.domain.named import Named
from services.kernel.errors import Kind, Refused, Unknown

GRACE_DAYS = 3  # A check in the post, and the day it takes to book it.
GRACE_DAYS_MAX = 90  # Longer is another promise.
THRESHOLD_PCT = 100
PROMISED_DAYS_MAX = 3_653  # Ten years: no payment plan is longer, and a slip of the pen in the year is.

Status = Literal["open", "kept", "broken", "cancelled"]
Ending = PromiseKept | PromiseBroken | PromiseCancelled


class PromiseChanged(Refused):
    """The promise is on record with other values."""

    code = "promise_changed"


class PromisedBeforeMade(Refused):
    """A promise is about a day to come."""

    code = "promise_date_before_made"
    kind = Kind.INVALID


class PromisedTooFar(Refused):
    """More than ten years after the promise was made."""

    code = "promise_date_too_far"
    kind = Kind.INVALID


class GraceOutOfRange(Refused):
    """Grace must be 0 to 90 days."""

    code = "promise_grace_out_of_range"
    kind = Kind.INVALID


class ThresholdOutOfRange(Refused):
    """The threshold must be 1 to 100 per cent."""

    code = "promise_threshold_out_of_range"
    kind = Kind.INVALID


class PromiseAboveOpen(Refused):
    """More would be promised than is open on the items."""

    code = "promise_above_open"


class PromiseAboveBilled(Refused):
    """More would be promised than was ever billed on the items."""

    code = "promise_above_billed"
    kind = Kind.INVALID


class PromiseOver(Refused):
    """The promise ended before, in another way."""

    code = "promise_already_ended"


class EndedBeforeMade(Refused):
    """A promise cannot end before it was made."""

    code = "promise_ended_before_made"
    kind = Kind.INVALID


class KeptTooLate(Refused):
    """The date and its grace had passed."""

    code = "promise_kept_too_late"


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What a receipt has on an item, net, from applications made after the promise was."""

    receipt_id: UUID
    item_id: UUID
    received_on: date
    applied_on: date
    amount: Money


class MakePromise(msgspec.Struct, frozen=True, kw_only=True):
    """The customer promised `amount` by `promised_on` for the items named.

    `historic` is a promise of the past, brought over from elsewhere: it is held against what was billed. `beside` are
    the other promises that cover one of the items, `received` what was applied to the items since it was made.
    """

    promise_id: UUID
    account_id: UUID
    item_ids: tuple[UUID, ...]
    amount: Money
    made_on: date
    promised_on: date
    grace_days: int = GRACE_DAYS
    threshold_pct: int = THRESHOLD_PCT
    plan_id: UUID | None = None
    historic: bool = False
    named: Named = Named()
    beside: tuple[UUID, ...] = ()
    received: tuple[Received, ...] = ()


class KeepPromise(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody knows that it was kept: the customer paid elsewhere, or by other means."""

    promise_id: UUID
    kept_on: date


class BreakPromise(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody knows that it will not be kept."""

    promise_id: UUID
    broken_on: date


class BreakOverdue(msgspec.Struct, frozen=True, kw_only=True):
    """It is `today`: break the promise if its last day has passed. Says nothing where there is nothing to break."""

    promise_id: UUID
    today: date


class CancelPromise(msgspec.Struct, frozen=True, kw_only=True):
    """The promise no longer counts."""

    promise_id: UUID
    reason: CancelReason
    cancelled_on: date


@dataclass(frozen=True, slots=True)
class Promise:
    """A promise on record.

    `counted` is what each receipt has contributed on each item, in minor units; `paid` is its sum. `causes` are the
    payment facts, with the item they were about, that have been counted. `ended` is the fact that ended it last.
    """

    made: PromiseMade
    paid: Money
    status: Status = "open"
    ended: Ending | None = None
    counted: Mapping[tuple[UUID, UUID], int] = field(default_factory=dict)
    causes: frozenset[tuple[UUID, UUID]] = frozenset()

    @property
    def due_on(self) -> date:
        """The last day on which a receipt counts."""
        return due_on(self.made)

    @property
    def reached(self) -> bool:
        """Whether what was paid reaches the threshold."""
        return self.paid.minor * 100 >= self.made.amount.minor * self.made.threshold_pct


class Progress(TypedDict):
    """What every fact about a promise repeats."""

    branch: str
    promise_id: UUID
    account_id: UUID
    amount: Money
    promised_on: date
    paid: Money


def promise_stream(promise_id: UUID) -> str:
    return f"promise-{promise_id}"


def due_on(made: PromiseMade) -> date:
    """The last day on which a receipt counts."""
    return made.promised_on + timedelta(days=made.grace_days)


def progress(promise: Promise, paid: Money | None = None) -> Progress:
    """The repeated part of the next fact, with `paid` as it is then."""
    made = promise.made
    return Progress(
        branch=made.branch,
        promise_id=made.promise_id,
        account_id=made.account_id,
        amount=made.amount,
        promised_on=made.promised_on,
        paid=promise.paid if paid is None else paid,
    )


def keep_promise(command: KeepPromise, state: Promise | Absent) -> list[PromiseKept]:
    """Errors in this order: Unknown, EndedBeforeMade, KeptTooLate, PromiseOver."""
    promise = _ending(state, command.kept_on, "kept_on")
    if command.kept_on > promise.due_on:
        raise KeptTooLate("its last day had passed", field="kept_on", due_on=promise.due_on)
    kept = PromiseKept(effective_on=command.kept_on, **progress(promise))
    return [kept] if _is_new(promise, kept) else []


def break_promise(command: BreakPromise, state: Promise | Absent) -> list[PromiseBroken]:
    """Errors in this order: Unknown, EndedBeforeMade, PromiseOver."""
    promise = _ending(state, command.broken_on, "broken_on")
    broken = PromiseBroken(effective_on=command.broken_on, reason="not_paid", **progress(promise))
    return [broken] if _is_new(promise, broken) else []


def break_overdue(command: BreakOverdue, state: Promise | Absent) -> list[PromiseBroken]:
    """Broken on the day after its last. Nothing when it ended before, or its last day has not passed: a signal that
    came twice or late does no harm. Errors: Unknown.
    """
    if isinstance(state, Absent):
        raise Unknown("no such promise")
    if state.status != "open" or command.today <= state.due_on:
        return []
    the_day_after = state.due_on + timedelta(days=1)
    return [PromiseBroken(effective_on=the_day_after, reason="not_paid", **progress(state))]


def cancel_promise(command: CancelPromise, state: Promise | Absent) -> list[PromiseCancelled]:
    """Errors in this order: Unknown, EndedBeforeMade, PromiseOver."""
    promise = _ending(state, command.cancelled_on, "cancelled_on")
    cancelled = cancelled_as(promise, command.reason, command.cancelled_on)
    return [cancelled] if _is_new(promise, cancelled) else []


def cancelled_as(promise: Promise, reason: CancelReason, on: date) -> PromiseCancelled:
    return PromiseCancelled(effective_on=on, reason=reason, **progress(promise))


def _ending(state: Promise | Absent, on: date, name: str) -> Promise:
    if isinstance(state, Absent):
        raise Unknown("no such promise")
    if on < state.made.effective_on:
        raise EndedBeforeMade("before it was made", field=name, made_on=state.made.effective_on)
    return state


def _is_new(promise: Promise, ending: Ending) -> bool:
    """Whether `ending` ends it; False where that is on record already. Errors: PromiseOver."""
    if promise.status == "open":
        return True
    if promise.ended != ending:
        on = promise.ended.effective_on if promise.ended else None
        raise PromiseOver(f"it is {promise.status} already", status=promise.status, ended_on=on)
    return False
