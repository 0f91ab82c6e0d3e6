"""Carry out commands of the escalation service, and read one of its streams. The only place a transaction opens."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from services.escalation.domain import RULES, Command
from services.escalation.domain.state import State
from services.escalation.prepare import prepare
from services.kernel.commands import Domain
from services.kernel.look import look as look_at
from services.kernel.meta import Branches, Meta
from services.kernel.store import Loaded, Recorded, Store
from services.kernel.together import carry_out

DOMAIN: Final[Domain[Command, State]] = replace(RULES, prepare=prepare)


async def handle(store: Store, meta: Meta, command: Command) -> Recorded:
    """Carry out one command. Errors: what the domain refuses, and those of `together.carry_out`."""
    return await carry_out(store, meta, DOMAIN, command)


async def look(store: Store, branches: Branches, stream: str) -> Loaded[State]:
    """The state of a stream that exists. Errors: Unknown, also where the caller may not see it."""
    return await look_at(store, DOMAIN, branches, stream)
