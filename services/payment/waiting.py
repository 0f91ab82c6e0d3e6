"""Policies on facts of a topic that may be ahead of another one: they wait for it, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

from services.kernel.delivery import Delivered, Handler
from services.kernel.errors import Transient
from services.kernel.store import Arriving, Conn

# A restart of the broker fits in. Well below the 60 s without a commit that a consumer takes for its own death.
WAIT_S: Final = 20.0


class NotArrived(Transient):
    """A fact of another topic has yet to arrive here. The batch is tried again."""


def patient(handler: Handler, *, wait_s: float = WAIT_S, clock: Callable[[], float] | None = None) -> Handler:
    """`handler`, but what it refuses as `Arriving` is retried for `wait_s` first, and only then refused.

    Holds   a fact whose item never comes holds its batch up once, for `wait_s`; then the consumer parks it with its
            stream, and the others go on. Only how long a fact has waited is remembered: a restart waits anew.
    """
    waiting: dict[UUID, float] = {}

    async def handle(conn: Conn, batch: Sequence[Delivered]) -> None:
        try:
            await handler(conn, batch)
        except Arriving as refusal:
            now = (clock or asyncio.get_running_loop().time)()
            since = min((waiting[id_] for id_ in _ids(batch) if id_ in waiting), default=now)
            if now - since >= wait_s:
                raise  # Kept in `waiting`: the halves that the consumer tries next shall not wait again.
            waiting.update((id_, waiting.get(id_, now)) for id_ in _ids(batch))
            raise NotArrived(f"{refusal.code}: {refusal.message}") from refusal
        for id_ in _ids(batch):
            waiting.pop(id_, None)

    return handle


def _ids(batch: Sequence[Delivered]) -> list[UUID]:
    return [delivered.envelope.event_id for delivered in batch]
