"""How fast do facts become read models, all of them, in one worker; beside only reading, and beside a Faust agent?"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Final

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from events.topics import PARTITIONS, SERVICES
from services.kernel.relay import Relay
from services.kernel.settings import Settings
from services.kernel.sift import arrive
from services.kernel.topics import create_topics
from services.projections.worker import CONSUMERS
from tests.bench.bench import Bench, tend
from tests.bench.figure import Figure, Wanted, at_least
from tests.bench.ledger import Ledger, record
from tests.bench.poll import until

INVOICES: Final = 60_000  # 330,000 facts with what becomes of them.
_BATCH: Final = CONSUMERS[0].batch_max


@dataclass(frozen=True, slots=True)
class Books:
    """A ledger in the event stores and in Kafka. `facts` is how many there are, over all services."""

    settings: Settings
    urls: dict[str, str]
    facts: int

    def into(self, database: str) -> Books:
        """The same, with read models in another database."""
        return replace(self, settings=self.settings.model_copy(update={"database": database}))


@asynccontextmanager
async def books(bench: Bench, invoices: int) -> AsyncIterator[Books]:
    """Published books over `invoices` invoices, and an empty database for read models."""
    async with bench.databases() as make:
        urls = {service: await make(service) for service in (*SERVICES, "projections")}
        settings = bench.settings("projections", urls["projections"])
        await asyncio.to_thread(create_topics, settings.kafka, settings.topic_prefix)
        await record(Ledger(invoices), urls["invoice"], urls["payment"])
        facts = 0
        for service in ("invoice", "payment"):
            facts += await publish(bench.settings(service, urls[service], settings.topic_prefix))
            await tend(urls[service], "VACUUM (ANALYZE)", "CHECKPOINT")
        yield Books(settings, urls, facts)


async def publish(settings: Settings) -> int:
    """Relay everything that was recorded; answers how many facts that were."""
    conn = await asyncpg.connect(settings.database_url)
    relay = Relay(settings)
    try:
        count = int(await conn.fetchval("SELECT count(*) FROM events"))
        await relay.start()
        await until(lambda: conn.fetchval("SELECT seq_acknowledged >= $1 FROM relay", count))
        return count
    finally:
        await relay.stop()
        await conn.close()


async def live_rate(of: Books) -> float:
    """Facts a second into an empty database, from the moment the first are there to be folded to the last commit, of a
    process of its own, as the worker is.
    """
    return await _told([sys.executable, "-m", "tests.bench.live", of.settings.model_dump_json(), str(of.facts)])


async def bare_rate(of: Books) -> float:
    """Facts a second of `getmany` with headers and data decoded, and nothing done with them."""
    kafka = AIOKafkaConsumer(
        bootstrap_servers=of.settings.kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2 * 1024 * 1024,
    )
    await kafka.start()
    try:
        topics = of.settings.topics().values()
        kafka.assign([TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)])
        got, first, began = 0, 0, 0.0
        while got < of.facts:
            for records in (await kafka.getmany(timeout_ms=500, max_records=_BATCH)).values():
                got += len([arrive(each) for each in records])
            if not began and got:
                began, first = time.perf_counter(), got
        return (got - first) / (time.perf_counter() - began)
    finally:
        await kafka.stop()


async def agent_rate(of: Books, *, versions: bool) -> float:
    """Facts a second of a Faust agent with `take()` that makes the same upserts, those of the streams' `versions`
    among them or not, in a process of its own.

    Its group is named for the database, so that it reads from the beginning.
    """
    environment = os.environ | {
        "BENCH_VERSIONS": "kept" if versions else "",
        "BENCH_KAFKA": of.settings.kafka,
        "BENCH_PREFIX": of.settings.topic_prefix,
        "BENCH_DATABASE": of.settings.database_url,
        "BENCH_FACTS": str(of.facts),
    }
    with tempfile.TemporaryDirectory() as room:  # Faust makes a directory of its own, wherever it is started.
        environment["BENCH_ROOM"] = room
        return await _told([sys.executable, "-m", "tests.bench.faust_agent"], environment)


async def _told(command: Sequence[str], environment: Mapping[str, str] | None = None) -> float:
    """The rate that a program tells on its last line of JSON."""
    ran = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in ran.stdout.splitlines() if line.startswith("{")]
    assert lines, ran.stdout[-2_000:] + ran.stderr[-2_000:]
    return float(json.loads(lines[-1])["rate"])


ROUNDS: Final = 3  # By turns, and the median of each counts: a machine's speed changes from one minute to the next.
_BOUND: Final = (
    "The processor bounds it: where 25 us elapse a fact, 22 are of one Python process (it fetches, decodes, folds, lays"
    " out rows and frees them), 21 of Postgres and 2 of Kafka, on two cores that are busy for 93 % of the time; see"
    " services/projections/README.md."
)
_SAME: Final = (
    "The agent folds with our code, and upserts the same rows as arrays, one statement per table and batch, streams'"
    " versions and positions among them, which it never looks at: it can double what we cannot. "
)
_LESS: Final = "This one keeps no versions and no positions: it does a tenth less than we do, and can tell no repeat. "


async def measure(bench: Bench) -> list[Figure]:
    rates: defaultdict[str, list[float]] = defaultdict(list)
    async with books(bench, bench.count(INVOICES, 1_000)) as of, bench.databases() as make:
        for _ in range(ROUNDS):
            rates["bare"].append(await bare_rate(of))
            rates["ours"].append(await live_rate(of.into(await make("projections"))))
            rates["agent"].append(await agent_rate(of.into(await make("projections")), versions=True))
            rates["less"].append(await agent_rate(of.into(await make("projections")), versions=False))
    rate = {name: median(each) for name, each in rates.items()}
    agent = "a Faust agent with take(), the same upserts"

    def beside(limit: str, what: str, wanted: Wanted, why: str) -> Figure:
        return Figure(
            "projection, all read models, one worker", rate["ours"], "facts/s", rate[limit], what, wanted, why
        )

    return [
        beside("bare", "a bare getmany loop that decodes", at_least(0.4), _BOUND),
        beside("agent", agent, at_least(3), _SAME + _BOUND),
        beside("less", f"{agent} but versions and positions", at_least(3), _LESS + _BOUND),
    ]
