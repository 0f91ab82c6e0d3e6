"""Relays and consumers in a test's own event loop, and a handler that writes down what it was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from mode import Service

from events.invoice import AccountChanged, AccountOpened
from services.kernel.consume import Consumer
from services.kernel.delivery import ConsumerSpec, Delivered, Handler
from services.kernel.errors import Refused
from services.kernel.settings import Settings
from services.kernel.store import Conn, Store
from tests.support.patience import until

S = TypeVar("S", bound=Service)
CONSUMER = "notes"

TABLE = """
CREATE TABLE noted (n bigint GENERATED ALWAYS AS IDENTITY, stream text, version int, by text);
GRANT SELECT, INSERT ON noted TO openitem_app;
"""


class Disliked(Refused):
    """What the test's handler says of facts it was told to refuse."""

    code = "disliked"


@dataclass
class Notes:
    """A handler that notes streams and versions in the table `noted`. It refuses accounts whose name is `refuse`."""

    by: str = "one"
    refuse: str = "refuse me"
    fail: Exception | None = None
    batches: list[int] = field(default_factory=list)
    held: asyncio.Event | None = None

    async def __call__(self, conn: Conn, batch: Sequence[Delivered]) -> None:
        self.batches.append(len(batch))
        await conn.executemany(
            "INSERT INTO noted (stream, version, by) VALUES ($1, $2, $3)",
            [(d.envelope.stream, d.envelope.stream_version, self.by) for d in batch],
        )
        if self.held is not None:
            await self.held.wait()
        if self.fail is not None:
            raise self.fail
        for delivered in batch:
            match delivered.fact:
                case AccountOpened(name=self.refuse) | AccountChanged(name=self.refuse):
                    raise Disliked("the test refuses it")
                case _:
                    pass


@asynccontextmanager
async def running(*services: S) -> AsyncIterator[None]:
    """Services that are started here and stopped in reverse, also when the test fails."""
    started: list[S] = []
    try:
        for service in services:
            started.append(service)
            await service.start()
        yield
    finally:
        for service in reversed(started):
            await service.stop()


def consumer(
    settings: Settings, store: Store, handler: Handler, *, name: str = CONSUMER, batch_max: int = 500
) -> Consumer:
    return Consumer(settings, ConsumerSpec(name, ["invoice"], handler, batch_max), store.pool)


async def published(store: Store, seq: int) -> None:
    await until(lambda: store.pool.fetchval("SELECT seq_acknowledged >= $1 FROM relay", seq))


async def applied(store: Store, account_id: UUID, version: int, *, name: str = CONSUMER) -> None:
    """Wait until the consumer has applied a version of an account."""
    query = "SELECT version >= $3 FROM consumer_stream WHERE consumer = $1 AND stream = $2"
    await until(lambda: store.pool.fetchval(query, name, f"account-{account_id}", version))


async def noted(store: Store) -> dict[str, list[int]]:
    """The versions that were noted of each stream, in the order in which they were."""
    found: dict[str, list[int]] = {}
    for row in await store.pool.fetch("SELECT stream, version FROM noted ORDER BY n"):
        found.setdefault(row["stream"], []).append(row["version"])
    return found
