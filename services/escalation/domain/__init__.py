"""The rules of the escalation service: which facts follow from a command, or why none may. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from events.envelope import Fact
from services.escalation.domain import ending, hold, placing, recovery, step, write_off
from services.escalation.domain.ending import ClosePlacement, RecallPlacement
from services.escalation.domain.hold import PlaceHold, ReleaseHold
from services.escalation.domain.placing import PlaceWithAgency
from services.escalation.domain.recovery import CountPayment, ReportRecovery
from services.escalation.domain.state import ABSENT, State, States, evolve
from services.escalation.domain.step import AdvanceStep
from services.escalation.domain.write_off import ApproveWriteOff, RejectWriteOff, RequestWriteOff, ReverseWriteOff
from services.kernel.commands import Domain

Command: TypeAlias = (
    AdvanceStep
    | PlaceHold
    | ReleaseHold
    | PlaceWithAgency
    | RecallPlacement
    | ClosePlacement
    | ReportRecovery
    | CountPayment
    | RequestWriteOff
    | ApproveWriteOff
    | RejectWriteOff
    | ReverseWriteOff
)


def subject(command: Command) -> str:
    """The stream the command is about."""
    return command.stream


def needs(command: Command, _states: States) -> Sequence[str]:
    """The streams that must be seen to decide."""
    match command:
        case AdvanceStep():
            return step.step_needs(command)
        case PlaceWithAgency():
            return placing.placing_needs(command)
        case CountPayment():
            return recovery.count_needs(command)
        case _:
            return [command.stream]


def decide(command: Command, states: States) -> dict[str, list[Fact]]:
    """Choose the facts that follow from `command`, or refuse.

    Shapes   facts on the command's own stream, in order; none when all is on record already. A payment counts on the
             streams of placements instead.
    Errors   as each noun's function lists them.
    """
    if isinstance(command, CountPayment):
        return recovery.count(command, states)
    return {command.stream: _decide(command, states)}


def _decide(
    command: AdvanceStep
    | PlaceHold
    | ReleaseHold
    | PlaceWithAgency
    | RecallPlacement
    | ClosePlacement
    | ReportRecovery
    | RequestWriteOff
    | ApproveWriteOff
    | RejectWriteOff
    | ReverseWriteOff,
    states: States,
) -> list[Fact]:
    match command:
        case AdvanceStep():
            return step.advance(command, states)
        case PlaceHold():
            return hold.place(command, states)
        case ReleaseHold():
            return hold.release(command, states)
        case PlaceWithAgency():
            return placing.place(command, states)
        case RecallPlacement():
            return ending.recall(command, states)
        case ClosePlacement():
            return ending.close(command, states)
        case ReportRecovery():
            return recovery.report(command, states)
        case RequestWriteOff():
            return write_off.request(command, states)
        case ApproveWriteOff():
            return write_off.approve(command, states)
        case RejectWriteOff():
            return write_off.reject(command, states)
        case ReverseWriteOff():
            return write_off.reverse(command, states)


RULES: Final[Domain[Command, State]] = Domain(
    initial=ABSENT, subject=subject, needs=needs, decide=decide, evolve=evolve
)
