"""Follow-ups: somebody is to look at an account again, and did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import msgspec

from events.contact import FollowUpDone, FollowUpScheduled
from services.contact.domain.absent import Absent
from services.contact.domain.attempt import Attempt, AttemptNotKnown
from services.contact.domain.named import Named, in_order
from services.kernel.errors import Kind, Refused, Unknown


class FollowUpChanged(Refused):
    """The follow-up is on record with other values."""

    code = "follow_up_changed"


class FollowUpOver(Refused):
    """The follow-up was done before, in another way."""

    code = "follow_up_already_done"


class DueBeforeScheduled(Refused):
    """A follow-up cannot be due before it is scheduled."""

    code = "follow_up_due_before_scheduled"
    kind = Kind.INVALID


class DoneBeforeScheduled(Refused):
    """A follow-up cannot be done before it is scheduled."""

    code = "follow_up_done_before_scheduled"
    kind = Kind.INVALID


class ScheduleFollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is to look at the account again on `due_on`; `owner` is a user's id, absent for its collector."""

    follow_up_id: UUID
    account_id: UUID
    scheduled_on: date
    due_on: date
    item_ids: tuple[UUID, ...] = ()
    owner: str | None = None
    note_id: UUID | None = None
    named: Named = Named()


class FinishFollowUp(msgspec.Struct, frozen=True, kw_only=True):
    """It was done, by the attempt named where there was one."""

    follow_up_id: UUID
    done_on: date
    attempt_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A follow-up on record; `done` is the fact that ended it."""

    fact: FollowUpScheduled
    done: FollowUpDone | None = None

    @property
    def account_id(self) -> UUID:
        return self.fact.account_id


def follow_up_stream(follow_up_id: UUID) -> str:
    return f"follow-up-{follow_up_id}"


def schedule_follow_up(command: ScheduleFollowUp, state: FollowUp | Absent) -> Sequence[FollowUpScheduled]:
    """Errors in this order: DueBeforeScheduled, ItemNotKnown, ItemOfOtherAccount, AccountNotKnown, FollowUpChanged."""
    if command.due_on < command.scheduled_on:
        raise DueBeforeScheduled("due before it is scheduled", field="due_on", scheduled_on=command.scheduled_on)
    item_ids = in_order(command.item_ids)
    fact = FollowUpScheduled(
        branch=command.named.branch_of(command.account_id, item_ids),
        effective_on=command.scheduled_on,
        follow_up_id=command.follow_up_id,
        account_id=command.account_id,
        item_ids=item_ids,
        due_on=command.due_on,
        owner=command.owner,
        note_id=command.note_id,
    )
    match state:
        case Absent():
            return [fact]
        case FollowUp(fact=recorded):
            if recorded != fact:
                raise FollowUpChanged("the follow-up is on record with other values", field="follow_up_id")
            return []


def finish_follow_up(
    command: FinishFollowUp, state: FollowUp | Absent, attempt: Attempt | Absent | None
) -> Sequence[FollowUpDone]:
    """`attempt` is the one named, None where none is.

    Errors   in this order: Unknown, DoneBeforeScheduled, AttemptNotKnown, FollowUpOver.
    """
    if isinstance(state, Absent):
        raise Unknown("no such follow-up")
    scheduled = state.fact
    if command.done_on < scheduled.effective_on:
        raise DoneBeforeScheduled("done before it was scheduled", field="done_on", scheduled_on=scheduled.effective_on)
    if isinstance(attempt, Absent) or (attempt is not None and attempt.account_id != scheduled.account_id):
        raise AttemptNotKnown("no such attempt of that account", field="attempt_id")
    fact = FollowUpDone(
        branch=scheduled.branch,
        effective_on=command.done_on,
        follow_up_id=scheduled.follow_up_id,
        account_id=scheduled.account_id,
        attempt_id=command.attempt_id,
    )
    if state.done is None:
        return [fact]
    if state.done != fact:
        raise FollowUpOver("it was done before", done_on=state.done.effective_on, attempt_id=state.done.attempt_id)
    return []
