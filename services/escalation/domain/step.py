"""Delinquency steps: how far an item got in its branch's dunning policy. Up by one, never back, never twice."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from events.envelope import Fact
from events.escalation import StepAdvanced
from services.escalation.domain.day import Dated
from services.escalation.domain.placed import is_placed
from services.escalation.domain.seen import ItemPlaced, ItemPromised, Seen, check_open, seen_item
from services.escalation.domain.state import Absent, Delinquency, State, States, delinquency_stream, placement_stream
from services.kernel.errors import Kind, Refused


class StepOutOfOrder(Refused):
    """Steps go up by one."""

    code = "step_out_of_order"


class StepBeyondPolicy(Refused):
    """The branch's dunning policy ends before that step."""

    code = "step_beyond_policy"


class StepNotPositive(Refused):
    """Steps count from one."""

    code = "step_not_positive"
    kind: ClassVar[Kind] = Kind.INVALID


class AdvanceStep(Dated, frozen=True, kw_only=True):
    """`step` is the one to reach; the next where it is left out.

    `labels` are the steps of the branch's policy, the first being step 1.
    """

    item_id: UUID
    step: int | None = None
    labels: tuple[str, ...] = ()
    seen: Seen | None = None

    @property
    def stream(self) -> str:
        return delinquency_stream(self.item_id)


def step_needs(command: AdvanceStep) -> list[str]:
    placements = command.seen.placements if command.seen is not None else ()
    return [command.stream, *(placement_stream(placement_id) for placement_id in placements)]


def advance(command: AdvanceStep, states: States) -> list[Fact]:
    """Reach the next step.

    Errors   in this order: StepNotPositive, ItemNotKnown, StepOutOfOrder, StepBeyondPolicy, ItemClosed, ItemPlaced,
             ItemPromised, DateOutOfRange.
    Holds    the steps of an item are 1, 2, 3 … without a repeat or a gap.
    """
    if command.step is not None and command.step < 1:
        raise StepNotPositive("steps count from 1", field="step")
    seen = seen_item(command.item_id, [command.seen] if command.seen else [])
    last = _last(states[command.stream])
    if command.step is not None and command.step == last:
        return []  # Reached already: a step is a level, not a letter, and said twice it is the same.
    step = last + 1 if command.step is None else command.step
    if step != last + 1:
        raise StepOutOfOrder(f"the item is at step {last}", field="step", at=last)
    if step > len(command.labels):
        raise StepBeyondPolicy(f"the policy has {len(command.labels)} steps", field="step", steps=len(command.labels))
    check_open(seen)
    if is_placed(seen, states):
        raise ItemPlaced("the item is with an agency", field="item_id")
    if seen.promised:
        raise ItemPromised("a promise to pay the item is still good", field="item_id")
    return [
        StepAdvanced(
            branch=seen.item.branch,
            effective_on=command.day_at(seen.item.branch),
            item_id=command.item_id,
            account_id=seen.item.account_id,
            step=step,
            label=command.labels[step - 1],
        )
    ]


def _last(state: State) -> int:
    match state:
        case Delinquency(last=last):
            return last.step
        case Absent():
            return 0
        case _:
            raise AssertionError("no delinquency in an item's stream")
