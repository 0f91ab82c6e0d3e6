"""Place, release and read account holds."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from events.escalation import HoldReason
from services.escalation.domain.hold import PlaceHold, ReleaseHold
from services.escalation.domain.state import Held, Released, hold_stream
from services.escalation.handlers import handle, look
from services.escalation.rim import now
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf

router = APIRouter(prefix="/holds", tags=["holds"])


class HoldBody(Body):
    account_id: UUID
    reason: HoldReason
    placed_on: date | None = None

    model_config = ConfigDict(
        json_schema_extra={"example": {"account_id": "5f1c3f0a-6a0e-4a57-9d0a-2d5a2f7c9b10", "reason": "past_due"}}
    )


class HoldReleaseBody(Body):
    released_on: date | None = None

    model_config = ConfigDict(json_schema_extra={"example": {"released_on": "2026-03-02"}})


class HoldView(BaseModel):
    account_id: UUID
    branch: str
    on_hold: bool
    reason: HoldReason
    placed_on: date
    released_on: date | None
    released_by: str | None
    version: int


@router.post("", status_code=201, dependencies=[allow("hold.place")])
async def place_hold(body: HoldBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Put an account on hold: no further work or credit until somebody releases it."""
    command = PlaceHold(account_id=body.account_id, reason=body.reason, on=body.placed_on, now=now())
    return answer(response, await handle(store, meta, command), account_id=body.account_id)


@router.post("/{account_id}/release", dependencies=[allow("hold.release")])
async def release_hold(
    account_id: UUID, body: HoldReleaseBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """End a hold. The caller answers for it."""
    command = ReleaseHold(account_id=account_id, released_by=meta.actor, on=body.released_on, now=now())
    return answer(response, await handle(store, meta, command), account_id=account_id)


@router.get("/{account_id}", dependencies=[allow("report.read")])
async def read_hold(account_id: UUID, caller: CallerOf, store: StoreOf, response: Response) -> HoldView:
    """Whether an account is on hold, and why it is or last was."""
    loaded = await look(store, caller.branches, hold_stream(account_id))
    assert isinstance(loaded.state, Held | Released), "another thing in an account's stream"
    response.headers["ETag"] = f'"{loaded.version}"'
    placed = loaded.state.placed
    released = loaded.state.released if isinstance(loaded.state, Released) else None
    return HoldView(
        account_id=account_id,
        branch=placed.branch,
        on_hold=released is None,
        reason=placed.reason,
        placed_on=placed.effective_on,
        released_on=released.effective_on if released else None,
        released_by=released.released_by if released else None,
        version=loaded.version,
    )
