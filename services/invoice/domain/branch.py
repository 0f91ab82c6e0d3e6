"""Branches: the units of the firm that bill and collect. Their codes are their identity."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from events.envelope import Fact
from events.invoice import BranchRegistered
from services.invoice.domain.day import Dated
from services.invoice.domain.state import Absent, Branch, States, branch_stream
from services.kernel.errors import Kind, Refused


class BranchUnknown(Refused):
    """No branch of that code is registered."""

    code = "branch_not_registered"
    kind: ClassVar[Kind] = Kind.UNKNOWN


class BranchChanged(Refused):
    """The branch is registered with other values."""

    code = "branch_changed"


class TimezoneUnknown(Refused):
    """The time zone is not in the IANA database."""

    code = "timezone_unknown"
    kind: ClassVar[Kind] = Kind.INVALID


class RegisterBranch(Dated, frozen=True, kw_only=True):
    """`timezone` is a name the rim found in the IANA database."""

    branch: str
    name: str
    region: str | None
    timezone: str

    @property
    def stream(self) -> str:
        return branch_stream(self.branch)


def register(command: RegisterBranch, states: States) -> list[Fact]:
    """Errors, in this order: DateOutOfRange, BranchChanged. The date need not be the same: a rerun may leave it out."""
    on = command.day_in(command.timezone)
    fact = BranchRegistered(
        branch=command.branch, effective_on=on, name=command.name, region=command.region, timezone=command.timezone
    )
    match states[command.stream]:
        case Branch(registered=before):
            if msgspec.structs.replace(before, effective_on=on) != fact:
                raise BranchChanged("the branch is registered with other values", registered=before)
            return []
        case Absent():
            return [fact]
        case _:
            raise AssertionError("no branch in a branch's stream")


def branch_of(code: str, states: States) -> Branch:
    """The registered branch. Errors: BranchUnknown."""
    match states[branch_stream(code)]:
        case Branch() as branch:
            return branch
        case _:
            raise BranchUnknown(f"branch {code} is not registered", field="branch")
