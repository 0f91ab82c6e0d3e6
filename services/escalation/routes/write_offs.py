"""Request, approve, reject, reverse and read write-offs."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from events.escalation import WriteOffReason
from services.escalation.domain.state import WriteOff, write_off_stream
from services.escalation.domain.write_off import (
    ApproveWriteOff,
    Because,
    RejectWriteOff,
    RequestWriteOff,
    ReverseWriteOff,
)
from services.escalation.handlers import handle, look
from services.escalation.rim import now
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.rim import AmountText, CurrencyText, amount_text, money
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf, made_id

router = APIRouter(prefix="/write-offs", tags=["write-offs"])


class WriteOffBody(Body):
    """All that is open is meant where `amount` is left out. The caller is who requests it."""

    write_off_id: UUID | None = None
    item_id: UUID
    amount: AmountText | None = None
    currency: CurrencyText = "USD"
    reason: WriteOffReason
    requested_on: date | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "item_id": "3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11",
                "amount": "19.80",
                "currency": "USD",
                "reason": "small_balance",
            }
        }
    )


class ApprovalBody(Body):
    approved_on: date | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"approved_on": "2026-03-02"}})


class RejectionBody(Body):
    because: Because
    rejected_on: date | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"because": "collectable"}})


class ReversalBody(Body):
    reversed_on: date | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"reversed_on": "2026-03-02"}})


class WriteOffView(BaseModel):
    write_off_id: UUID
    branch: str
    account_id: UUID
    item_id: UUID
    amount: str
    currency: str
    reason: WriteOffReason
    state: Literal["requested", "approved", "rejected", "reversed"]
    requested_by: str
    requested_on: date
    approved_by: str | None
    approved_on: date | None
    rejected_by: str | None
    reversed_by: str | None
    version: int


@router.post("", status_code=201, dependencies=[allow("write_off.request")])
async def request_write_off(body: WriteOffBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Ask to give up part of an item, or all of it. Somebody else must approve it."""
    write_off_id = made_id(meta, body.write_off_id)
    command = RequestWriteOff(
        write_off_id=write_off_id,
        item_id=body.item_id,
        amount=money(body.amount, body.currency) if body.amount is not None else None,
        reason=body.reason,
        requested_by=meta.actor,
        on=body.requested_on,
        now=now(),
    )
    return answer(response, await handle(store, meta, command), write_off_id=write_off_id)


@router.post("/{write_off_id}/approval", dependencies=[allow("write_off.approve")])
async def approve_write_off(
    write_off_id: UUID, body: ApprovalBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Agree to a write-off that somebody else requested. The item is then closed by what is still open, up to it."""
    command = ApproveWriteOff(write_off_id=write_off_id, approved_by=meta.actor, on=body.approved_on, now=now())
    return answer(response, await handle(store, meta, command), write_off_id=write_off_id)


@router.post("/{write_off_id}/rejection", dependencies=[allow("write_off.approve")])
async def reject_write_off(
    write_off_id: UUID, body: RejectionBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Turn a request down."""
    command = RejectWriteOff(
        write_off_id=write_off_id, rejected_by=meta.actor, because=body.because, on=body.rejected_on, now=now()
    )
    return answer(response, await handle(store, meta, command), write_off_id=write_off_id)


@router.post("/{write_off_id}/reversal", dependencies=[allow("write_off.reverse")])
async def reverse_write_off(
    write_off_id: UUID, body: ReversalBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Take an approved write-off back: the item is open again by what had been written off."""
    command = ReverseWriteOff(write_off_id=write_off_id, reversed_by=meta.actor, on=body.reversed_on, now=now())
    return answer(response, await handle(store, meta, command), write_off_id=write_off_id)


@router.get("/{write_off_id}", dependencies=[allow("report.read")])
async def read_write_off(write_off_id: UUID, caller: CallerOf, store: StoreOf, response: Response) -> WriteOffView:
    """A write-off, and who decided what about it."""
    loaded = await look(store, caller.branches, write_off_stream(write_off_id))
    assert isinstance(loaded.state, WriteOff), "another thing in a write-off's stream"
    response.headers["ETag"] = f'"{loaded.version}"'
    return _view(loaded.state, loaded.version)


def _view(write_off: WriteOff, version: int) -> WriteOffView:
    requested, approved = write_off.requested, write_off.approved
    return WriteOffView(
        write_off_id=requested.write_off_id,
        branch=requested.branch,
        account_id=requested.account_id,
        item_id=requested.item_id,
        amount=amount_text(requested.amount),
        currency=requested.amount.currency,
        reason=requested.reason,
        state=_state(write_off),
        requested_by=requested.requested_by,
        requested_on=requested.effective_on,
        approved_by=approved.approved_by if approved else None,
        approved_on=approved.effective_on if approved else None,
        rejected_by=write_off.rejected.rejected_by if write_off.rejected else None,
        reversed_by=write_off.reversed.reversed_by if write_off.reversed else None,
        version=version,
    )


def _state(write_off: WriteOff) -> Literal["requested", "approved", "rejected", "reversed"]:
    if write_off.reversed is not None:
        return "reversed"
    if write_off.rejected is not None:
        return "rejected"
    return "approved" if write_off.approved is not None else "requested"
