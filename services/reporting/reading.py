"""One reader's view of the read models: a single snapshot of the database, limited to his branches, and how far behind
it is. A reader who names what he just recorded can wait for it to show.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import asyncpg
from fastapi import Depends, Header, Request
from pydantic import BaseModel, Field

from services.kernel.after import after_of
from services.kernel.auth import Caller, caller_of
from services.kernel.errors import Kind, Refused
from services.kernel.request import wait_of

CONSUMER: Final = "projections"
SCHEMA: Final = "live"


class NotYetVisible(Refused):
    """What was recorded does not show in the reports yet."""

    code = "not_yet_visible"
    kind = Kind.UNAVAILABLE


class Freshness(BaseModel):
    """How far the read models are behind the facts that were published. Null: not known, as no worker told it yet."""

    facts_behind: int | None = Field(examples=[0])
    seconds_behind: float | None = Field(examples=[0.0])


@dataclass(frozen=True, slots=True)
class Reading:
    """`conn` is in a read-only transaction that sees one state of everything. `now` and `today` are this reading's."""

    conn: Any
    caller: Caller
    freshness: Freshness
    now: datetime
    today: date


async def reading(
    request: Request,
    caller: Annotated[Caller, Depends(caller_of)],
    openitem_after: Annotated[
        str | None,
        Header(description="What a command answered as Openitem-Position: the report must show it, or is refused."),
    ] = None,
    prefer: Annotated[
        str | None, Header(description="`wait=5`: wait so many seconds for Openitem-After to show.")
    ] = None,
) -> AsyncIterator[Reading]:
    """A reading for a route. Errors: AfterMalformed; NotYetVisible when the wait is over."""
    pool: asyncpg.Pool[asyncpg.Record] = request.app.state.pool
    if openitem_after and not await request.app.state.arrivals.show(after_of(openitem_after), wait_of(prefer)):
        raise NotYetVisible("it is recorded, but the reports do not show it yet", field="Openitem-After")
    async with open_reading(pool, caller, request.app.state.settings.timezone) as opened:
        yield opened


@asynccontextmanager
async def open_reading(pool: asyncpg.Pool[asyncpg.Record], caller: Caller, timezone: str) -> AsyncIterator[Reading]:
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        row = await conn.fetchrow(_BEGIN, f"{SCHEMA}, public", caller.branches.setting, CONSUMER)
        assert row is not None
        now = datetime.now(UTC)
        behind = Freshness(facts_behind=row["facts_behind"], seconds_behind=row["seconds_behind"])
        yield Reading(conn, caller, behind, now, now.astimezone(ZoneInfo(timezone)).date())


# A worker looks every second. Where nobody has looked for longer, we may be behind by as much and cannot know; of a
# topic that was never read, the time is infinite.
BEHIND: Final = """
SELECT topic, facts_behind, seen_at,
       round(nullif(CASE WHEN unseen > 5 THEN greatest(unseen, seconds_behind) ELSE greatest(seconds_behind, 0) END,
                    'Infinity')::numeric, 3)::float8 AS seconds_behind
FROM (SELECT *, extract(epoch FROM clock_timestamp() - seen_at)::float8 AS unseen FROM consumer_freshness) f
WHERE consumer = {consumer}
"""
# The settings hold until the transaction ends. The first query of a repeatable-read transaction is its snapshot.
_BEGIN: Final = f"""
SELECT set_config('search_path', $1, true), set_config('openitem.branches', $2, true),
       sum(b.facts_behind)::bigint AS facts_behind,
       CASE WHEN bool_and(b.seconds_behind IS NOT NULL) THEN max(b.seconds_behind) END AS seconds_behind
FROM ({BEHIND.format(consumer="$3")}) b
"""  # noqa: S608 - only words of this module
