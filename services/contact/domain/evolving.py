"""Fold recorded facts into promises, disputes, attempts and follow-ups. Never refuses: what is on record happened."""

from __future__ import annotations

from dataclasses import replace

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
from events.envelope import Fact
from events.money import Money
from services.contact.domain.absent import Absent
from services.contact.domain.attempt import Attempt
from services.contact.domain.dispute import Dispute
from services.contact.domain.follow_up import FollowUp
from services.contact.domain.promise import Promise

State = Absent | Attempt | Promise | Dispute | FollowUp


def evolve(state: State, fact: Fact) -> State:
    """Fold one fact of a stream of this service."""
    match fact:
        case AttemptLogged():
            assert isinstance(state, Absent), "stream is corrupt: logged twice"
            return Attempt(fact)
        case PromiseMade(amount=amount):
            assert isinstance(state, Absent), "stream is corrupt: promised twice"
            return Promise(fact, Money.zero(amount.currency))
        case PromisePaid() | PromiseKept() | PromiseBroken() | PromiseCancelled():
            assert isinstance(state, Promise), "stream is corrupt: no promise was made"
            return evolve_promise(state, fact)
        case DisputeOpened():
            assert isinstance(state, Absent), "stream is corrupt: opened twice"
            return Dispute(fact)
        case DisputeResolved():
            assert isinstance(state, Dispute), "stream is corrupt: resolved before it was opened"
            return replace(state, resolved=fact)
        case FollowUpScheduled():
            assert isinstance(state, Absent), "stream is corrupt: scheduled twice"
            return FollowUp(fact)
        case FollowUpDone():
            assert isinstance(state, FollowUp), "stream is corrupt: done before it was scheduled"
            return replace(state, done=fact)
        case _:
            raise AssertionError(f"{type(fact).__name__} is no fact of this service")


def evolve_promise(promise: Promise, fact: PromisePaid | PromiseKept | PromiseBroken | PromiseCancelled) -> Promise:
    """Fold one later fact of a promise."""
    match fact:
        case PromisePaid():
            # Only facts of the first days, before an item was told, have none: the receipt stands for it.
            item_id = fact.item_id or fact.receipt_id
            key = (fact.receipt_id, item_id)
            counted = {**promise.counted, key: promise.counted.get(key, 0) + fact.change.minor}
            causes = promise.causes if fact.caused_by is None else promise.causes | {(fact.caused_by, item_id)}
            return replace(promise, paid=fact.paid, counted=counted, causes=causes)
        case PromiseKept():
            return replace(promise, status="kept", ended=fact)
        case PromiseBroken():
            return replace(promise, status="broken", ended=fact)
        case PromiseCancelled():
            return replace(promise, status="cancelled", ended=fact)
