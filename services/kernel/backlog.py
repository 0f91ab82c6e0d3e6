"""What was read and is not applied yet, between one who reads and several who apply."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from aiokafka import TopicPartition

from services.kernel.sift import Arrived

Delivery: TypeAlias = dict[TopicPartition, list[Arrived]]
_WORTH: Final = 1_000  # Records, for which a transaction of their own is worth what it costs.


class Backlog:
    """Records by partition, each in order, and with one of those who apply at a time. Closed, it lets nobody wait.

    `enough` records are not to be added to; `lanes` is how many there are who apply.
    """

    def __init__(self, enough: int, lanes: int = 1) -> None:
        self._enough = enough
        self._lanes = lanes
        self._last = False
        self._waiting: Delivery = {}
        self._count = 0
        self._taken: set[TopicPartition] = set()
        self._idle = 0
        self._closed = False
        self._changed = asyncio.Event()

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    async def room(self) -> Set[TopicPartition]:
        """Wait until fewer than `enough` records wait, or all that wait are held up while somebody has nothing to do.

        Answers  the partitions that are held up, to read on without them: one that takes long must not keep the others
                 waiting, and gathers no more than was read of it before.
        """
        while self._count >= self._enough and not self._closed:
            if self._idle and self._waiting.keys() <= self._taken:
                return frozenset(self._waiting)
            await self._change()
        return frozenset()

    def put(self, delivery: Delivery, *, last: bool = False) -> None:
        """Have records wait. Where they are the `last` for now, those who apply share them out: else one would be at
        work on the rest, and the others had nothing to do.
        """
        self._last = last
        for tp, records in delivery.items():
            self._waiting.setdefault(tp, []).extend(records)
            self._count += len(records)
        self._changed.set()

    @asynccontextmanager
    async def take(self, most: int) -> AsyncIterator[Delivery]:
        """Have up to `most` records to oneself, and their partitions: what comes of these meanwhile waits. What came
        first is taken first; nothing where the backlog is closed.
        """
        taken = self._free(most) or await self._come(most)
        self._taken |= taken.keys()
        self._changed.set()
        try:
            yield taken
        finally:
            self._taken -= taken.keys()
            self._changed.set()

    async def _come(self, most: int) -> Delivery:
        """Wait for something to take. Who reads is told, once, that somebody has nothing to do."""
        self._idle += 1
        self._changed.set()
        try:
            while not (taken := self._free(most)) and not self._closed:
                await self._change()
        finally:
            self._idle -= 1
        return taken

    def _free(self, most: int) -> Delivery:
        if self._last:
            most = min(most, max(_WORTH, math.ceil(self._count / self._lanes)))
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
