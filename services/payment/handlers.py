"""Carry out commands of the payment service, and read one of its streams. The only place a transaction opens."""

from __future__ import annotations

from services.kernel.look import look as look_at
from services.kernel.meta import Branches, Meta
from services.kernel.store import Loaded, Recorded, Store
from services.kernel.together import carry_out
from services.payment.domain import DOMAIN
from services.payment.domain.commands import Command
from services.payment.domain.state import State


async def handle(store: Store, meta: Meta, command: Command) -> Recorded:
    """Carry out one command. Errors: what the domain refuses, and those of `together.carry_out`."""
    return await carry_out(store, meta, DOMAIN, command)


async def look(store: Store, branches: Branches, stream: str, *, wait_s: float = 0.0) -> Loaded[State]:
    """The state of a stream that exists, or does within `wait_s`. Errors: Unknown, as in `kernel.look`."""
    return await look_at(store, DOMAIN, branches, stream, wait_s=wait_s)
