"""Four event stores, the topics they are published on, a consumer, and the read models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg

from services.kernel.delivery import Delivered
from services.projections.rebuild import rebuild_from, silent
from services.projections.replay import Progress
from tests.support.event_stores import TOPICS, Kafka, Live, record


class System:
    def __init__(self, live: str, stores: dict[str, str], conn: asyncpg.Connection, look: asyncpg.Connection) -> None:
        self.live = live
        self.stores = stores
        self.kafka = Kafka()
        self.consumer = Live(conn, self.kafka)
        self.look = look

    async def publish(self, log: Sequence[Delivered]) -> None:
        """Recorded by their services, and sent."""
        await record(self.stores, log)
        self.kafka.send(log)

    async def rebuild(self, progress: Progress = silent, processes: int | None = None) -> dict[str, int]:
        return await rebuild_from(self.live, self.stores, TOPICS, progress, processes)

    async def versions(self) -> dict[str, int]:
        return {r["stream"]: r["version"] for r in await self.look.fetch("SELECT stream, version FROM consumer_stream")}

    async def parked(self) -> set[tuple[str, int]]:
        return {tuple(row) for row in await self.look.fetch("SELECT stream, stream_version FROM parked")}

    async def spoil(self, versions: Mapping[str, int]) -> None:
        """Make a fact of each of these streams unreadable in the event stores."""
        for url in self.stores.values():
            conn = await asyncpg.connect(url)
            try:
                await conn.execute("ALTER TABLE events DISABLE TRIGGER events_are_final")
                await conn.executemany(
                    "UPDATE events SET data = '{}' WHERE stream = $1 AND stream_version = $2", versions.items()
                )
            finally:
                await conn.close()
