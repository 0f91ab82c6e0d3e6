"""A domain small enough to see through: tallies that count up to a limit. Tests of the kernel run on it.

Its fact is one of the contract's, borrowed: `BranchRegistered` on the stream `tally-<name>`, one for every mark made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import msgspec

from events.envelope import Fact
from events.invoice import BranchRegistered
from services.kernel.commands import Domain, Facts, States
from services.kernel.errors import Kind, Refused
from services.kernel.rim import money
from services.kernel.store import Arriving, Conn

DAY = date(2024, 1, 31)
LIMIT = 100


class Full(Refused):
    """The tally is full."""

    code = "tally_full"


class MarkInvalid(Refused):
    """A mark may not be empty."""

    code = "mark_invalid"
    kind = Kind.INVALID


class NotHereYet(Arriving):
    """The other tally is not known yet."""

    code = "tally_not_here_yet"
    kind = Kind.UNKNOWN


@dataclass(frozen=True)
class Mark:
    """Make a mark. The same mark again is on record. `after` names a tally that must have a mark before."""

    tally: str
    mark: str
    branch: str = "B010"
    after: str | None = None
    also: str | None = None  # Another tally that gets the same mark, in the same decision.
    limit: int = LIMIT


@dataclass(frozen=True)
class Tally:
    marks: tuple[str, ...] = ()


def _needs(command: Mark, _states: States[Tally]) -> set[str]:
    return {f"tally-{name}" for name in (command.tally, command.after, command.also) if name is not None}


def _decide(command: Mark, states: States[Tally]) -> Facts:
    """Errors, in this order: MarkInvalid, NotHereYet, Full."""
    if not command.mark:
        raise MarkInvalid("a mark may not be empty", field="mark")
    if command.after is not None and not states[f"tally-{command.after}"].marks:
        raise NotHereYet("no mark there yet", tally=command.after)
    facts: dict[str, Sequence[Fact]] = {}
    for name in filter(None, (command.tally, command.also)):
        tally = states[f"tally-{name}"]
        if command.mark in tally.marks:
            continue
        if len(tally.marks) >= command.limit:
            raise Full("no room for another mark", limit=command.limit)
        facts[f"tally-{name}"] = [BranchRegistered(branch=command.branch, effective_on=DAY, name=command.mark)]
    return facts


def _evolve(tally: Tally, fact: Fact) -> Tally:
    assert isinstance(fact, BranchRegistered)
    return replace(tally, marks=(*tally.marks, fact.name))


TALLIES: Domain[Mark, Tally] = Domain(
    initial=Tally(), subject=lambda command: f"tally-{command.tally}", needs=_needs, decide=_decide, evolve=_evolve
)


class MarkRow(msgspec.Struct):
    """A row of an import."""

    tally: str
    mark: str
    branch: str = "B010"
    amount: str | None = None
    on: date | None = None
    after: str | None = None


def mark_of(row: MarkRow, _actor: str) -> Mark:
    if row.amount is not None:
        money(row.amount, "USD")
    return Mark(tally=row.tally, mark=row.mark, branch=row.branch, after=row.after)


async def no_index(_conn: Conn, _facts: Sequence[Any]) -> None:
    return None
