"""What was read and is not applied yet, between one who reads and several who apply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

from aiokafka import TopicPartition

from services.kernel.sift import Arrived

Delivery: TypeAlias = dict[TopicPartition, list[Arrived]]


class Backlog:
    """Records by partition, each in order, and with one of those who apply at a time. Closed, it lets nobody wait."""

    def __init__(self, enough: int) -> None:
        self._enough = enough
        self._waiting: Delivery = {}
        self._count = 0
        self._taken: set[TopicPartition] = set()
        self._closed = False
        self._changed = asyncio.Event()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def room(self) -> None:
        """Wait until fewer than `enough` records wait."""
        while self._count >= self._enough and not self._closed:
            await self._change()

    def put(self, delivery: Delivery) -> None:
        for tp, records in delivery.items():
            self._waiting.setdefault(tp, []).extend(records)
            self._count += len(records)
        self._changed.set()

    @asynccontextmanager
    async def take(self, most: int) -> AsyncIterator[Delivery]:
        """Have up to `most` records to oneself, and their partitions: what comes of these meanwhile waits. What came
        first is taken first; nothing where the backlog is closed.
        """
        while not (taken := self._free(most)) and not self._closed:
            await self._change()
        self._taken |= taken.keys()
        self._changed.set()
        try:
            yield taken
        finally:
            self._taken -= taken.keys()
            self._changed.set()

    def _free(self, most: int) -> Delivery:
        free: Delivery = {}
        for tp in [tp for tp in self._waiting if tp not in self._taken]:
            if not most:
                break
            records = self._waiting.pop(tp)
            if len(records) > most:
                self._waiting[tp] = records[most:]
                records = records[:most]
            free[tp] = records
            most -= len(records)
            self._count -= len(records)
        return free

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
