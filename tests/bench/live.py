"""The live projection in a process of its own: a program that is told the settings, and how many facts there are."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import uvloop

from services.kernel.consume import Consumer
from services.kernel.delivery import Delivered
from services.kernel.garbage import BATCHES, collect_rarely
from services.kernel.meta import EVERY_BRANCH
from services.kernel.settings import Settings
from services.kernel.store import Conn, open_pool
from services.projections.instants import send_quickly
from services.projections.project import handler
from services.projections.worker import CONSUMERS
from tests.bench.poll import until


async def rate(settings: Settings, facts: int) -> float:
    """Facts a second, from the moment the first are there to be folded to the last commit."""
    pool = await open_pool(settings.database_url, size_max=4, branches=EVERY_BRANCH, prepare=send_quickly)
    began: list[float] = []

    async def noting(conn: Conn, batch: Sequence[Delivered]) -> None:
        began.append(time.perf_counter())
        await handler(conn, batch)

    consumer = Consumer(settings, replace(CONSUMERS[0], handler=noting), pool)
    done = "SELECT coalesce(sum(next_offset), 0)::bigint FROM consumer_position"
    try:
        await consumer.start()
        await until(lambda: pool.fetchval(f"SELECT ({done}) >= $1", facts))
        return facts / (time.perf_counter() - began[0])
    finally:
        await consumer.stop()
        pool.terminate()


if __name__ == "__main__":
    collect_rarely(BATCHES)  # As the worker does.
    told = uvloop.run(rate(Settings.model_validate_json(sys.argv[1]), int(sys.argv[2])))
    sys.stdout.write(json.dumps({"rate": told}) + "\n")
