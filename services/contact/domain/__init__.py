"""The rules of the contact service: what each command needs to see, and the facts that follow from it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from events.envelope import Fact
from services.contact.domain.absent import ABSENT, Absent
from services.contact.domain.attempt import Attempt, LogAttempt, attempt_stream, log_attempt
from services.contact.domain.counting import (
    CountPayment,
    TakeBackReceipt,
    UncountPayment,
    count_payment,
    take_back_receipt,
    uncount_payment,
)
from services.contact.domain.dispute import (
    Dispute,
    OpenDispute,
    ResolveDispute,
    dispute_stream,
    open_dispute,
    resolve_dispute,
)
from services.contact.domain.ended_item import EndItem, end_item
from services.contact.domain.evolving import State, evolve
from services.contact.domain.follow_up import (
    FinishFollowUp,
    FollowUp,
    ScheduleFollowUp,
    finish_follow_up,
    follow_up_stream,
    schedule_follow_up,
)
from services.contact.domain.making import make_promise
from services.contact.domain.promise import (
    BreakOverdue,
    BreakPromise,
    CancelPromise,
    KeepPromise,
    MakePromise,
    Promise,
    break_overdue,
    break_promise,
    cancel_promise,
    keep_promise,
    promise_stream,
)

__all__ = ["ABSENT", "Command", "PolicyCommand", "State", "decide", "evolve", "needs", "subject"]

PolicyCommand = CountPayment | UncountPayment | TakeBackReceipt | EndItem
_PromiseCommand = MakePromise | KeepPromise | BreakPromise | BreakOverdue | CancelPromise
Command = (
    LogAttempt | _PromiseCommand | OpenDispute | ResolveDispute | ScheduleFollowUp | FinishFollowUp | PolicyCommand
)
States = Mapping[str, State]
Noun = TypeVar("Noun", Attempt, Promise, Dispute, FollowUp)


def subject(command: Command) -> str:
    """The stream a command is about. What follows from other services' facts is about none here, but their receipt or
    item.
    """
    match command:
        case LogAttempt():
            return attempt_stream(command.attempt_id)
        case MakePromise() | KeepPromise() | BreakPromise() | BreakOverdue() | CancelPromise():
            return promise_stream(command.promise_id)
        case OpenDispute() | ResolveDispute():
            return dispute_stream(command.dispute_id)
        case ScheduleFollowUp() | FinishFollowUp():
            return follow_up_stream(command.follow_up_id)
        case CountPayment() | UncountPayment() | TakeBackReceipt():
            return f"receipt-{command.receipt_id}"
        case EndItem():
            return f"item-{command.item_id}"


def needs(command: Command, _states: States) -> Collection[str]:
    """The streams a command must see. All are known beforehand: `prepare` looked them up."""
    match command:
        case MakePromise():
            return [subject(command), *map(promise_stream, command.beside)]
        case OpenDispute():
            return [subject(command), *map(dispute_stream, command.beside)]
        case FinishFollowUp(attempt_id=UUID() as attempt_id):
            return [subject(command), attempt_stream(attempt_id)]
        case CountPayment() | UncountPayment() | TakeBackReceipt():
            return [promise_stream(promise_id) for promise_id in command.promises]
        case EndItem():
            return [*map(promise_stream, command.promises), *map(dispute_stream, command.disputes)]
        case _:
            return [subject(command)]


def decide(command: Command, states: States) -> Mapping[str, Sequence[Fact]]:
    """The facts that follow, by stream. Errors: those of the function that decides the command, in its order.

    Shapes   nothing at all where everything is on record already.
    """
    match command:
        case MakePromise():
            beside = _all(states, map(promise_stream, command.beside), Promise)
            return make_promise(command, _state(states, command, Promise), beside)
        case CountPayment():
            return count_payment(command, _promises(states, command))
        case UncountPayment():
            return uncount_payment(command, _promises(states, command))
        case TakeBackReceipt():
            return take_back_receipt(command, _promises(states, command))
        case EndItem():
            disputes = _all(states, map(dispute_stream, command.disputes), Dispute)
            return end_item(command, _promises(states, command), disputes)
        case _:
            return {subject(command): _decide_one(command, states)}


def _decide_one(
    command: LogAttempt
    | KeepPromise
    | BreakPromise
    | BreakOverdue
    | CancelPromise
    | OpenDispute
    | ResolveDispute
    | ScheduleFollowUp
    | FinishFollowUp,
    states: States,
) -> Sequence[Fact]:
    """Commands that add to one stream only."""
    match command:
        case LogAttempt():
            return log_attempt(command, _state(states, command, Attempt))
        case KeepPromise():
            return keep_promise(command, _state(states, command, Promise))
        case BreakPromise():
            return break_promise(command, _state(states, command, Promise))
        case BreakOverdue():
            return break_overdue(command, _state(states, command, Promise))
        case CancelPromise():
            return cancel_promise(command, _state(states, command, Promise))
        case OpenDispute():
            beside = _all(states, map(dispute_stream, command.beside), Dispute)
            return open_dispute(command, _state(states, command, Dispute), beside)
        case ResolveDispute():
            return resolve_dispute(command, _state(states, command, Dispute))
        case ScheduleFollowUp():
            return schedule_follow_up(command, _state(states, command, FollowUp))
        case FinishFollowUp(attempt_id=attempt_id):
            attempt = None if attempt_id is None else _one(states, attempt_stream(attempt_id), Attempt)
            return finish_follow_up(command, _state(states, command, FollowUp), attempt)


def _state(states: States, command: Command, noun: type[Noun]) -> Noun | Absent:
    return _one(states, subject(command), noun)


def _one(states: States, stream: str, noun: type[Noun]) -> Noun | Absent:
    state = states[stream]
    assert isinstance(state, noun | Absent), f"{stream} is no {noun.__name__}"
    return state


def _all(states: States, streams: Iterable[str], noun: type[Noun]) -> list[Noun]:
    """Those of the streams that are on record."""
    return [state for stream in streams if isinstance(state := states[stream], noun)]


def _promises(states: States, command: PolicyCommand) -> list[Promise]:
    return _all(states, map(promise_stream, command.promises), Promise)
