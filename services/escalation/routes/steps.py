"""Advance and read delinquency steps."""

from __future__ import annotations

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from services.escalation.domain.state import Delinquency, delinquency_stream
from services.escalation.domain.step import AdvanceStep
from services.escalation.handlers import handle, look
from services.escalation.rim import now
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf

router = APIRouter(prefix="/steps", tags=["steps"])
_STEP_MAX = 1000  # No policy has as many; it keeps numbers that are none out.


class StepBody(Body):
    """`step` is the one to reach: it must be the next. The next is meant where it is left out."""

    item_id: UUID
    step: Annotated[int, Field(ge=1, le=_STEP_MAX)] | None = None
    advanced_on: date | None = None

    model_config = ConfigDict(
        json_schema_extra={"example": {"item_id": "3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11", "step": 2}}
    )


class StepView(BaseModel):
    item_id: UUID
    account_id: UUID
    branch: str
    step: int
    label: str
    advanced_on: date
    version: int


@router.post("", status_code=201, dependencies=[allow("step.advance")])
async def advance_step(body: StepBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """An item reaches the next step of its branch's dunning policy."""
    command = AdvanceStep(item_id=body.item_id, step=body.step, on=body.advanced_on, now=now())
    return answer(response, await handle(store, meta, command), item_id=body.item_id)


@router.get("/{item_id}", dependencies=[allow("report.read")])
async def read_step(item_id: UUID, caller: CallerOf, store: StoreOf, response: Response) -> StepView:
    """The step an item is at."""
    loaded = await look(store, caller.branches, delinquency_stream(item_id))
    assert isinstance(loaded.state, Delinquency), "another thing in an item's stream"
    response.headers["ETag"] = f'"{loaded.version}"'
    last = loaded.state.last
    return StepView(
        item_id=last.item_id,
        account_id=last.account_id,
        branch=last.branch,
        step=last.step,
        label=last.label,
        advanced_on=last.effective_on,
        version=loaded.version,
    )
