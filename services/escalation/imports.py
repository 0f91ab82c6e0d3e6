"""Rows of imports, and the command of each: what was placed, recovered and written off before we knew of it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from events.envelope import Branch
from events.escalation import Phase, RecoverySource, WriteOffReason
from events.money import Currency
from services.escalation.domain.placing import FEE_BP_MAX, PlaceWithAgency, Placing
from services.escalation.domain.recovery import ReportRecovery
from services.escalation.domain.write_off import RequestWriteOff
from services.escalation.handlers import DOMAIN
from services.escalation.rim import RowAgency, RowPerson, now
from services.kernel.bulk import BulkKind
from services.kernel.rim import money


class PlacementRow(msgspec.Struct, frozen=True, kw_only=True):
    """`amount` is the balance the item was placed with."""

    placement_id: UUID
    branch: Branch
    account_id: UUID
    agency: RowAgency
    phase: Phase
    item_id: UUID
    amount: str
    currency: Currency
    fee_bp: Annotated[int, msgspec.Meta(ge=0, le=FEE_BP_MAX)] = 0
    flat_fee: str = "0"
    placed_on: date


class RecoveryRow(msgspec.Struct, frozen=True, kw_only=True):
    recovery_id: UUID
    placement_id: UUID
    recovered_from: RecoverySource = "agency"
    gross: str
    currency: Currency
    receipt_id: UUID | None = None
    item_id: UUID | None = None
    reported_on: date


class WriteOffRow(msgspec.Struct, frozen=True, kw_only=True):
    """Without `approved_by` it is a request that waits for somebody's approval."""

    write_off_id: UUID
    branch: Branch
    account_id: UUID
    item_id: UUID
    amount: str
    currency: Currency
    reason: WriteOffReason = "uncollectable"
    requested_by: RowPerson
    requested_on: date
    approved_by: RowPerson | None = None
    approved_on: date | None = None


def place(row: PlacementRow, _actor: str) -> PlaceWithAgency:
    return PlaceWithAgency(
        placement_id=row.placement_id,
        account_id=row.account_id,
        branch=row.branch,
        agency=row.agency,
        phase=row.phase,
        items=(Placing(item_id=row.item_id, amount=money(row.amount, row.currency)),),
        fee_bp=row.fee_bp,
        flat_fee=money(row.flat_fee, row.currency, "flat_fee"),
        historic=True,
        on=row.placed_on,
        now=now(),
    )


def report(row: RecoveryRow, _actor: str) -> ReportRecovery:
    return ReportRecovery(
        recovery_id=row.recovery_id,
        placement_id=row.placement_id,
        recovered_from=row.recovered_from,
        gross=money(row.gross, row.currency, "gross"),
        receipt_id=row.receipt_id,
        item_id=row.item_id,
        on=row.reported_on,
        now=now(),
    )


def write_off(row: WriteOffRow, _actor: str) -> RequestWriteOff:
    return RequestWriteOff(
        write_off_id=row.write_off_id,
        item_id=row.item_id,
        account_id=row.account_id,
        branch=row.branch,
        amount=money(row.amount, row.currency),
        reason=row.reason,
        requested_by=row.requested_by,
        approved_by=row.approved_by,
        approved_on=row.approved_on,
        on=row.requested_on,
        now=now(),
    )


KINDS: Final[list[BulkKind[Any, Any]]] = [
    BulkKind("placements", PlacementRow, place, DOMAIN),
    BulkKind("recoveries", RecoveryRow, report, DOMAIN),
    BulkKind("write-offs", WriteOffRow, write_off, DOMAIN),
]
