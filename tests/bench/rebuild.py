"""How fast are the read models built anew, beside the live projection; and what do live reports feel of it?"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from statistics import median
from typing import Final

import uvloop

from events.topics import SERVICES
from services.kernel.garbage import BATCHES, collect_rarely
from services.projections.rebuild import rebuild_from, step_back
from tests.bench.bench import Bench, percentile, tend, times
from tests.bench.figure import Figure, at_least, at_most
from tests.bench.project import INVOICES, ROUNDS, Books, books, live_rate
from tests.bench.web import Web, serving

_QUIET: Final = 600  # Reports asked for before it: about as many as during it, so that both have a 99th percentile.
_PAUSE_S: Final = 0.01  # A reader does not ask again in the same moment, before a rebuild or during it.
_MS: Final = 1_000.0
_REPORT: Final = "/aging?by=branch&limit=300"

_BOUND: Final = (
    "The processor, both cores of it: where 16 us elapse a fact, 13 are of Python, which folds what the live worker"
    " folds, 9 of Postgres meanwhile and 4 for indexes, keys and balances. What makes the live projection quicker makes"
    " this ratio smaller."
)
_SHARED: Final = (
    "A report shares two cores with one process of the rebuild, which steps back, and with what Postgres does for it,"
    " which cannot."
)


async def measure(bench: Bench) -> list[Figure]:
    live: list[float] = []
    alone: list[float] = []  # With nothing beside it, as the live projection.
    async with books(bench, bench.count(INVOICES, 1_000)) as published, bench.databases() as make:
        for _ in range(ROUNDS):
            of = published.into(await make("projections"))
            live.append(await live_rate(of))
            await tend(of.settings.database_url, "ANALYZE")  # As autovacuum does within a minute.
            alone.append((await _rebuilt(of))[0])
        async with serving("reporting", of.settings.database_url, bench.directory) as web:
            quiet = percentile(await _asked(web, _QUIET, warm=3))
            rate, during = await _rebuilt(of, web)
    beside = "the live projection"
    return [
        Figure("rebuild from the event stores", median(alone), "facts/s", median(live), beside, at_least(1.5), _BOUND),
        Figure("the same, while a report is asked for all the time", rate, "facts/s"),
        Figure("reports' p99 during a rebuild", during * _MS, "ms", quiet * _MS, "before it", at_most(2), _SHARED),
    ]


async def _rebuilt(of: Books, web: Web | None = None) -> tuple[float, float]:
    """Facts a second of a rebuild in a process of its own, and the 99th percentile of reports asked for meanwhile."""
    asked = {
        "live": of.settings.database_url,
        "sources": {service: of.urls[service] for service in SERVICES},
        "topics": dict(of.settings.topics()),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.rebuild", json.dumps(asked), stdout=asyncio.subprocess.PIPE
    )
    took: list[float] = []
    while web is not None and process.returncode is None:
        took += await _asked(web, 1)
    out, _ = await process.communicate()
    told = json.loads(out.splitlines()[-1])
    return told["facts"] / told["seconds"], percentile(took) if took else 0.0


async def _asked(web: Web, how_often: int, warm: int = 0) -> list[float]:
    """Seconds of each report that is asked for."""
    return await times(how_often, lambda _: web.get(_REPORT), warm, _PAUSE_S)


async def _run(asked: str) -> None:
    """The rebuild, as `openitem rebuild` does it; tells how many facts and how long."""
    told = json.loads(asked)
    began = time.perf_counter()
    done = await rebuild_from(told["live"], told["sources"], told["topics"])
    sys.stdout.write(json.dumps({"facts": sum(done.values()), "seconds": time.perf_counter() - began}) + "\n")


if __name__ == "__main__":
    collect_rarely(BATCHES)  # This and the next as `openitem` does.
    step_back()
    uvloop.run(_run(sys.argv[1]))
