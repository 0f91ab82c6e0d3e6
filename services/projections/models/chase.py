"""Attempts, promises, disputes, follow-ups, dunning steps and holds, each as its own stream has it now."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID

from events.contact import (
    AttemptLogged,
    DisputeOpened,
    DisputeResolved,
    FollowUpDone,
    FollowUpScheduled,
    PromiseBroken,
    PromiseCancelled,
    PromiseKept,
    PromiseMade,
    PromisePaid,
)
from events.escalation import HoldPlaced, HoldReleased, StepAdvanced
from services.kernel.delivery import Known
from services.projections.deltas import Deltas, Model
from services.projections.table import Row, Table


class LastContactRow(Row):
    subject_id: UUID
    branch: str
    contacted_on: date
    recorded_at: datetime
    attempt_id: UUID
    channel: str
    outcome: str


class PromiseRow(Row):
    promise_id: UUID
    branch: str | None = None
    account_id: UUID | None = None
    plan_id: UUID | None = None
    currency: str | None = None
    amount_minor: int | None = None
    paid_minor: int | None = None
    promised_on: date | None = None
    grace_days: int | None = None
    threshold_pct: int | None = None
    status: str | None = None
    reason: str | None = None
    made_on: date | None = None
    decided_on: date | None = None


class PromiseItemRow(Row):
    item_id: UUID
    promise_id: UUID
    branch: str


class DisputeRow(Row):
    dispute_id: UUID
    branch: str | None = None
    account_id: UUID | None = None
    item_id: UUID | None = None
    currency: str | None = None
    amount_minor: int | None = None
    upheld_minor: int | None = None
    reason: str | None = None
    owner: str | None = None
    status: str | None = None
    outcome: str | None = None
    opened_on: date | None = None
    resolved_on: date | None = None


class FollowUpRow(Row):
    follow_up_id: UUID
    branch: str | None = None
    account_id: UUID | None = None
    item_ids: str | None = None  # An array's text: arrays of arrays would have to be of one length.
    due_on: date | None = None
    owner: str | None = None
    status: str | None = None
    attempt_id: UUID | None = None
    scheduled_on: date | None = None
    done_on: date | None = None


class StepRow(Row):
    item_id: UUID
    branch: str | None = None
    account_id: UUID | None = None
    step: int | None = None
    label: str | None = None
    reached_on: date | None = None


class HoldRow(Row):
    account_id: UUID
    branch: str | None = None
    active: bool | None = None
    reason: str | None = None
    placed_on: date | None = None
    released_on: date | None = None
    released_by: str | None = None


# Attempts are streams of their own and come in any order: the newest by its date, then by when we learned it.
LAST_CONTACT: Final = Table(
    "last_contact", LastContactRow, ["subject_id"], newest=["contacted_on", "recorded_at", "attempt_id"]
)
PROMISE: Final = Table("promise", PromiseRow, ["promise_id"])
PROMISE_ITEM: Final = Table("promise_item", PromiseItemRow)
DISPUTE: Final = Table("dispute", DisputeRow, ["dispute_id"])
FOLLOW_UP: Final = Table("follow_up", FollowUpRow, ["follow_up_id"], casts={"item_ids": "uuid[]"})
STEP: Final = Table("item_step", StepRow, ["item_id"])
HOLD: Final = Table("hold", HoldRow, ["account_id"])


def _attempt(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, AttemptLogged)
    at = known.envelope.recorded_at
    for subject in {fact.account_id, *fact.item_ids}:
        row = LastContactRow(subject, fact.branch, fact.effective_on, at, fact.attempt_id, fact.channel, fact.outcome)
        out.offer(LAST_CONTACT, row)


def _promise(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PromiseMade | PromisePaid | PromiseKept | PromiseBroken | PromiseCancelled)
    row = out.at(PROMISE, fact.promise_id)
    row.branch, row.account_id, row.promised_on = fact.branch, fact.account_id, fact.promised_on
    row.currency, row.amount_minor = fact.amount.currency, fact.amount.minor
    if isinstance(fact, PromiseMade):
        row.plan_id, row.grace_days, row.threshold_pct = fact.plan_id, fact.grace_days, fact.threshold_pct
        row.status, row.made_on, row.paid_minor = "open", fact.effective_on, 0
        for item_id in dict.fromkeys(fact.item_ids):
            out.add(PROMISE_ITEM, PromiseItemRow(item_id, fact.promise_id, fact.branch))
        return
    row.paid_minor = fact.paid.minor
    match fact:
        case PromiseKept():
            row.status, row.decided_on = "kept", fact.effective_on
        case PromiseBroken():
            row.status, row.decided_on, row.reason = "broken", fact.effective_on, fact.reason
        case PromiseCancelled():
            row.status, row.decided_on, row.reason = "cancelled", fact.effective_on, fact.reason
        case PromisePaid():
            pass


def _dispute(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, DisputeOpened | DisputeResolved)
    row = out.at(DISPUTE, fact.dispute_id)
    row.branch, row.account_id, row.item_id = fact.branch, fact.account_id, fact.item_id
    row.currency, row.amount_minor = fact.amount.currency, fact.amount.minor
    if isinstance(fact, DisputeOpened):
        row.reason, row.owner = fact.reason, fact.owner
        row.status, row.opened_on = "open", fact.effective_on
    else:
        row.outcome, row.upheld_minor = fact.outcome, fact.upheld.minor
        row.status, row.resolved_on = "resolved", fact.effective_on


def _follow_up(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, FollowUpScheduled | FollowUpDone)
    row = out.at(FOLLOW_UP, fact.follow_up_id)
    row.branch, row.account_id = fact.branch, fact.account_id
    if isinstance(fact, FollowUpScheduled):
        row.item_ids = f"{{{','.join(map(str, fact.item_ids))}}}"
        row.due_on, row.owner = fact.due_on, fact.owner
        row.status, row.scheduled_on = "scheduled", fact.effective_on
    else:
        row.attempt_id = fact.attempt_id
        row.status, row.done_on = "done", fact.effective_on


def _step(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, StepAdvanced)
    row = out.at(STEP, fact.item_id)
    row.branch, row.account_id = fact.branch, fact.account_id
    row.step, row.label, row.reached_on = fact.step, fact.label, fact.effective_on


def _hold(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, HoldPlaced | HoldReleased)
    row = out.at(HOLD, fact.account_id)
    row.branch = fact.branch
    if isinstance(fact, HoldPlaced):
        row.active, row.reason, row.placed_on = True, fact.reason, fact.effective_on
    else:
        row.active, row.released_on, row.released_by = False, fact.effective_on, fact.released_by


CHASE: Final = Model(
    "chase",
    (LAST_CONTACT, PROMISE, PROMISE_ITEM, DISPUTE, FOLLOW_UP, STEP, HOLD),
    {
        AttemptLogged: _attempt,
        PromiseMade: _promise,
        PromisePaid: _promise,
        PromiseKept: _promise,
        PromiseBroken: _promise,
        PromiseCancelled: _promise,
        DisputeOpened: _dispute,
        DisputeResolved: _dispute,
        FollowUpScheduled: _follow_up,
        FollowUpDone: _follow_up,
        StepAdvanced: _step,
        HoldPlaced: _hold,
        HoldReleased: _hold,
    },
)
