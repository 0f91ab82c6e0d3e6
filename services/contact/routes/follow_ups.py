"""Follow-ups: schedule one, finish one, read one."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from services.contact.domain.follow_up import FinishFollowUp, FollowUp, ScheduleFollowUp, follow_up_stream
from services.contact.handlers import handle, handle_noted, look
from services.contact.notes import note_id_of
from services.contact.rim import HappenedOn, ItemIds, NoteText, Owner, today
from services.kernel.errors import Unknown
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf, made_id

router = APIRouter(prefix="/follow-ups", tags=["follow-ups"])


class FollowUpBody(Body):
    """Somebody is to look at the account again on `due_on`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account_id": "0b5c2c1e-53a4-4d0a-8a53-0f0f3a5f7c11",
                    "item_ids": ["3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11"],
                    "due_on": "2026-03-16",
                    "scheduled_on": "2026-03-02",
                    "owner": "maria",
                    "note": "Did the check come?",
                }
            ]
        }
    )

    follow_up_id: UUID | None = None
    account_id: UUID
    item_ids: ItemIds = Field(default_factory=list)
    due_on: date
    scheduled_on: HappenedOn = Field(default_factory=today)
    owner: Owner | None = None
    note: NoteText | None = None


class DoneBody(Body):
    """It was done, by the attempt named where there was one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"attempt_id": "6a1f1b54-0c1d-4c62-9c0e-0f5a4b6f1d22", "done_on": "2026-03-16"}]
        }
    )

    attempt_id: UUID | None = None
    done_on: HappenedOn = Field(default_factory=today)


class FollowUpAnswer(BaseModel):
    """A follow-up as it stands."""

    follow_up_id: UUID
    branch: str
    account_id: UUID
    item_ids: list[UUID]
    scheduled_on: date
    due_on: date
    owner: str | None
    note_id: UUID | None
    done_on: date | None
    attempt_id: UUID | None


@router.post("", status_code=201, dependencies=[allow("follow_up.write")])
async def schedule_follow_up(body: FollowUpBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Schedule a follow-up."""
    follow_up_id = made_id(meta, body.follow_up_id)
    note_id = note_id_of(follow_up_id) if body.note else None
    command = ScheduleFollowUp(
        follow_up_id=follow_up_id,
        account_id=body.account_id,
        scheduled_on=body.scheduled_on,
        due_on=body.due_on,
        item_ids=tuple(body.item_ids),
        owner=body.owner,
        note_id=note_id,
    )
    recorded = await handle_noted(store, meta, command, body.note)
    return answer(response, recorded, follow_up_id=follow_up_id, note_id=note_id)


@router.post("/{follow_up_id}/done", dependencies=[allow("follow_up.write")])
async def finish_follow_up(
    follow_up_id: UUID, body: DoneBody, meta: MetaOf, store: StoreOf, response: Response
) -> CommandAnswer:
    """Say that it was done."""
    command = FinishFollowUp(follow_up_id=follow_up_id, done_on=body.done_on, attempt_id=body.attempt_id)
    return answer(response, await handle(store, meta, command), follow_up_id=follow_up_id)


@router.get("/{follow_up_id}", dependencies=[allow("report.read")])
async def read_follow_up(follow_up_id: UUID, store: StoreOf, caller: CallerOf, response: Response) -> FollowUpAnswer:
    """The follow-up as it stands now."""
    loaded = await look(store, caller.branches, follow_up_stream(follow_up_id))
    if not isinstance(loaded.state, FollowUp):
        raise Unknown("no such follow-up")
    response.headers["ETag"] = f'"{loaded.version}"'
    fact, done = loaded.state.fact, loaded.state.done
    return FollowUpAnswer(
        follow_up_id=fact.follow_up_id,
        branch=fact.branch,
        account_id=fact.account_id,
        item_ids=list(fact.item_ids),
        scheduled_on=fact.effective_on,
        due_on=fact.due_on,
        owner=fact.owner,
        note_id=fact.note_id,
        done_on=done.effective_on if done else None,
        attempt_id=done.attempt_id if done else None,
    )
