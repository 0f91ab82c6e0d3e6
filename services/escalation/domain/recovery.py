"""Recoveries: money on placed items, with what the agency earns of it. Gross, fee and net are kept apart.

Money comes from the agency, which reports it, or to us directly, which the payment service's facts tell; the agency
earns its share of both. A receipt counts once: the agency's own remittance is no direct payment.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import ClassVar, Final
from uuid import UUID, uuid5

import msgspec

from events.envelope import Fact
from events.escalation import RecoveryReported, RecoverySource
from events.money import Money
from services.escalation.domain.day import Dated
from services.escalation.domain.placed import day_after_placing, placement_of
from services.escalation.domain.state import Placement, States, delinquency_stream, placement_stream
from services.kernel.errors import Kind, Refused

_BP: Final = Decimal(10_000)  # Basis points in the whole.


class RecoveryNotPositive(Refused):
    """A recovery is money that came in: it is above zero."""

    code = "recovery_not_positive"
    kind: ClassVar[Kind] = Kind.INVALID


class RecoveryDiffers(Refused):
    """The recovery is on record with other values."""

    code = "recovery_changed"


class CurrencyNotPlacements(Refused):
    """The amount is not in the placement's currency."""

    code = "placement_currency_differs"
    kind: ClassVar[Kind] = Kind.INVALID


class ReportRecovery(Dated, frozen=True, kw_only=True):
    """`receipt_id` is the receipt that the agency's remittance became, where that is known."""

    recovery_id: UUID
    placement_id: UUID
    recovered_from: RecoverySource
    gross: Money
    receipt_id: UUID | None = None
    item_id: UUID | None = None

    @property
    def stream(self) -> str:
        return placement_stream(self.placement_id)


class CountPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt's money was applied to an item, or taken off it again (`change` below zero), says the payment service.

    `on` is when, `received_on` the receipt's deposit date: the agency earns on what came in while it had the item.
    `placements` have or had the item; where money was applied, only those on record before it.
    """

    event_id: UUID
    receipt_id: UUID
    item_id: UUID
    change: Money
    on: date
    recorded_at: datetime
    received_on: date | None = None
    placements: tuple[UUID, ...] = ()

    @property
    def stream(self) -> str:
        return delinquency_stream(self.item_id)


def report(command: ReportRecovery, states: States) -> list[Fact]:
    """Put a recovery on record, also of a placement that has ended: an agency's last remittance comes late.

    Errors   in this order: PlacementUnknown, RecoveryDiffers (only where it is on record), CurrencyNotPlacements,
             RecoveryNotPositive, DateOutOfRange, BeforePlacement.
    Holds    a receipt that the agency remitted does not count as a direct payment any more.
    """
    placement = placement_of(command.placement_id, states)
    before = next((r for r in placement.recoveries if r.recovery_id == command.recovery_id), None)
    if before is not None:
        if not _same(command, before):
            raise RecoveryDiffers("the recovery is on record with other values", recovery=before)
        return []
    if command.gross.currency != placement.placed.amount.currency:
        raise CurrencyNotPlacements(f"the placement's currency is {placement.placed.amount.currency}", field="currency")
    if command.gross.minor <= 0:
        raise RecoveryNotPositive("the gross amount must be above zero", field="gross")
    on = day_after_placing(command, placement)
    facts: list[Fact] = []
    if command.recovered_from == "agency" and command.receipt_id is not None:
        facts = _take_back(command.recovery_id, command.receipt_id, placement, on)
    recovered = facts[-1].recovered if facts and isinstance(facts[-1], RecoveryReported) else placement.recovered
    fact = _reported(
        placement,
        recovered,
        on=on,
        recovery_id=command.recovery_id,
        source=command.recovered_from,
        receipt_id=command.receipt_id,
        item_id=command.item_id,
        gross=command.gross,
        fee=fee_of(command.gross, placement.placed.fee_bp),
    )
    return [*facts, fact]


def count(command: CountPayment, states: States) -> dict[str, list[Fact]]:
    """Count a payment to us towards the placement that has the item, or take it out again. Never refuses.

    Shapes   at most one fact on each placement; none for an item that is with no agency.
    Holds    the fee on a receipt's money for an item is that on what of it still counts, however often it was changed:
             it is rounded on the sum, so taking all back takes the whole fee back.
    """
    counted: dict[str, list[Fact]] = {}
    left = command.change.minor
    for placement_id in command.placements:
        placement = states[placement_stream(placement_id)]
        recovery_id = uuid5(command.event_id, f"{placement_id} {command.item_id}")
        if not isinstance(placement, Placement) or any(r.recovery_id == recovery_id for r in placement.recoveries):
            continue
        before = placement.counted(command.receipt_id, command.item_id)
        change = _share(left, placement, before, command)
        if change == 0:
            continue
        left -= change
        gross, after = Money(change, before.currency), Money(before.minor + change, before.currency)
        fact = _reported(
            placement,
            placement.recovered,
            on=command.on,
            recovery_id=recovery_id,
            source="direct",
            receipt_id=command.receipt_id,
            item_id=command.item_id,
            gross=gross,
            fee=fee_of(after, placement.placed.fee_bp) - fee_of(before, placement.placed.fee_bp),
        )
        counted[placement_stream(placement_id)] = [fact]
    return counted


def count_needs(command: CountPayment) -> list[str]:
    return [placement_stream(placement_id) for placement_id in command.placements]


def fee_of(gross: Money, fee_bp: int) -> Money:
    """The agency's share, rounded half to even, as banks do: over many recoveries neither side gains."""
    share = (Decimal(gross.minor) * fee_bp / _BP).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    return Money(int(share), gross.currency)


def _share(left: int, placement: Placement, before: Money, command: CountPayment) -> int:
    """What of a change concerns this placement."""
    if command.change.currency != before.currency or not placement.has(command.item_id):
        return 0
    if left < 0:
        return -min(-left, max(0, before.minor))
    ended_on = placement.ended.effective_on if placement.ended is not None else None
    received_on = command.received_on or command.on
    while_placed = placement.placed.effective_on <= received_on and (ended_on is None or received_on <= ended_on)
    return left if while_placed and not placement.remitted(command.receipt_id) else 0


def _take_back(recovery_id: UUID, receipt_id: UUID, placement: Placement, on: date) -> list[Fact]:
    """What was counted of the receipt before we knew that it was the agency's own remittance."""
    recovered, facts = placement.recovered, list[Fact]()
    for item_id in sorted({r.item_id for r in placement.recoveries if r.receipt_id == receipt_id and r.item_id}):
        counted = placement.counted(receipt_id, item_id)
        if counted.minor:
            fact = _reported(
                placement,
                recovered,
                on=on,
                recovery_id=uuid5(recovery_id, f"not direct {item_id}"),
                source="direct",
                receipt_id=receipt_id,
                item_id=item_id,
                gross=-counted,
                fee=-fee_of(counted, placement.placed.fee_bp),
            )
            recovered = fact.recovered
            facts.append(fact)
    return facts


def _reported(
    placement: Placement,
    recovered: Money,
    *,
    on: date,
    recovery_id: UUID,
    source: RecoverySource,
    receipt_id: UUID | None,
    item_id: UUID | None,
    gross: Money,
    fee: Money,
) -> RecoveryReported:
    placed = placement.placed
    return RecoveryReported(
        branch=placed.branch,
        effective_on=on,
        placement_id=placed.placement_id,
        account_id=placed.account_id,
        agency=placed.agency,
        phase=placed.phase,
        recovered=recovered + gross,
        recovery_id=recovery_id,
        recovered_from=source,
        receipt_id=receipt_id,
        item_id=item_id,
        gross=gross,
        fee=fee,
        net=gross - fee,
    )


def _same(command: ReportRecovery, before: RecoveryReported) -> bool:
    return (
        (command.recovered_from, command.gross) == (before.recovered_from, before.gross)
        and (command.receipt_id, command.item_id) == (before.receipt_id, before.item_id)
        and command.on in (None, before.effective_on)
    )
