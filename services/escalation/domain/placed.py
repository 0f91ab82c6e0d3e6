"""Items that an agency has or had: whether, and since when."""

from __future__ import annotations

from datetime import date
from typing import ClassVar
from uuid import UUID

from services.escalation.domain.day import Dated
from services.escalation.domain.seen import Seen
from services.escalation.domain.state import Placement, States, placement_stream
from services.kernel.errors import Kind, Refused


class PlacementUnknown(Refused):
    """No such placement, or the caller may not see it."""

    code = "placement_not_placed"
    kind: ClassVar[Kind] = Kind.UNKNOWN


class BeforePlacement(Refused):
    """It is dated before the placement."""

    code = "before_placement_date"
    kind: ClassVar[Kind] = Kind.INVALID


def placement_of(placement_id: UUID, states: States) -> Placement:
    """The placement. Errors: PlacementUnknown."""
    match states[placement_stream(placement_id)]:
        case Placement() as placement:
            return placement
        case _:
            raise PlacementUnknown("no such placement", field="placement_id", placement_id=placement_id)


def is_placed(seen: Seen, states: States) -> bool:
    """Whether the item is with an agency now."""
    return any(
        isinstance(placement := states[placement_stream(placement_id)], Placement)
        and placement.ended is None
        and placement.has(seen.item.item_id)
        for placement_id in seen.placements
    )


def day_after_placing(command: Dated, placement: Placement) -> date:
    """When something happens to the placement. Errors, in this order: DateOutOfRange, BeforePlacement."""
    on = command.day_at(placement.placed.branch)
    if on < placement.placed.effective_on:
        raise BeforePlacement(f"dated {on}, placed on {placement.placed.effective_on}")
    return on
