"""Open a job."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import ConfigDict

from services.invoice.domain.job import OpenJob
from services.invoice.handlers import handle
from services.invoice.rim import Name, Number, now
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.rim import BranchText
from services.kernel.route import Body, MetaOf, StoreOf, made_id

router = APIRouter(prefix="/jobs", tags=["jobs"])


class JobBody(Body):
    """`name` is left out where the account is a person's: a job at a home is called after who lives there."""

    job_id: UUID | None = None
    branch: BranchText
    account_id: UUID
    number: Number
    name: Name | None = None
    opened_on: date | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "branch": "DAL-01",
                "account_id": "5f1c3f0a-6a0e-4a57-9d0a-2d5a2f7c9b10",
                "number": "J00042-1",
                "name": "Chiller replacement",
            }
        }
    )


@router.post("", status_code=201, dependencies=[allow("job.write")])
async def open_job(body: JobBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Open a job of an account, to which invoices may be billed."""
    job_id = made_id(meta, body.job_id)
    command = OpenJob(
        job_id=job_id,
        branch=body.branch,
        account_id=body.account_id,
        number=body.number,
        name=body.name,
        on=body.opened_on,
        now=now(),
    )
    return answer(response, await handle(store, meta, command), job_id=job_id)
