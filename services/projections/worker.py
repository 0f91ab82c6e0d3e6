"""The worker: one consumer over all four topics, and timers for the laws and the snapshots."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import asyncpg
import structlog

from events.topics import SERVICES
from services.kernel.delivery import ConsumerSpec, Running, Timer
from services.kernel.law_metrics import LAW_BROKEN
from services.kernel.meta import ALL
from services.kernel.serve import EXIT_SETTINGS, read_settings
from services.kernel.settings import Settings
from services.kernel.store import Pool
from services.kernel.transient import is_transient
from services.kernel.worker import run_worker
from services.projections import schema, snapshots
from services.projections.fold import IGNORED
from services.projections.instants import send_quickly
from services.projections.laws import Law, laws
from services.projections.project import CONSUMER, handler

# Larger batches than a policy's: their rows meet each other in memory, and what a transaction costs is shared by more.
# Few facts are not gathered for long: somebody may wait to see his own.
CONSUMERS: Final = [ConsumerSpec(CONSUMER, SERVICES, handler, batch_max=8_000, gather_s=0.03, ignored=IGNORED, lanes=3)]
_LAWS_S: Final = 60.0
_THOROUGH_S: Final = 3600.0
_SNAPSHOTS_S: Final = 60.0

log = structlog.stdlib.get_logger(__name__)


async def check_laws(pool: Pool, *, thorough: bool = False) -> list[Law]:
    """Check the laws, set the metric, and log what is broken."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        await conn.execute("SELECT set_config('openitem.branches', $1, true)", ALL)
        await schema.use(conn, schema.LIVE)
        found = await laws(conn, thorough=thorough)
    for name in {law.name for law in found}:
        broken = [law for law in found if law.name == name and not law.holds]
        LAW_BROKEN.labels(f"projections.{name}").set(len(broken))
        for law in broken:
            log.error("law_broken", law=name, currency=law.currency, difference_minor=law.difference_minor)
    return found


async def _often(running: Running) -> None:
    await check_laws(running.store.pool)


async def _thoroughly(running: Running) -> None:
    await check_laws(running.store.pool, thorough=True)


async def _snapshots(running: Running) -> None:
    await snapshots.prune(running.store.pool)
    await snapshots.build_missing(running.store.pool)


TIMERS: Final = [
    Timer("laws", _LAWS_S, _often),
    Timer("laws_thorough", _THOROUGH_S, _thoroughly),
    Timer("snapshots", _SNAPSHOTS_S, _snapshots),
]


async def refuse_other_definition(settings: Settings) -> None:
    """Say at once that a rebuild is needed. A database that is away the worker waits for; every batch asks again.

    Errors   SchemaDiffers.
    """
    try:
        conn = await asyncpg.connect(settings.database_url, timeout=5)
        try:
            await schema.check(conn)
        finally:
            await conn.close()
    except Exception as error:
        if not is_transient(error):
            raise


def main() -> None:
    settings = read_settings(Settings, "projections")
    try:
        asyncio.run(refuse_other_definition(settings))
    except schema.SchemaDiffers as error:
        sys.stderr.write(f"projections: {error}\n")
        sys.exit(EXIT_SETTINGS)
    run_worker(settings, consumers=CONSUMERS, relay=False, timers=TIMERS, prepare=send_quickly)


if __name__ == "__main__":
    main()
