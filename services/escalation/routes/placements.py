"""Place items with an agency, take them back, close placements, report recoveries, and read them."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from events.escalation import Phase, PlacementOutcome, PlacementRecalled, RecallReason, RecoverySource
from services.escalation.domain.ending import ClosePlacement, RecallPlacement
from services.escalation.domain.placing import FEE_BP_MAX, PlaceWithAgency, Placing
from services.escalation.domain.recovery import ReportRecovery
from services.escalation.domain.state import Placement, placement_stream
from services.escalation.handlers import handle, look
from services.escalation.rim import ITEMS_MAX, Agency, now
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.rim import AmountText, CurrencyText, amount_text, money
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf, made_id

router = APIRouter(prefix="/placements", tags=["placements"])


class PlacementBody(Body):
    """The items' open balances are what is placed. `fee_bp` is the agency's share, `flat_fee` a price instead of it."""

    placement_id: UUID | None = None
    account_id: UUID
    agency: Agency
    phase: Phase
    item_ids: Annotated[list[UUID], Field(min_length=1, max_length=ITEMS_MAX)]
    fee_bp: Annotated[int, Field(ge=0, le=FEE_BP_MAX)] = 0
    flat_fee: AmountText | None = None
    currency: CurrencyText = "USD"
    placed_on: date | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "account_id": "5f1c3f0a-6a0e-4a57-9d0a-2d5a2f7c9b10",
                "agency": "Transworld",
                "phase": "contingency",
                "item_ids": ["3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11"],
                "fee_bp": 3500,
            }
        }
    )


class RecallBody(Body):
    reason: RecallReason
    recalled_on: date | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"reason": "disputed"}})


class ClosureBody(Body):
    outcome: PlacementOutcome
    closed_on: date | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"outcome": "uncollectable"}})


class RecoveryBody(Body):
    """`receipt_id` is the receipt that the agency's remittance became: it then does not count as paid to us."""

    recovery_id: UUID | None = None
    recovered_from: RecoverySource = "agency"
    gross: AmountText
    currency: CurrencyText
    receipt_id: UUID | None = None
    item_id: UUID | None = None
    reported_on: date | None = None

    model_config = ConfigDict(
        json_schema_extra={"example": {"recovered_from": "agency", "gross": "400.00", "currency": "USD"}}
    )


class PlacedItemView(BaseModel):
    item_id: UUID
    amount: str


class RecoveryView(BaseModel):
    recovery_id: UUID
    reported_on: date
    recovered_from: RecoverySource
    receipt_id: UUID | None
    item_id: UUID | None
    gross: str
    fee: str
    net: str


class PlacementView(BaseModel):
    placement_id: UUID
    branch: str
    account_id: UUID
    agency: str
    phase: Phase
    currency: str
    items: list[PlacedItemView]
    amount: str
    fee_bp: int
    flat_fee: str
    placed_on: date
    state: str
    ended_on: date | None
    recovered: str
    recoveries: list[RecoveryView]
    version: int


@router.post("", status_code=201, dependencies=[allow("placement.write")])
async def place_with_agency(body: PlacementBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Hand open items of an account to a collection agency. They stay open: it is no write-off."""
    placement_id = made_id(meta, body.placement_id)
    command = PlaceWithAgency(
        placement_id=placement_id,
        account_id=body.account_id,
        agency=body.agency,
        phase=body.phase,
        items=tuple(Placing(item_id=item_id) for item_id in body.item_ids),
        fee_bp=body.fee_bp,
        flat_fee=money(body.flat_fee, body.currency, "flat_fee") if body.flat_fee is not None else None,
        on=body.placed_on,
        now=now(),
    )
    return answer(response, await handle(store, meta, command), placement_id=placement_id)


@router.post("/{placement_id}/recall", dependencies=[allow("placement.write")])
async def recall_placement(
    placement_id: UUID, body: RecallBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Take the items back from the agency."""
    command = RecallPlacement(placement_id=placement_id, reason=body.reason, on=body.recalled_on, now=now())
    return answer(response, await handle(store, meta, command), placement_id=placement_id)


@router.post("/{placement_id}/closure", dependencies=[allow("placement.write")])
async def close_placement(
    placement_id: UUID, body: ClosureBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """The agency gave the items back, or finished with them."""
    command = ClosePlacement(placement_id=placement_id, outcome=body.outcome, on=body.closed_on, now=now())
    return answer(response, await handle(store, meta, command), placement_id=placement_id)


@router.post("/{placement_id}/recoveries", status_code=201, dependencies=[allow("placement.write")])
async def report_recovery(
    placement_id: UUID, body: RecoveryBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Report what came in on a placement. The agency's fee is its share of the gross amount, rounded half to even."""
    recovery_id = made_id(meta, body.recovery_id)
    command = ReportRecovery(
        recovery_id=recovery_id,
        placement_id=placement_id,
        recovered_from=body.recovered_from,
        gross=money(body.gross, body.currency, "gross"),
        receipt_id=body.receipt_id,
        item_id=body.item_id,
        on=body.reported_on,
        now=now(),
    )
    return answer(response, await handle(store, meta, command), placement_id=placement_id, recovery_id=recovery_id)


@router.get("/{placement_id}", dependencies=[allow("report.read")])
async def read_placement(placement_id: UUID, caller: CallerOf, store: StoreOf, response: Response) -> PlacementView:
    """A placement with its items and what came in on them."""
    loaded = await look(store, caller.branches, placement_stream(placement_id))
    assert isinstance(loaded.state, Placement), "another thing in a placement's stream"
    response.headers["ETag"] = f'"{loaded.version}"'
    return _view(loaded.state, loaded.version)


def _view(placement: Placement, version: int) -> PlacementView:
    placed, ended = placement.placed, placement.ended
    state = "placed" if ended is None else "recalled" if isinstance(ended, PlacementRecalled) else "closed"
    return PlacementView(
        placement_id=placed.placement_id,
        branch=placed.branch,
        account_id=placed.account_id,
        agency=placed.agency,
        phase=placed.phase,
        currency=placed.amount.currency,
        items=[PlacedItemView(item_id=item.item_id, amount=amount_text(item.amount)) for item in placed.items],
        amount=amount_text(placed.amount),
        fee_bp=placed.fee_bp,
        flat_fee=amount_text(placed.flat_fee),
        placed_on=placed.effective_on,
        state=state,
        ended_on=ended.effective_on if ended is not None else None,
        recovered=amount_text(placement.recovered),
        recoveries=[
            RecoveryView(
                recovery_id=recovery.recovery_id,
                reported_on=recovery.effective_on,
                recovered_from=recovery.recovered_from,
                receipt_id=recovery.receipt_id,
                item_id=recovery.item_id,
                gross=amount_text(recovery.gross),
                fee=amount_text(recovery.fee),
                net=amount_text(recovery.net),
            )
            for recovery in placement.recoveries
        ],
        version=version,
    )
