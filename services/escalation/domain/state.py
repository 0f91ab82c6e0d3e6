"""What the streams of this service fold to. States hold the facts themselves, so that nothing can drift from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.escalation import (
    HoldPlaced,
    HoldReleased,
    PlacedWithAgency,
    PlacementClosed,
    PlacementRecalled,
    RecoveryReported,
    StepAdvanced,
    WriteOffApproved,
    WriteOffRejected,
    WriteOffRequested,
    WriteOffReversed,
)
from events.money import Money


class Absent(msgspec.Struct, frozen=True):
    """Nothing is on record."""


class Delinquency(msgspec.Struct, frozen=True):
    """How far an item got in its branch's dunning policy."""

    last: StepAdvanced


class Held(msgspec.Struct, frozen=True):
    """The account is on hold."""

    placed: HoldPlaced


class Released(msgspec.Struct, frozen=True):
    """The account was on hold, and is not any more."""

    placed: HoldPlaced
    released: HoldReleased


class Placement(msgspec.Struct, frozen=True):
    """Items at an agency, what came in on them, and how it ended."""

    placed: PlacedWithAgency
    recoveries: tuple[RecoveryReported, ...] = ()
    ended: PlacementRecalled | PlacementClosed | None = None

    @property
    def recovered(self) -> Money:
        return self.recoveries[-1].recovered if self.recoveries else Money.zero(self.placed.amount.currency)

    def has(self, item_id: UUID) -> bool:
        return any(placed.item_id == item_id for placed in self.placed.items)

    def counted(self, receipt_id: UUID, item_id: UUID) -> Money:
        """What of a receipt's money for an item counts as paid to us directly."""
        minor = sum(
            recovery.gross.minor
            for recovery in self.recoveries
            if recovery.recovered_from == "direct" and recovery.receipt_id == receipt_id and recovery.item_id == item_id
        )
        return Money(minor, self.placed.amount.currency)

    def remitted(self, receipt_id: UUID) -> bool:
        """Whether the agency reported the receipt as its own remittance."""
        return any(r.recovered_from == "agency" and r.receipt_id == receipt_id for r in self.recoveries)


class WriteOff(msgspec.Struct, frozen=True):
    """A request to give up part of an item, and what became of it."""

    requested: WriteOffRequested
    approved: WriteOffApproved | None = None
    rejected: WriteOffRejected | None = None
    reversed: WriteOffReversed | None = None


State: TypeAlias = Absent | Delinquency | Held | Released | Placement | WriteOff
States: TypeAlias = Mapping[str, State]
ABSENT: Final = Absent()


def delinquency_stream(item_id: UUID) -> str:
    return f"delinquency-{item_id}"


def hold_stream(account_id: UUID) -> str:
    return f"hold-{account_id}"


def placement_stream(placement_id: UUID) -> str:
    return f"placement-{placement_id}"


def write_off_stream(write_off_id: UUID) -> str:
    return f"write-off-{write_off_id}"


def evolve(state: State, fact: Fact) -> State:
    """Fold one recorded fact. Total over the facts of this service: it never refuses."""
    match fact:
        case StepAdvanced():
            return Delinquency(fact)
        case HoldPlaced():
            return Held(fact)
        case HoldReleased():
            assert isinstance(state, Held), "stream is corrupt: released before placed"
            return Released(state.placed, fact)
        case PlacedWithAgency():
            assert isinstance(state, Absent), "stream is corrupt: placed twice"
            return Placement(fact)
        case RecoveryReported():
            assert isinstance(state, Placement), "stream is corrupt: recovered before placed"
            return msgspec.structs.replace(state, recoveries=(*state.recoveries, fact))
        case PlacementRecalled() | PlacementClosed():
            assert isinstance(state, Placement), "stream is corrupt: ended before placed"
            return msgspec.structs.replace(state, ended=fact)
        case WriteOffRequested():
            assert isinstance(state, Absent), "stream is corrupt: requested twice"
            return WriteOff(fact)
        case WriteOffApproved():
            assert isinstance(state, WriteOff), "stream is corrupt: approved before requested"
            return msgspec.structs.replace(state, approved=fact)
        case WriteOffRejected():
            assert isinstance(state, WriteOff), "stream is corrupt: rejected before requested"
            return msgspec.structs.replace(state, rejected=fact)
        case WriteOffReversed():
            assert isinstance(state, WriteOff), "stream is corrupt: reversed before requested"
            return msgspec.structs.replace(state, reversed=fact)
        case _:
            raise AssertionError(f"{type(fact).__name__} is no fact of this service")
