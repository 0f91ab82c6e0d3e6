"""Read one stream of a service's own store, as far as the caller may see it."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from services.kernel.commands import Domain
from services.kernel.errors import Unknown
from services.kernel.meta import Branches
from services.kernel.store import ARRIVAL_POLL_S, Loaded, Store, Streams

S = TypeVar("S")


async def look(
    store: Store, domain: Domain[Any, S], branches: Branches, stream: str, *, wait_s: float = 0.0
) -> Loaded[S]:
    """The state of a stream that exists, or does within `wait_s`.

    Errors   Unknown, also where the caller may not see it.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while True:
        async with store.pool.acquire() as conn, conn.transaction(readonly=True):
            streams = Streams(conn, branches)
            await streams.earlier([])  # Limits the transaction to these branches.
            loaded = await streams.load(stream, domain.evolve, domain.initial)
        if loaded.version:
            return loaded
        if loop.time() >= deadline:
            raise Unknown("no such thing, or not in your branches")
        await asyncio.sleep(ARRIVAL_POLL_S)
