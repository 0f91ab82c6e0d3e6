"""Facts of the escalation service: delinquency steps, account holds, agency placements and write-offs."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.money import Money
from events.registry import event

Phase = Literal["written_demand", "contingency"]  # Transworld's phase I and phase II.
RecoverySource = Literal["agency", "direct"]
PlacementOutcome = Literal["recovered", "settled", "uncollectable", "expired"]
RecallReason = Literal["paid", "disputed", "bankruptcy", "customer_service", "error", "other"]
HoldReason = Literal["past_due", "broken_promise", "credit_limit", "nsf", "placed", "bankruptcy", "other"]
WriteOffReason = Literal["uncollectable", "bankruptcy", "small_balance", "settlement", "deceased", "expired", "other"]


@event("escalation.step_advanced", version=1)
class StepAdvanced(Fact, frozen=True, kw_only=True):
    """An item reached the next step of its branch's dunning policy. Steps go up by one and are never repeated."""

    item_id: UUID
    account_id: UUID
    step: int
    label: str


@event("escalation.hold_placed", version=1)
class HoldPlaced(Fact, frozen=True, kw_only=True):
    """No further work or credit for the account until released."""

    account_id: UUID
    reason: HoldReason


@event("escalation.hold_released", version=1)
class HoldReleased(Fact, frozen=True, kw_only=True):
    """The hold ended; `released_by` answers for it."""

    account_id: UUID
    released_by: str


class PlacedItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An item in a placement and the balance it was placed with."""

    item_id: UUID
    amount: Money


@event("escalation.placed_with_agency", version=1)
class PlacedWithAgency(Fact, frozen=True, kw_only=True):
    """Items were handed to a collection agency. Not a write-off: they stay open.

    `fee_bp` is the agency's share of what is recovered, in basis points; 0 for flat-fee written demands, whose price
    is `flat_fee` per placement.
    """

    placement_id: UUID
    account_id: UUID
    agency: str
    phase: Phase
    items: tuple[PlacedItem, ...]
    amount: Money
    fee_bp: int
    flat_fee: Money


class _PlacementState(Fact, frozen=True, kw_only=True):
    placement_id: UUID
    account_id: UUID
    agency: str
    phase: Phase
    recovered: Money  # Gross, over the life of the placement.


@event("escalation.recovery_reported", version=1)
class RecoveryReported(_PlacementState, frozen=True, kw_only=True):
    """Money came in on placed items: from the agency, or paid to us directly, on which it still earns its fee.

    `net = gross - fee`; all are negative when a receipt that had counted was unapplied, or turns out to be the agency's
    remittance. `item_id` names the item that was paid, where the money is known to be for one.
    """

    recovery_id: UUID
    recovered_from: RecoverySource
    receipt_id: UUID | None = None
    item_id: UUID | None = None
    gross: Money
    fee: Money
    net: Money


@event("escalation.placement_recalled", version=1)
class PlacementRecalled(_PlacementState, frozen=True, kw_only=True):
    """We took the account back."""

    reason: RecallReason


@event("escalation.placement_closed", version=1)
class PlacementClosed(_PlacementState, frozen=True, kw_only=True):
    """The agency gave the account back, or finished with it."""

    outcome: PlacementOutcome


class _WriteOff(Fact, frozen=True, kw_only=True):
    write_off_id: UUID
    account_id: UUID
    item_id: UUID
    amount: Money


@event("escalation.write_off_requested", version=1)
class WriteOffRequested(_WriteOff, frozen=True, kw_only=True):
    """Somebody asks to give up `amount` of an item."""

    reason: WriteOffReason
    requested_by: str


@event("escalation.write_off_approved", version=1)
class WriteOffApproved(_WriteOff, frozen=True, kw_only=True):
    """Somebody else agreed. The payment service then closes what is still open, up to `amount`."""

    reason: WriteOffReason
    requested_by: str
    approved_by: str


@event("escalation.write_off_rejected", version=1)
class WriteOffRejected(_WriteOff, frozen=True, kw_only=True):
    """The request was turned down."""

    rejected_by: str
    because: Literal["collectable", "insufficient_evidence", "wrong_amount", "other"]


@event("escalation.write_off_reversed", version=1)
class WriteOffReversed(_WriteOff, frozen=True, kw_only=True):
    """An approved write-off was taken back: the item is open again."""

    reversed_by: str
