"""A worker as a process of its own, to be killed and watched. Settings from OPENITEM_*."""

from __future__ import annotations

import os

from services.kernel.delivery import ConsumerSpec, Running, Signal, Timer
from services.kernel.serve import read_settings
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.kernel.worker import run_worker
from tests.support.flow import CONSUMER, Notes


async def note_signal(running: Running, signal: Signal) -> None:
    await running.store.pool.execute("INSERT INTO noted (stream, version, by) VALUES ($1, 0, 'signal')", signal.key)


async def tick(running: Running) -> None:
    await running.signal(Signal("look", f"worker {os.getpid()}"))


async def fail(_: Running) -> None:
    if os.environ.get("TEST_FAIL"):
        raise KeyError("a bug")


def consumers(_: Store) -> list[ConsumerSpec]:
    return [ConsumerSpec(CONSUMER, ["invoice"], Notes(by=str(os.getpid())), batch_max=100)]


if __name__ == "__main__":
    run_worker(
        read_settings(Settings, "invoice"),
        consumers=consumers,
        timers=[Timer("tick", 0.5, tick), Timer("fail", 1.0, fail)],
        signals={"look": note_signal},
    )
