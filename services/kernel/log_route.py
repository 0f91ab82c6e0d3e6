"""The log of facts over HTTP, stream by stream: how a consumer that finds a hole in what Kafka gave it mends that."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from services.kernel.auth import Caller, allow, caller_of
from services.kernel.errors import Unknown
from services.kernel.request import store_of
from services.kernel.store import Store

PAGE_MAX: Final = 1000


class RecordedFact(BaseModel):
    """One fact as it is stored: the attributes it is published with, and its data. `seq` is null until it is sent."""

    event_id: UUID
    type: str
    source: str
    stream: str
    stream_version: int
    seq: int | None
    position: int
    recorded_at: datetime
    effective_on: str
    actor: str
    branch: str
    correlation_id: str
    causation_id: str | None
    traceparent: str | None
    data: dict[str, Any]


class FactPage(BaseModel):
    """Facts of one stream in order. `next_after` is the `after` of the next page; null on the last one."""

    version: int = Field(description="The version the stream has now.")
    facts: list[RecordedFact]
    next_after: int | None


def log_router(service: str) -> APIRouter:
    router = APIRouter(tags=["log"])

    @router.get("/streams/{stream}/events", dependencies=[allow("log.read")])
    async def facts_of(
        stream: Annotated[str, Path(pattern=r"^[a-z][a-z-]{0,31}-[A-Za-z0-9-]{1,64}$")],
        caller: Annotated[Caller, Depends(caller_of)],
        store: Annotated[Store, Depends(store_of)],
        after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Facts after this version.")] = 0,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> FactPage:
        """The facts of one stream as they are stored, in order, of the branches the caller may see."""
        async with store.pool.acquire() as conn, conn.transaction(readonly=True):
            await conn.execute("SELECT set_config('openitem.branches', $1, true)", caller.branches.setting)
            version = await conn.fetchval(_VERSION, stream)
            rows = await conn.fetch(_PAGE, stream, after, limit + 1)
        if version is None:
            raise Unknown("no such stream, or not in your branches")
        facts = [
            RecordedFact(**dict(row) | {"data": msgspec.json.decode(row["data"])}, source=f"/openitem/{service}")
            for row in rows[:limit]
        ]
        return FactPage(
            version=version, facts=facts, next_after=facts[-1].stream_version if len(rows) > limit else None
        )

    return router


# Only a stream of which the caller may see something: asked for what comes after its end, it must not tell its version.
_VERSION: Final = """
SELECT version FROM streams s WHERE stream = $1 AND EXISTS (SELECT FROM events e WHERE e.stream = s.stream)
"""
_PAGE: Final = """
SELECT e.event_id, e.type, e.stream, e.stream_version, p.seq, e.position, e.recorded_at, e.effective_on::text,
       e.actor, e.branch, e.correlation_id, e.causation_id, e.traceparent, e.data
FROM events e LEFT JOIN published p ON p.position = e.position
WHERE e.stream = $1 AND e.stream_version > $2
ORDER BY e.stream_version LIMIT $3
"""
