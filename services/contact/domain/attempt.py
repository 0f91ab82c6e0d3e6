"""Attempts to reach somebody: which outcomes a channel can have, and what is on record of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from events.contact import AttemptLogged, Channel, Outcome
from services.contact.domain.absent import Absent
from services.contact.domain.named import Named, in_order
from services.kernel.errors import Kind, Refused

# A call is never delivered and a letter never answers; what a bounce is to an e-mail, a return is to a letter.
OUTCOMES: Final[dict[Channel, frozenset[Outcome]]] = {
    "call": frozenset({"reached", "left_message", "no_answer", "wrong_number", "refused"}),
    "email": frozenset({"sent", "delivered", "bounced", "reached"}),
    "text": frozenset({"sent", "delivered", "bounced", "reached", "wrong_number"}),
    "letter": frozenset({"sent", "delivered", "returned"}),
    "certified_mail": frozenset({"sent", "delivered", "refused", "returned"}),
    "visit": frozenset({"reached", "left_message", "no_answer", "refused"}),
}


class OutcomeImpossible(Refused):
    """That channel cannot end that way."""

    code = "attempt_outcome_impossible"
    kind = Kind.INVALID


class AttemptChanged(Refused):
    """The attempt is on record with other values."""

    code = "attempt_changed"


class AttemptNotKnown(Refused):
    """No such attempt of that account."""

    code = "attempt_not_known"
    kind = Kind.INVALID


class LogAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """Put an attempt on record."""

    attempt_id: UUID
    account_id: UUID
    channel: Channel
    outcome: Outcome
    attempted_on: date
    item_ids: tuple[UUID, ...] = ()
    person_id: UUID | None = None
    note_id: UUID | None = None
    named: Named = Named()


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt on record: its fact says all there is."""

    fact: AttemptLogged

    @property
    def account_id(self) -> UUID:
        return self.fact.account_id


def attempt_stream(attempt_id: UUID) -> str:
    return f"attempt-{attempt_id}"


def log_attempt(command: LogAttempt, state: Attempt | Absent) -> Sequence[AttemptLogged]:
    """Errors in this order: OutcomeImpossible, ItemNotKnown, ItemOfOtherAccount, AccountNotKnown, AttemptChanged."""
    possible = OUTCOMES[command.channel]
    if command.outcome not in possible:
        raise OutcomeImpossible(
            f"{command.channel} cannot end as {command.outcome}", field="outcome", possible=sorted(possible)
        )
    item_ids = in_order(command.item_ids)
    fact = AttemptLogged(
        branch=command.named.branch_of(command.account_id, item_ids),
        effective_on=command.attempted_on,
        attempt_id=command.attempt_id,
        account_id=command.account_id,
        channel=command.channel,
        outcome=command.outcome,
        item_ids=item_ids,
        person_id=command.person_id,
        note_id=command.note_id,
    )
    match state:
        case Absent():
            return [fact]
        case Attempt(fact=recorded):
            if recorded != fact:
                raise AttemptChanged("the attempt is on record with other values", field="attempt_id")
            return []
