"""The end of a placement: we take the items back, or the agency has finished with them."""

from __future__ import annotations

from uuid import UUID

from events.envelope import Fact
from events.escalation import PlacementClosed, PlacementOutcome, PlacementRecalled, RecallReason
from services.escalation.domain.day import Dated
from services.escalation.domain.placed import day_after_placing, placement_of
from services.escalation.domain.state import States, placement_stream
from services.kernel.errors import Refused


class PlacementEnded(Refused):
    """The placement was recalled or closed already."""

    code = "placement_ended"


class RecallPlacement(Dated, frozen=True, kw_only=True):
    placement_id: UUID
    reason: RecallReason

    @property
    def stream(self) -> str:
        return placement_stream(self.placement_id)


class ClosePlacement(Dated, frozen=True, kw_only=True):
    placement_id: UUID
    outcome: PlacementOutcome

    @property
    def stream(self) -> str:
        return placement_stream(self.placement_id)


def recall(command: RecallPlacement, states: States) -> list[Fact]:
    """Take items back. Errors, in this order: PlacementUnknown, PlacementEnded, DateOutOfRange, BeforePlacement."""
    placement = placement_of(command.placement_id, states)
    match placement.ended:
        case PlacementRecalled(reason=reason, effective_on=on) if reason == command.reason and command.on in (None, on):
            return []
        case None:
            return [
                PlacementRecalled(
                    branch=placement.placed.branch,
                    effective_on=day_after_placing(command, placement),
                    placement_id=command.placement_id,
                    account_id=placement.placed.account_id,
                    agency=placement.placed.agency,
                    phase=placement.placed.phase,
                    recovered=placement.recovered,
                    reason=command.reason,
                )
            ]
        case ended:
            raise PlacementEnded("the placement has ended", ended_on=ended.effective_on)


def close(command: ClosePlacement, states: States) -> list[Fact]:
    """The agency finished. Errors, in this order: PlacementUnknown, PlacementEnded, DateOutOfRange, BeforePlacement."""
    placement = placement_of(command.placement_id, states)
    match placement.ended:
        case PlacementClosed(outcome=outcome, effective_on=on) if outcome == command.outcome and command.on in (
            None,
            on,
        ):
            return []
        case None:
            return [
                PlacementClosed(
                    branch=placement.placed.branch,
                    effective_on=day_after_placing(command, placement),
                    placement_id=command.placement_id,
                    account_id=placement.placed.account_id,
                    agency=placement.placed.agency,
                    phase=placement.placed.phase,
                    recovered=placement.recovered,
                    outcome=command.outcome,
                )
            ]
        case ended:
            raise PlacementEnded("the placement has ended", ended_on=ended.effective_on)
