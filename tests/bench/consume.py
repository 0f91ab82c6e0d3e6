"""How fast does a consumer read, check and commit, beside a bare loop that only fetches and decodes?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from events.codec import decode, envelope_of
from events.topics import PARTITIONS, topic_of
from services.kernel.consume import Consumer
from services.kernel.delivery import ConsumerSpec, Delivered
from services.kernel.settings import Settings
from services.kernel.store import Conn
from services.kernel.topics import create_topics
from tests.bench.bench import Bench
from tests.bench.figure import Figure, at_least
from tests.bench.poll import until
from tests.bench.relay import relay_rate
from tests.support.facts import store_of

FACTS: Final = 100_000
BATCH: Final = 2_000


async def measure(bench: Bench) -> list[Figure]:
    """The consumer with a handler that does nothing."""
    async with bench.databases() as make:
        settings = bench.settings("invoice", await make("invoice"))
        await asyncio.to_thread(create_topics, settings.kafka, settings.topic_prefix, services=["invoice"])
        facts = bench.count(FACTS)
        await relay_rate(settings, facts)
        ours = await consumer_rate(settings, facts)
        bare = await bare_rate(settings, facts)
    return [Figure("consumer", ours, "facts/s", bare, "a bare getmany loop that decodes", at_least(0.4))]


async def nothing(conn: Conn, batch: Sequence[Delivered]) -> None:
    """A handler without effects: what remains is the consumer itself."""


async def consumer_rate(settings: Settings, facts: int) -> float:
    """Facts a second from the first commit to the last, each stream's version checked and stored."""
    async with store_of(settings.database_url) as store:
        name = f"bench-{uuid4().hex[:6]}"
        reached = "SELECT coalesce(sum(next_offset), 0)::bigint FROM consumer_position WHERE consumer = $1"
        consumer = Consumer(settings, ConsumerSpec(name, ["invoice"], nothing, BATCH), store.pool)
        await consumer.start()
        await until(lambda: store.pool.fetchval(f"SELECT ({reached}) > 0", name))
        began, before = time.perf_counter(), await store.pool.fetchval(reached, name)
        await until(lambda: store.pool.fetchval(f"SELECT ({reached}) >= $2", name, facts))
        took = time.perf_counter() - began
        await consumer.stop()
    return (facts - before) / took


async def bare_rate(settings: Settings, facts: int) -> float:
    """Facts a second of `getmany` with every header and all data decoded, and nothing stored."""
    topic = topic_of(settings.service, settings.topic_prefix)
    kafka = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=2 * 1024 * 1024,
    )
    await kafka.start()
    kafka.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    first = sum(map(len, (await _some(kafka)).values()))
    began, got = time.perf_counter(), 0
    while first + got < facts:
        for records in (await _some(kafka)).values():
            for record in records:
                decode(envelope_of(record.headers).type, record.value)
            got += len(records)
    took = time.perf_counter() - began
    await kafka.stop()
    return got / took


async def _some(kafka: AIOKafkaConsumer) -> dict[TopicPartition, list[object]]:
    found: dict[TopicPartition, list[object]] = await kafka.getmany(timeout_ms=500, max_records=BATCH)
    return found
