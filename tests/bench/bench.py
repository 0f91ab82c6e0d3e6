"""What a benchmark works with: servers of its own that keep what they acknowledge, a scale, and ways to take time."""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import psutil

from deploy.embedded import Kafka, Postgres
from services.kernel.garbage import BATCHES, collect_rarely
from services.kernel.settings import Settings
from tests.support.databases import Databases
from tests.support.facts import settings_of


class Missing(Exception):
    """Something to measure against is not installed; the message says how to get it."""


class Bench:
    """One run. Servers start when a benchmark asks for one; they flush to disk, as they would where books are kept.

    `scale` multiplies the amount of data; 1 is what the figures are asked for.
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.scale = 1.0
        self._stack = stack

    @cached_property
    def postgres(self) -> Postgres:
        return self._stack.enter_context(Postgres(self._room("postgres")))

    @cached_property
    def kafka(self) -> Kafka:
        return self._stack.enter_context(Kafka(self._room("kafka")))

    @asynccontextmanager
    async def databases(self) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
        """`await make("payment")` is the URL of a fresh database of that service; dropped at the end."""
        databases = Databases(self.postgres.url)
        try:
            yield databases.make
        finally:
            await databases.drop()

    def settings(self, service: str, database: str, prefix: str | None = None, **others: Any) -> Settings:
        """Settings of a process that is measured, with topics of its own."""
        return settings_of(service, database, self.kafka.bootstrap, prefix or f"b{uuid4().hex[:8]}", **others)

    def count(self, whole: int, least: int = 1) -> int:
        """So many at scale 1."""
        return max(least, round(whole * self.scale))

    def _room(self, name: str) -> Path:
        room = self.directory / name
        room.mkdir(exist_ok=True)
        return room


@contextmanager
def open_bench() -> Iterator[Bench]:
    """A bench whose servers and files are gone afterwards. As a worker does, it has Python collect garbage rarely."""
    with tempfile.TemporaryDirectory(prefix="openitem-bench-") as directory, ExitStack() as stack:
        os.chmod(directory, 0o755)  # A server that will not run as root has to get through.
        collect_rarely(BATCHES)
        yield Bench(Path(directory), stack)


async def tend(database: str, *statements: str) -> None:
    """Have done now what Postgres would do in the background for what was just recorded, while others are measured."""
    conn = await asyncpg.connect(database)
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()


async def crowd(clients: int, each: int, act: Callable[[int], Awaitable[object]]) -> float:
    """Calls a second of `clients` that each call `act` so many times, one after the other."""

    async def one(client: int) -> None:
        for at in range(each):
            await act(client * each + at)

    began = time.perf_counter()
    await asyncio.gather(*(one(client) for client in range(clients)))
    return clients * each / (time.perf_counter() - began)


async def times(
    count: int, act: Callable[[int], Awaitable[object]], warm: int = 3, pause_s: float = 0.0
) -> list[float]:
    """Seconds of each of `count` calls, one after the other, a pause before each, after a few that are not counted."""
    for at in range(warm):
        await act(at)
    took = []
    for at in range(count):
        await asyncio.sleep(pause_s)
        began = time.perf_counter()
        await act(at)
        took.append(time.perf_counter() - began)
    return took


def percentile(values: Sequence[float], share: float = 0.99) -> float:
    """The smallest value that `share` of the values do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def family(pid: int) -> list[psutil.Process]:
    """A process and what it started."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def processor_s(processes: Iterable[psutil.Process], *, ended: bool = False) -> float:
    """Seconds of processor that these have taken; `ended` counts what children took that are over, too."""
    spent = 0.0
    for one in processes:
        with suppress(psutil.NoSuchProcess):  # One of a server's that swept a table, and is done.
            spent += sum(one.cpu_times()[: 4 if ended else 2])
    return spent


def resident_mib(processes: Iterable[psutil.Process]) -> float:
    """MiB of these: the pages each alone has, and its share of those that several use."""
    held = 0.0
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            held += one.memory_full_info().pss
    return held / 1024.0**2
