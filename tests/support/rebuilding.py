"""Four event stores, the topics they are published on, a consumer, and the read models."""

from __future__ import annotations

import asyncpg

from services.projections.parts import Progress
from services.projections.rebuild import rebuild_from, silent
from tests.support.event_stores import TOPICS, Kafka, Live


class System:
    def __init__(self, live: str, stores: dict[str, str], conn: asyncpg.Connection, look: asyncpg.Connection) -> None:
        self.live = live
        self.stores = stores
        self.kafka = Kafka()
        self.consumer = Live(conn, self.kafka)
        self.look = look

    async def rebuild(self, progress: Progress = silent, processes: int | None = None) -> dict[str, int]:
        return await rebuild_from(self.live, self.stores, TOPICS, progress, processes)

    async def versions(self) -> dict[str, int]:
        return {r["stream"]: r["version"] for r in await self.look.fetch("SELECT stream, version FROM consumer_stream")}

    async def parked(self) -> set[tuple[str, int]]:
        return {tuple(row) for row in await self.look.fetch("SELECT stream, stream_version FROM parked")}

    async def spoil(self, stream: str, version: int) -> None:
        """Make a fact of the event stores unreadable."""
        for url in self.stores.values():
            conn = await asyncpg.connect(url)
            try:
                await conn.execute("ALTER TABLE events DISABLE TRIGGER events_are_final")
                await conn.execute(
                    "UPDATE events SET data = '{}' WHERE stream = $1 AND stream_version = $2", stream, version
                )
            finally:
                await conn.close()
