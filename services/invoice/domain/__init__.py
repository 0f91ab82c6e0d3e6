"""The rules of the invoice service: which facts follow from a command, or why none may. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from events.envelope import Fact
from services.invoice.domain import account, branch, credit_note, invoice, job, retainage
from services.invoice.domain.account import ChangeAccount, OpenAccount
from services.invoice.domain.branch import RegisterBranch
from services.invoice.domain.claim import undecided
from services.invoice.domain.credit_note import CreditInvoice
from services.invoice.domain.invoice import IssueInvoice, VoidInvoice
from services.invoice.domain.job import OpenJob
from services.invoice.domain.retainage import ReleaseRetainage
from services.invoice.domain.state import ABSENT, State, States, account_stream, branch_stream, evolve
from services.kernel.commands import Domain

Command: TypeAlias = (
    RegisterBranch
    | OpenAccount
    | ChangeAccount
    | OpenJob
    | IssueInvoice
    | VoidInvoice
    | CreditInvoice
    | ReleaseRetainage
)


def subject(command: Command) -> str:
    """The stream the command is about. A credit note and a release are their invoice's."""
    return command.stream


def needs(command: Command, states: States) -> Sequence[str]:
    """The streams that must be seen to decide."""
    match command:
        case IssueInvoice():  # First, here and below: nearly all that imports are made of.
            return invoice.issue_needs(command)
        case RegisterBranch():
            return [command.stream]
        case OpenAccount():
            return [command.stream, branch_stream(command.branch), *undecided(command.holders)]
        case ChangeAccount():
            return account.change_needs(command, states)
        case OpenJob():
            return [command.stream, branch_stream(command.branch), account_stream(command.account_id)]
        case VoidInvoice():
            return invoice.change_needs(command.invoice_id, states)
        case CreditInvoice():
            return [*invoice.change_needs(command.invoice_id, states), *undecided(command.holders)]
        case ReleaseRetainage():
            return retainage.release_needs(command, states)


def decide(command: Command, states: States) -> dict[str, Sequence[Fact]]:
    """Choose the facts that follow from `command`, or refuse.

    Shapes   at most one fact, on the command's own stream; none when all is on record already.
    Errors   as each noun's function lists them.
    """
    return {command.stream: _decide(command, states)}


def _decide(command: Command, states: States) -> list[Fact]:
    match command:
        case IssueInvoice():
            return invoice.issue(command, states)
        case RegisterBranch():
            return branch.register(command, states)
        case OpenAccount():
            return account.open_(command, states)
        case ChangeAccount():
            return account.change(command, states)
        case OpenJob():
            return job.open_(command, states)
        case VoidInvoice():
            return invoice.void(command, states)
        case CreditInvoice():
            return credit_note.credit(command, states)
        case ReleaseRetainage():
            return retainage.release(command, states)


RULES: Final[Domain[Command, State]] = Domain(
    initial=ABSENT, subject=subject, needs=needs, decide=decide, evolve=evolve
)
