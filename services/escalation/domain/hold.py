"""Account holds: no further work or credit for the account until somebody answers for releasing it."""

from __future__ import annotations

from uuid import UUID

from events.envelope import Fact
from events.escalation import HoldPlaced, HoldReason, HoldReleased
from services.escalation.domain.day import Dated
from services.escalation.domain.state import Absent, Held, Released, States, hold_stream
from services.kernel.errors import Refused
from services.mirror.known import AccountNotKnown


class HoldAlreadyPlaced(Refused):
    """The account is on hold already, for another reason or since another day."""

    code = "hold_already_placed"


class HoldNotPlaced(Refused):
    """The account is not on hold."""

    code = "hold_not_placed"


class PlaceHold(Dated, frozen=True, kw_only=True):
    """`branch` is the account's home branch by the mirror; None where the account is not known."""

    account_id: UUID
    reason: HoldReason
    branch: str | None = None

    @property
    def stream(self) -> str:
        return hold_stream(self.account_id)


class ReleaseHold(Dated, frozen=True, kw_only=True):
    account_id: UUID
    released_by: str

    @property
    def stream(self) -> str:
        return hold_stream(self.account_id)


def place(command: PlaceHold, states: States) -> list[Fact]:
    """Put an account on hold. Errors, in this order: AccountNotKnown, HoldAlreadyPlaced, DateOutOfRange."""
    if command.branch is None:
        raise AccountNotKnown("no such account is known here", field="account_id", account_id=command.account_id)
    match states[command.stream]:
        case Held(placed=before):
            if before.reason != command.reason or command.on not in (None, before.effective_on):
                raise HoldAlreadyPlaced(
                    "the account is on hold already", reason=before.reason, placed_on=before.effective_on
                )
            return []
        case Absent() | Released():
            return [
                HoldPlaced(
                    branch=command.branch,
                    effective_on=command.day_at(command.branch),
                    account_id=command.account_id,
                    reason=command.reason,
                )
            ]
        case _:
            raise AssertionError("no hold in an account's stream")


def release(command: ReleaseHold, states: States) -> list[Fact]:
    """End the hold. Errors, in this order: HoldNotPlaced, DateOutOfRange."""
    match states[command.stream]:
        case Held(placed=placed):
            return [
                HoldReleased(
                    branch=placed.branch,
                    effective_on=command.day_at(placed.branch),
                    account_id=command.account_id,
                    released_by=command.released_by,
                )
            ]
        case Released(released=before) if before.released_by == command.released_by and command.on in (
            None,
            before.effective_on,
        ):
            return []
        case _:
            raise HoldNotPlaced("the account is not on hold", field="account_id")
