"""Connections to a service's database, as the role that row-level security binds."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, TypeAlias

import asyncpg

from services.kernel.meta import NO_BRANCH, Branches

# In quotes: asyncpg's stubs have these generic, its classes are not.
Conn: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Prepare: TypeAlias = "Callable[[Conn], Coroutine[Any, Any, None]]"
Plans = Literal["kept", "new"]
_MODES: Final[dict[Plans, str]] = {"kept": "force_generic_plan", "new": "force_custom_plan"}


async def open_pool(
    url: str,
    *,
    size_max: int,
    role: str = "openitem_app",
    branches: Branches = NO_BRANCH,
    statement_s_max: float | None = None,
    plans: Plans | None = None,
    name: str = "openitem",
    prepare: Prepare | None = None,
) -> Pool:
    """Connections that act as `role`, which row-level security binds to `branches`, unless a transaction says others.
    Postgres lists them under `name`. `prepare` is called once with each.

    `statement_s_max` bounds one statement. None: a statement may take long, as in a rebuild. `plans`, where Postgres
    is not to choose itself whether it keeps a plan:
        "kept"  all they ask is looked up by key, by one plan for any number of keys. Postgres would plan each time
                anew, because it holds a parameter for more keys than there are: a quarter of its time for a command.
        "new"   what is asked depends on which filters are given, and how many rows. A plan that Postgres kept for any
                of them, because it was as good while tables were small, sorted all items to find the first.
    """
    mode = {} if plans is None else {"plan_cache_mode": _MODES[plans]}
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size_max,
        command_timeout=statement_s_max,
        init=prepare,
        reset=_leave,
        server_settings={"role": role, "application_name": name, "openitem.branches": branches.setting} | mode,
    )


async def _leave(_conn: Conn) -> None:
    """Nothing to reset: what our sessions set and lock is local to a transaction; an open one is rolled back before.

    asyncpg would ask for it all the same, which was one of the six round trips of a command.
    """
