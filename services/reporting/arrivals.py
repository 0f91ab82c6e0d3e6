"""Waits for facts to show in the read models, for any number of readers with one question after each batch."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import asyncpg

from services.kernel.position import channel_of
from services.kernel.store import Conn, Pool

_LOOK_S: Final = 1.0  # How often it looks although nobody told of a batch: what tells may itself have been lost.


class Arrivals:
    """Whoever waits for versions of streams to show in what `consumer` keeps.

    It holds a connection of the pool while somebody waits, and none otherwise. Readers who looked again and again, each
    by himself, took from Postgres what it needed to get there, and saw it up to a tenth of a second late.
    """

    def __init__(self, pool: Pool, consumer: str) -> None:
        self._pool = pool
        self._consumer = consumer
        self._channel = channel_of(consumer)
        self._waiting: dict[asyncio.Future[None], Mapping[str, int]] = {}
        self._news = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def show(self, wanted: Mapping[str, int], wait_s: float) -> bool:
        """Whether each stream shows at its version or a later one, within so many seconds.

        Errors   those of Postgres and of the pool.
        """
        if not await self._pool.fetch(_MISSING, self._consumer, list(wanted), list(wanted.values())):
            return True
        if wait_s <= 0:
            return False
        shown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[shown] = wanted
        self._news.set()
        if self._watch is None:
            self._watch = asyncio.create_task(self._look_out())
        try:
            async with asyncio.timeout(wait_s):
                await shown
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(shown, None)
            if not self._waiting:
                self._news.set()  # The connection is no longer needed.
        return True

    async def _look_out(self) -> None:
        try:
            while self._waiting:  # Somebody may have come while we let go of the connection.
                async with self._pool.acquire() as conn:
                    await conn.add_listener(self._channel, self._told)
                    try:
                        await self._look_after_each_batch(conn)
                    finally:
                        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                            await conn.remove_listener(self._channel, self._told)
        except Exception as error:
            for shown in self._waiting:
                if not shown.done():
                    shown.set_exception(error)
        finally:
            self._watch = None

    async def _look_after_each_batch(self, conn: Conn) -> None:
        while self._waiting:
            self._news.clear()
            asked = list(self._waiting.items())
            pairs = [pair for _, wanted in asked for pair in wanted.items()]
            rows = await conn.fetch(
                _MISSING, self._consumer, [name for name, _ in pairs], [least for _, least in pairs]
            )
            missing = {(row["stream"], row["version"]) for row in rows}
            for shown, wanted in asked:
                if not shown.done() and missing.isdisjoint(wanted.items()):
                    shown.set_result(None)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()

    def _told(self, *_: object) -> None:
        self._news.set()


_MISSING: Final = """
SELECT w.stream, w.version FROM unnest($2::text[], $3::int[]) AS w(stream, version)
WHERE NOT EXISTS (SELECT FROM consumer_stream c
                  WHERE c.consumer = $1 AND c.stream = w.stream AND c.version >= w.version)
"""
