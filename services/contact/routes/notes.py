"""Notes: read one, forget one. They are written with the attempt, dispute or follow-up they belong to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from fastapi import APIRouter
from pydantic import BaseModel

from services.contact import notes
from services.kernel.http import allow
from services.kernel.route import CallerOf, StoreOf

router = APIRouter(prefix="/notes", tags=["notes"])


class NoteAnswer(BaseModel):
    """A note. One that was forgotten has no body; who forgot it and when stays."""

    note_id: UUID
    account_id: UUID
    branch: str
    body: str | None
    author: str
    at: datetime
    forgotten_at: datetime | None
    forgotten_by: str | None


@router.get("/{note_id}", dependencies=[allow("report.read")])
async def read_note(note_id: UUID, store: StoreOf, caller: CallerOf) -> NoteAnswer:
    """The note, as long as it is not forgotten."""
    return _answer(await notes.read(store.pool, caller.branches, note_id))


@router.delete("/{note_id}", dependencies=[allow("operate")])
async def forget_note(note_id: UUID, store: StoreOf, caller: CallerOf) -> NoteAnswer:
    """Forget the words for good, as a person may ask us to. Safe to repeat; no fact ever held them."""
    return _answer(await notes.forget(store.pool, caller.branches, note_id, caller.sub))


def _answer(note: notes.Note) -> NoteAnswer:
    return NoteAnswer(**msgspec.structs.asdict(note))
