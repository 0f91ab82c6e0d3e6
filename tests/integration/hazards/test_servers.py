"""Are the books right when Postgres or Kafka dies or is away, while people work?"""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import until

if TYPE_CHECKING:
    from tests.support.fire import Fire

pytestmark = pytest.mark.xdist_group("fire")
LOAD = 60.0


@pytest.mark.parametrize("server", ["kafka", "postgres"])
async def test_a_server_killed_in_mid_batch_and_brought_back(under_fire: Fire, server: str) -> None:
    async with under_fire.at_work(f"{server}-killed", LOAD):
        await asyncio.sleep(1.5)
        under_fire.kill(server)
        await under_fire.up()
    await under_fire.all_right()


async def test_postgres_restarted(under_fire: Fire) -> None:
    async with under_fire.at_work("postgres-restarted", LOAD):
        await asyncio.sleep(1)
        await under_fire.restart("postgres")
    await under_fire.all_right()


async def test_databases_that_refuse_connections(under_fire: Fire, outage_s: float) -> None:
    """A command meanwhile is answered 503 or not at all, and counts once when it is sent again."""

    async def noticed() -> bool:
        return any("503 unavailable" in line for line in counter.history)

    async with under_fire.at_work(f"refused-{outage_s:.0f}", LOAD) as counter:
        await asyncio.sleep(1)
        async with under_fire.refusing_connections("invoice", "payment", "projections"):
            await asyncio.sleep(outage_s)
            await until(noticed)
    await under_fire.all_right()


async def test_a_broker_that_is_away(under_fire: Fire, outage_s: float) -> None:
    """Commands go on: what they record waits in the outbox, and its age can be seen."""
    from tests.support.clerk import Clerk

    async def waits_for(seconds: float) -> bool:
        return await under_fire.metric("invoice", "openitem_relay_oldest_unpublished_seconds") > seconds

    async def nothing_waits() -> bool:
        return not await waits_for(0)

    async with under_fire.at_work(f"broker-away-{outage_s:.0f}", LOAD) as counter:
        await asyncio.sleep(1)
        await under_fire.stop("kafka")
        await asyncio.sleep(outage_s / 2)
        clerk = Clerk(counter, f"without-broker-{outage_s:.0f}", Random(7))
        await clerk.begin()
        await clerk.receive()
        await asyncio.sleep(outage_s / 2)
        await until(lambda: waits_for(outage_s / 4))
        await under_fire.start("kafka")
    await under_fire.all_right()
    await until(nothing_waits)
