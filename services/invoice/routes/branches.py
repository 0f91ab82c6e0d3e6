"""Register a branch."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter, Response
from pydantic import ConfigDict

from services.invoice.domain.branch import RegisterBranch
from services.invoice.handlers import handle
from services.invoice.rim import Name, known_timezone, now
from services.kernel.errors import Forbidden
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.rim import BranchText
from services.kernel.route import Body, MetaOf, StoreOf

router = APIRouter(prefix="/branches", tags=["branches"])


class BranchBody(Body):
    branch: BranchText
    name: Name
    region: Name | None = None
    timezone: str = "America/New_York"
    registered_on: date | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"branch": "DAL-01", "name": "Dallas", "region": "TX", "timezone": "America/Chicago"}
        }
    )


@router.post("", status_code=201, dependencies=[allow("branch.register")])
async def register_branch(body: BranchBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Register a branch. Its time zone says when a day ends there."""
    if body.branch not in meta.branches:  # Before it is looked up: whether there is such a branch is not told.
        raise Forbidden("not in your branches", field="branch", branch=body.branch)
    command = RegisterBranch(
        branch=body.branch,
        name=body.name,
        region=body.region,
        timezone=known_timezone(body.timezone),
        on=body.registered_on,
        now=now(),
    )
    return answer(response, await handle(store, meta, command), branch=body.branch)
