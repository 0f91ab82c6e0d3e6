"""How far a service has recorded, and whether it knows how far others have: asked by who writes to one service and then
to another that follows it, as an import does.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Response
from pydantic import BaseModel, Field

from events.topics import PARTITIONS, partition_of
from services.kernel.after import After, await_known
from services.kernel.auth import Caller, allow, caller_of
from services.kernel.request import store_of, wait_of
from services.kernel.store import Pool, Store, versions_text

# Facts that are looked through for the last of each partition: far fewer hold one of each. What is older than these and
# the last of its partition was published long before they were.
_LOOKED_AT_MAX: Final = 10_000


class LogPosition(BaseModel):
    """Who knows these versions of these streams knows all that was recorded before: each stands for a partition."""

    recorded: dict[str, int] = Field(examples=[{"item-3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11": 4}])


def position_router() -> APIRouter:
    router = APIRouter(tags=["log"])

    @router.get("/position", dependencies=[allow("import.run")])
    async def position(
        response: Response,
        caller: Annotated[Caller, Depends(caller_of)],
        store: Annotated[Store, Depends(store_of)],
        openitem_after: After = None,
        prefer: Annotated[
            str | None, Header(description="`wait=5`: wait so many seconds for Openitem-After to be known.")
        ] = None,
    ) -> LogPosition:
        """How far this service has recorded, of what the caller may see. With `Openitem-After`: once it knows that.

        Facts of one partition arrive in order, so the last of each stands for all. A service knows what it recorded
        itself, and what the services that it follows recorded. What is parked here has arrived too, though only its
        mending makes it known.
        """
        await await_known(store.pool, openitem_after, wait_of(prefer))
        recorded = await _recorded(store.pool, caller)
        response.headers["Openitem-Position"] = versions_text(recorded)
        return LogPosition(recorded=recorded)

    return router


async def _recorded(pool: Pool, caller: Caller) -> dict[str, int]:
    """The last fact of each partition."""
    async with pool.acquire() as conn, conn.transaction(readonly=True):
        await conn.execute("SELECT set_config('openitem.branches', $1, true)", caller.branches.setting)
        rows = await conn.fetch(_LAST, _LOOKED_AT_MAX)
    last: dict[int, tuple[str, int]] = {}
    for stream, version in rows:
        last.setdefault(partition_of(stream.encode()), (stream, version))
        if len(last) == PARTITIONS:
            break
    return dict(last[partition] for partition in sorted(last))


_LAST: Final = """
SELECT stream, stream_version FROM events
WHERE position > (SELECT last_value FROM events_position_seq) - $1
ORDER BY position DESC
"""
