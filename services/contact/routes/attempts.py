"""Attempts to reach a customer: log one, read one."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from events.contact import Channel, Outcome
from services.contact.domain.attempt import Attempt, LogAttempt, attempt_stream
from services.contact.handlers import handle_noted, look
from services.contact.notes import note_id_of
from services.contact.rim import HappenedOn, ItemIds, NoteText, today
from services.kernel.errors import Unknown
from services.kernel.http import CommandAnswer, allow, answer
from services.kernel.route import Body, CallerOf, MetaOf, StoreOf, made_id

router = APIRouter(prefix="/attempts", tags=["attempts"])


class AttemptBody(Body):
    """Somebody was contacted, or it was tried. One attempt may be about many items of the account."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "account_id": "0b5c2c1e-53a4-4d0a-8a53-0f0f3a5f7c11",
                    "channel": "call",
                    "outcome": "reached",
                    "item_ids": ["3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11"],
                    "attempted_on": "2026-03-02",
                    "note": "Says the check goes out on Friday.",
                }
            ]
        }
    )

    attempt_id: UUID | None = None
    account_id: UUID
    channel: Channel
    outcome: Outcome
    item_ids: ItemIds = Field(default_factory=list)
    attempted_on: HappenedOn = Field(default_factory=today)
    person_id: UUID | None = None
    note: NoteText | None = None


class AttemptAnswer(BaseModel):
    """An attempt on record."""

    attempt_id: UUID
    branch: str
    account_id: UUID
    channel: Channel
    outcome: Outcome
    item_ids: list[UUID]
    attempted_on: date
    person_id: UUID | None
    note_id: UUID | None


@router.post("", status_code=201, dependencies=[allow("contact.log")])
async def log_attempt(body: AttemptBody, meta: MetaOf, store: StoreOf, response: Response) -> CommandAnswer:
    """Log an attempt. The channel says which outcomes are possible."""
    attempt_id = made_id(meta, body.attempt_id)
    note_id = note_id_of(attempt_id) if body.note else None
    command = LogAttempt(
        attempt_id=attempt_id,
        account_id=body.account_id,
        channel=body.channel,
        outcome=body.outcome,
        attempted_on=body.attempted_on,
        item_ids=tuple(body.item_ids),
        person_id=body.person_id,
        note_id=note_id,
    )
    recorded = await handle_noted(store, meta, command, body.note)
    return answer(response, recorded, attempt_id=attempt_id, note_id=note_id)


@router.get("/{attempt_id}", dependencies=[allow("report.read")])
async def read_attempt(attempt_id: UUID, store: StoreOf, caller: CallerOf, response: Response) -> AttemptAnswer:
    """The attempt as it was logged."""
    loaded = await look(store, caller.branches, attempt_stream(attempt_id))
    if not isinstance(loaded.state, Attempt):
        raise Unknown("no such attempt")
    response.headers["ETag"] = f'"{loaded.version}"'
    fact = loaded.state.fact
    return AttemptAnswer(
        attempt_id=fact.attempt_id,
        branch=fact.branch,
        account_id=fact.account_id,
        channel=fact.channel,
        outcome=fact.outcome,
        item_ids=list(fact.item_ids),
        attempted_on=fact.effective_on,
        person_id=fact.person_id,
        note_id=fact.note_id,
    )
