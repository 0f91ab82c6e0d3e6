"""Are the books right when processes die, are stopped or fight, while people work?"""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from deploy.embedded.ports import free_port

if TYPE_CHECKING:
    from tests.support.fire import Fire

pytestmark = pytest.mark.xdist_group("fire")
LOAD = 60.0  # Commands a second: batches are in flight at any moment.


async def test_relay_consumer_and_app_killed_in_mid_batch(under_fire: Fire) -> None:
    """The worker of payment is relay and consumer in one; that of projections is the consumer of everything."""
    async with under_fire.at_work("killed", LOAD) as counter:
        await asyncio.sleep(1.5)
        for name in ("payment-worker", "projections-worker", "payment-app", "invoice-app", "invoice-worker"):
            under_fire.kill(name)
            await asyncio.sleep(0.3)
        await under_fire.up()
        await asyncio.sleep(1)
    assert counter.unknown, "nobody noticed: the load was too small"
    await under_fire.all_right()


async def test_sigterm_under_load_leaves_nothing_undone(under_fire: Fire) -> None:
    async with under_fire.at_work("stopped", LOAD):
        await asyncio.sleep(1)
        restarts = ("contact-worker", "contact-app", "payment-worker", "projections-worker")
        await asyncio.gather(*(under_fire.restart(name) for name in restarts))
    await under_fire.all_right()
    for name in restarts:
        assert "Traceback" not in under_fire.supervisor.log(name).read_text(errors="replace").split("starting")[-1]


async def test_two_workers_fight_for_partitions_and_one_freezes(under_fire: Fire, freeze_s: float) -> None:
    """The second joins and takes half; the first is frozen in mid-batch, and commits nothing of what it lost."""
    async with under_fire.at_work(f"fought-for-{freeze_s:.0f}", LOAD):
        second = another(under_fire, "projections-worker")
        try:
            await asyncio.sleep(3)
            await under_fire.freeze("projections-worker", freeze_s)
            await asyncio.sleep(1)
        finally:
            second.kill()
            await asyncio.to_thread(second.wait)
    await under_fire.all_right()


def another(fire: Fire, name: str) -> subprocess.Popen[bytes]:
    """A second process of a worker, on a port of its own."""
    [program] = [program for program in fire.supervisor.programs if program.name == name]
    environment = os.environ | dict(program.environment) | {"OPENITEM_WORKER_PORT": str(free_port())}
    return subprocess.Popen(program.command, env=environment, stderr=subprocess.DEVNULL)
