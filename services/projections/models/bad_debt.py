"""Placements with agencies, what they recovered, and write-offs from request to reversal."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID

from events.escalation import (
    PlacedWithAgency,
    PlacementClosed,
    PlacementRecalled,
    RecoveryReported,
    WriteOffApproved,
    WriteOffRejected,
    WriteOffRequested,
    WriteOffReversed,
)
from events.payment import ItemChanged
from services.kernel.delivery import Known
from services.projections.deltas import Deltas, Model
from services.projections.models.movement import WRITTEN_OFF
from services.projections.table import Row, Table


class PlacementRow(Row):
    placement_id: UUID
    branch: str | None = None
    account_id: UUID | None = None
    agency: str | None = None
    phase: str | None = None
    currency: str | None = None
    amount_minor: int = 0
    fee_bp: int | None = None
    flat_fee_minor: int = 0
    recovered_minor: int = 0
    fee_minor: int = 0
    net_minor: int = 0
    status: str | None = None
    reason: str | None = None
    placed_on: date | None = None
    ended_on: date | None = None


class PlacementItemRow(Row):
    item_id: UUID
    placement_id: UUID
    branch: str
    currency: str
    amount_minor: int


class RecoveryRow(Row):
    stream: str
    stream_version: int
    recovery_id: UUID
    placement_id: UUID
    branch: str
    account_id: UUID
    agency: str
    phase: str
    recovered_from: str
    receipt_id: UUID | None
    currency: str
    gross_minor: int
    fee_minor: int
    net_minor: int
    effective_on: date
    recorded_at: datetime


class WriteOffRow(Row):
    write_off_id: UUID
    branch: str | None = None
    account_id: UUID | None = None
    item_id: UUID | None = None
    currency: str | None = None
    requested_minor: int = 0
    written_minor: int = 0
    reversed_minor: int = 0
    reason: str | None = None
    status: str | None = None
    requested_by: str | None = None
    decided_by: str | None = None
    reversed_by: str | None = None
    requested_on: date | None = None
    decided_on: date | None = None
    reversed_on: date | None = None


PLACEMENT: Final = Table("placement", PlacementRow, ["placement_id"])
PLACEMENT_ITEM: Final = Table("placement_item", PlacementItemRow)
RECOVERY: Final = Table("recovery", RecoveryRow)
WRITE_OFF: Final = Table("write_off", WriteOffRow, ["write_off_id"])


def _placed(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PlacedWithAgency)
    row = out.at(PLACEMENT, fact.placement_id)
    row.branch, row.account_id, row.agency, row.phase = fact.branch, fact.account_id, fact.agency, fact.phase
    row.currency, row.fee_bp = fact.amount.currency, fact.fee_bp
    row.amount_minor += fact.amount.minor
    row.flat_fee_minor += fact.flat_fee.minor
    row.status, row.placed_on = "placed", fact.effective_on
    for item in fact.items:
        out.add(
            PLACEMENT_ITEM,
            PlacementItemRow(item.item_id, fact.placement_id, fact.branch, item.amount.currency, item.amount.minor),
        )


def _recovered(out: Deltas, known: Known) -> None:
    fact, envelope = known.fact, known.envelope
    assert isinstance(fact, RecoveryReported)
    row = out.at(PLACEMENT, fact.placement_id)
    row.branch = fact.branch
    row.recovered_minor += fact.gross.minor
    row.fee_minor += fact.fee.minor
    row.net_minor += fact.net.minor
    out.add(
        RECOVERY,
        RecoveryRow(
            envelope.stream,
            envelope.stream_version,
            fact.recovery_id,
            fact.placement_id,
            fact.branch,
            fact.account_id,
            fact.agency,
            fact.phase,
            fact.recovered_from,
            fact.receipt_id,
            fact.gross.currency,
            fact.gross.minor,
            fact.fee.minor,
            fact.net.minor,
            fact.effective_on,
            envelope.recorded_at,
        ),
    )


def _ended(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PlacementRecalled | PlacementClosed)
    row = out.at(PLACEMENT, fact.placement_id)
    row.branch, row.ended_on = fact.branch, fact.effective_on
    if isinstance(fact, PlacementRecalled):
        row.status, row.reason = "recalled", fact.reason
    else:
        row.status, row.reason = "closed", fact.outcome


def _write_off(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, WriteOffRequested | WriteOffApproved | WriteOffRejected | WriteOffReversed)
    row = out.at(WRITE_OFF, fact.write_off_id)
    row.branch, row.account_id, row.item_id = fact.branch, fact.account_id, fact.item_id
    row.currency = fact.amount.currency
    match fact:
        case WriteOffRequested():
            row.status, row.reason, row.requested_by = "requested", fact.reason, fact.requested_by
            row.requested_minor += fact.amount.minor
            row.requested_on = fact.effective_on
        case WriteOffApproved():
            row.status, row.decided_by, row.decided_on = "approved", fact.approved_by, fact.effective_on
        case WriteOffRejected():
            row.status, row.decided_by, row.decided_on = "rejected", fact.rejected_by, fact.effective_on
        case WriteOffReversed():
            row.status, row.reversed_by, row.reversed_on = "reversed", fact.reversed_by, fact.effective_on


def _closed(out: Deltas, known: Known) -> None:
    """What the payment service really closed, or opened again: at most what was open."""
    fact = known.fact
    assert isinstance(fact, ItemChanged)
    if fact.cause not in WRITTEN_OFF:
        return
    row = out.at(WRITE_OFF, fact.caused_by)
    row.branch = row.branch or fact.item.branch
    if fact.cause == "written_off":
        row.written_minor -= fact.change.minor
    else:
        row.reversed_minor += fact.change.minor


BAD_DEBT: Final = Model(
    "bad_debt",
    (PLACEMENT, PLACEMENT_ITEM, RECOVERY, WRITE_OFF),
    {
        PlacedWithAgency: _placed,
        RecoveryReported: _recovered,
        PlacementRecalled: _ended,
        PlacementClosed: _ended,
        WriteOffRequested: _write_off,
        WriteOffApproved: _write_off,
        WriteOffRejected: _write_off,
        WriteOffReversed: _write_off,
        ItemChanged: _closed,
    },
)
