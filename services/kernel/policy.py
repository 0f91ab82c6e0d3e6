"""Facts from elsewhere become commands here, within the consumer's transaction: nothing is decided twice or lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from services.kernel.commands import Domain, carry_out_in
from services.kernel.delivery import Delivered, Handler
from services.kernel.meta import EVERY_BRANCH, Cause, Meta
from services.kernel.store import Conn, Store

C = TypeVar("C")
S = TypeVar("S")


def policy_handler(store: Store, domain: Domain[C, S], when: Callable[[Delivered], Sequence[C]], actor: str) -> Handler:
    """A consumer's handler that carries out what `when` makes of each fact, as `actor`, because of that fact.

    Errors   the refusal of the first command that was refused: the consumer then parks the fact it came from. A refusal
             that is expected (the item was closed in the meantime) must not reach this: `when` or the domain avoids it.
    Holds    all commands of a batch land in one append, with the position; a fact whose command is refused lands none.
    """

    async def handle(conn: Conn, batch: Sequence[Delivered]) -> None:
        commands: list[C] = []
        causes: list[Cause] = []
        for delivered in batch:
            arising = when(delivered)
            commands.extend(arising)
            causes.extend([cause_of(delivered)] * len(arising))
        if not commands:
            return
        meta = Meta(actor=actor, cause=causes[0], branches=EVERY_BRANCH)
        for outcome in await carry_out_in(conn, store, meta, domain, commands, causes):
            if outcome.refused is not None:
                raise outcome.refused

    return handle


def cause_of(delivered: Delivered) -> Cause:
    """The cause that facts here have when they follow from `delivered`."""
    envelope = delivered.envelope
    return Cause(envelope.correlation_id, str(envelope.event_id), envelope.traceparent)
