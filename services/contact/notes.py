"""People's words about an account. They stand beside the facts, never in them, and can be forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

import asyncpg
import msgspec

from services.kernel.card_numbers import scrub
from services.kernel.errors import Unknown
from services.kernel.meta import Branches
from services.kernel.store import Conn, Pool

NOTE_MAX: Final = 10_000  # Characters: a long e-mail, pasted.


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A note as it is kept. Forgotten: no body, and who forgot it when."""

    note_id: UUID
    account_id: UUID
    branch: str
    body: str | None
    author: str
    at: datetime
    forgotten_at: datetime | None
    forgotten_by: str | None


def note_id_of(noun_id: UUID) -> UUID:
    """The id of the note that came with an attempt, a dispute or a follow-up: each has one at most."""
    return uuid5(noun_id, "note")


async def keep(conn: Conn, note_id: UUID, account_id: UUID, branch: str, body: str, author: str) -> None:
    """Keep a note in the transaction of the facts that name it, without card numbers. A repeat changes nothing."""
    await conn.execute(_KEEP, note_id, account_id, branch, scrub(body), author)


async def read(pool: Pool, branches: Branches, note_id: UUID) -> Note:
    """Errors: Unknown."""
    async with pool.acquire() as conn, conn.transaction(readonly=True):
        await conn.execute(_BRANCHES, branches.setting)
        row = await conn.fetchrow(_READ, note_id)
    return _note(row)


async def forget(pool: Pool, branches: Branches, note_id: UUID, by: str) -> Note:
    """Blank the body for good; the row that stays says so. Forgetting again changes nothing. Errors: Unknown."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(_BRANCHES, branches.setting)
        await conn.execute(_FORGET, note_id, by)
        row = await conn.fetchrow(_READ, note_id)
    return _note(row)


def _note(row: asyncpg.Record | None) -> Note:
    if row is None:
        raise Unknown("no such note, or not in your branches")
    return msgspec.convert(dict(row), Note)


_READ: Final = """
SELECT note_id, account_id, branch, body, author, at, forgotten_at, forgotten_by FROM note WHERE note_id = $1
"""
_BRANCHES: Final = "SELECT set_config('openitem.branches', $1, true)"
_KEEP: Final = """
INSERT INTO note (note_id, account_id, branch, body, author) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""
_FORGET: Final = """
UPDATE note SET body = NULL, forgotten_at = clock_timestamp(), forgotten_by = $2
WHERE note_id = $1 AND forgotten_at IS NULL
"""
