"""Carry out commands of the payment service, and read one of its streams. The only place a transaction opens."""

from __future__ import annotations

import asyncio
from typing import Final

from services.kernel.commands import carry_out
from services.kernel.errors import Unknown
from services.kernel.meta import Branches, Cause, Meta
from services.kernel.store import Loaded, Recorded, Store, Streams
from services.payment.domain import DOMAIN
from services.payment.domain.commands import Command
from services.payment.domain.state import State

_ARRIVAL_POLL_S: Final = 0.05  # How often a read that may wait looks again.


async def handle(store: Store, meta: Meta, command: Command) -> Recorded:
    """Carry out one command. Errors: what the domain refuses, and those of `Store.execute`."""
    return await carry_out(store, meta, DOMAIN, command)


async def look(store: Store, branches: Branches, stream: str, *, wait_s: float = 0.0) -> Loaded[State]:
    """The state of a stream that exists, or does within `wait_s`.

    Errors   Unknown, also where the caller may not see it.
    """
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        async with store.pool.acquire() as conn, conn.transaction(readonly=True):
            streams = Streams(conn, Meta(actor="", cause=Cause(""), branches=branches))
            await streams.earlier()  # Limits the transaction to these branches.
            loaded = await streams.load(stream, DOMAIN.evolve, DOMAIN.initial)
        if loaded.version:
            return loaded
        if asyncio.get_running_loop().time() >= deadline:
            raise Unknown("no such thing, or not in your branches")
        await asyncio.sleep(_ARRIVAL_POLL_S)
