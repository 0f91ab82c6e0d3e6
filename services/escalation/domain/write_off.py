"""Write-offs: one asks to give up part of an item, another agrees. Payment then closes what is still open."""

from __future__ import annotations

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from events.envelope import Fact
from events.escalation import (
    WriteOffApproved,
    WriteOffReason,
    WriteOffRejected,
    WriteOffRequested,
    WriteOffReversed,
)
from events.money import Money
from services.escalation.domain.day import Dated
from services.escalation.domain.seen import Seen, check_account, check_branch, check_currency, check_open, seen_item
from services.escalation.domain.state import Absent, States, WriteOff, write_off_stream
from services.kernel.errors import Kind, Refused

Because = Literal["collectable", "insufficient_evidence", "wrong_amount", "other"]


class WriteOffUnknown(Refused):
    """Nobody requested that write-off, or the caller may not see it."""

    code = "write_off_not_requested"
    kind: ClassVar[Kind] = Kind.UNKNOWN


class WriteOffDiffers(Refused):
    """The write-off is on record with other values."""

    code = "write_off_changed"


class WriteOffNotPositive(Refused):
    """A write-off gives something up: it is above zero."""

    code = "write_off_not_positive"
    kind: ClassVar[Kind] = Kind.INVALID


class WriteOffAboveOpen(Refused):
    """More than is open on the item."""

    code = "write_off_above_open"


class WriteOffSamePerson(Refused):
    """Who requested a write-off may not approve it."""

    code = "write_off_same_person"
    kind: ClassVar[Kind] = Kind.FORBIDDEN


class WriteOffDecided(Refused):
    """Somebody has decided about the write-off already."""

    code = "write_off_already_decided"


class WriteOffNotApproved(Refused):
    """Only an approved write-off can be reversed, and once."""

    code = "write_off_not_approved"


class BeforeRequest(Refused):
    """It is dated before the request."""

    code = "before_request_date"
    kind: ClassVar[Kind] = Kind.INVALID


class RequestWriteOff(Dated, frozen=True, kw_only=True):
    """`amount` is all that is open where it is left out. `account_id` and `branch` are checked where they are given.

    `approved_by` and `approved_on` put an approval of the past on record with the request.
    """

    write_off_id: UUID
    item_id: UUID
    account_id: UUID | None = None
    branch: str | None = None
    amount: Money | None = None
    reason: WriteOffReason
    requested_by: str
    approved_by: str | None = None
    approved_on: date | None = None
    seen: Seen | None = None

    @property
    def stream(self) -> str:
        return write_off_stream(self.write_off_id)


class ApproveWriteOff(Dated, frozen=True, kw_only=True):
    write_off_id: UUID
    approved_by: str

    @property
    def stream(self) -> str:
        return write_off_stream(self.write_off_id)


class RejectWriteOff(Dated, frozen=True, kw_only=True):
    write_off_id: UUID
    rejected_by: str
    because: Because

    @property
    def stream(self) -> str:
        return write_off_stream(self.write_off_id)


class ReverseWriteOff(Dated, frozen=True, kw_only=True):
    write_off_id: UUID
    reversed_by: str

    @property
    def stream(self) -> str:
        return write_off_stream(self.write_off_id)


def request(command: RequestWriteOff, states: States) -> list[Fact]:
    """Request a write-off, and approve it where the approval is one of the past.

    Errors   in this order: WriteOffDiffers (only where it is on record), ItemNotKnown, NotTheAccounts, NotTheBranchs,
             ItemClosed, CurrencyNotItems, WriteOffNotPositive, WriteOffAboveOpen, DateOutOfRange; then those of
             `approve` where an approval is given.
    """
    match states[command.stream]:
        case WriteOff(requested=before) as write_off:
            if not _same(command, before):
                raise WriteOffDiffers("the write-off is on record with other values", requested=before)
            return _approval(command, write_off)
        case Absent():
            pass
        case _:
            raise AssertionError("no write-off in a write-off's stream")
    seen = seen_item(command.item_id, [command.seen] if command.seen else [])
    if command.account_id is not None:
        check_account(command.account_id, seen)
    if command.branch is not None:
        check_branch(command.branch, seen)
    check_open(seen)
    amount = command.amount if command.amount is not None else seen.open
    check_currency(amount, seen)
    if amount.minor <= 0:
        raise WriteOffNotPositive("the amount must be above zero", field="amount")
    if amount.minor > seen.open.minor:
        raise WriteOffAboveOpen(f"{seen.open} is open", field="amount", open=seen.open)
    fact = WriteOffRequested(
        branch=seen.item.branch,
        effective_on=command.day_at(seen.item.branch),
        write_off_id=command.write_off_id,
        account_id=seen.item.account_id,
        item_id=command.item_id,
        amount=amount,
        reason=command.reason,
        requested_by=command.requested_by,
    )
    return [fact, *_approval(command, WriteOff(fact))]


def approve(command: ApproveWriteOff, states: States) -> list[Fact]:
    """Agree. Errors, in this order: WriteOffUnknown, WriteOffSamePerson, WriteOffDecided, DateOutOfRange,
    BeforeRequest.
    """
    write_off = write_off_of(command.write_off_id, states)
    return _approved(write_off, command)


def reject(command: RejectWriteOff, states: States) -> list[Fact]:
    """Turn it down; who requested it may. Errors, in this order: WriteOffUnknown, WriteOffDecided, DateOutOfRange,
    BeforeRequest.
    """
    write_off = write_off_of(command.write_off_id, states)
    before = write_off.rejected
    if (
        before is not None
        and (before.rejected_by, before.because) == (command.rejected_by, command.because)
        and command.on in (None, before.effective_on)
    ):
        return []
    if before is not None or write_off.approved is not None:
        raise WriteOffDecided("somebody has decided already")
    requested = write_off.requested
    return [
        WriteOffRejected(
            branch=requested.branch,
            effective_on=_day(command, requested),
            write_off_id=command.write_off_id,
            account_id=requested.account_id,
            item_id=requested.item_id,
            amount=requested.amount,
            rejected_by=command.rejected_by,
            because=command.because,
        )
    ]


def reverse(command: ReverseWriteOff, states: States) -> list[Fact]:
    """Take an approved write-off back. Errors, in this order: WriteOffUnknown, WriteOffNotApproved, DateOutOfRange,
    BeforeRequest.
    """
    write_off = write_off_of(command.write_off_id, states)
    before = write_off.reversed
    if before is not None and before.reversed_by == command.reversed_by and command.on in (None, before.effective_on):
        return []
    if write_off.approved is None or before is not None:
        raise WriteOffNotApproved("only an approved write-off can be reversed, and once")
    approved = write_off.approved
    return [
        WriteOffReversed(
            branch=approved.branch,
            effective_on=_day(command, approved),
            write_off_id=command.write_off_id,
            account_id=approved.account_id,
            item_id=approved.item_id,
            amount=approved.amount,
            reversed_by=command.reversed_by,
        )
    ]


def write_off_of(write_off_id: UUID, states: States) -> WriteOff:
    """The write-off. Errors: WriteOffUnknown."""
    match states[write_off_stream(write_off_id)]:
        case WriteOff() as write_off:
            return write_off
        case _:
            raise WriteOffUnknown("nobody requested that write-off", field="write_off_id", write_off_id=write_off_id)


def _approval(command: RequestWriteOff, write_off: WriteOff) -> list[Fact]:
    """The approval that an imported request brings with it."""
    if command.approved_by is None:
        return []
    approval = ApproveWriteOff(
        write_off_id=command.write_off_id,
        approved_by=command.approved_by,
        on=command.approved_on or command.on,
        now=command.now,
        zones=command.zones,
    )
    return _approved(write_off, approval)


def _approved(write_off: WriteOff, command: ApproveWriteOff) -> list[Fact]:
    requested, before = write_off.requested, write_off.approved
    if command.approved_by == requested.requested_by:
        raise WriteOffSamePerson("somebody else must approve it", requested_by=requested.requested_by)
    if before is not None and before.approved_by == command.approved_by and command.on in (None, before.effective_on):
        return []
    if before is not None or write_off.rejected is not None:
        raise WriteOffDecided("somebody has decided already")
    return [
        WriteOffApproved(
            branch=requested.branch,
            effective_on=_day(command, requested),
            write_off_id=requested.write_off_id,
            account_id=requested.account_id,
            item_id=requested.item_id,
            amount=requested.amount,
            reason=requested.reason,
            requested_by=requested.requested_by,
            approved_by=command.approved_by,
        )
    ]


def _day(command: Dated, after: WriteOffRequested | WriteOffApproved) -> date:
    """When a decision is true. Errors, in this order: DateOutOfRange, BeforeRequest."""
    on = command.day_at(after.branch)
    if on < after.effective_on:
        raise BeforeRequest(f"dated {on}, before {after.effective_on}", field="on")
    return on


def _same(command: RequestWriteOff, before: WriteOffRequested) -> bool:
    """Whether the command says what is on record. An amount it leaves to what is open says nothing: that moves."""
    return (
        (command.item_id, command.reason, command.requested_by) == (before.item_id, before.reason, before.requested_by)
        and command.account_id in (None, before.account_id)
        and command.branch in (None, before.branch)
        and command.amount in (None, before.amount)
        and command.on in (None, before.effective_on)
    )
