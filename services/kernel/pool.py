"""Connections to a service's database, as the role that row-level security binds."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

from services.kernel.meta import NO_BRANCH, Branches

# In quotes: asyncpg's stubs have these generic, its classes are not.
Conn: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


async def open_pool(
    url: str,
    *,
    size_max: int,
    role: str = "openitem_app",
    branches: Branches = NO_BRANCH,
    statement_s_max: float | None = None,
    by_key: bool = False,
) -> Pool:
    """Connections that act as `role`, which row-level security binds to `branches`, unless a transaction says others.

    `statement_s_max` bounds one statement. None: a statement may take long, as in a rebuild. `by_key` says that all
    they ask is looked up by key, by one plan for any number of keys: Postgres would plan each time anew, because it
    holds a parameter for more keys than there are, and that was a quarter of its time for a command.
    """
    plans = {"plan_cache_mode": "force_generic_plan"} if by_key else {}
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size_max,
        command_timeout=statement_s_max,
        reset=_leave,
        server_settings={"role": role, "application_name": "openitem", "openitem.branches": branches.setting} | plans,
    )


async def _leave(_conn: Conn) -> None:
    """Nothing to reset: what our sessions set and lock is local to a transaction; an open one is rolled back before.

    asyncpg would ask for it all the same, which was one of the six round trips of a command.
    """
