"""How fast does the relay publish, beside a bare loop that sends batches of the same records it already holds?"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from aiokafka import AIOKafkaProducer
from kafka import KafkaProducer

from events.codec import headers_of
from events.envelope import Envelope
from events.topics import PARTITIONS, partition_of, topic_of
from services.kernel.outbox import Row, open_outbox
from services.kernel.relay import Relay
from services.kernel.settings import Settings
from services.kernel.store import Change, Decision, Store, Streams
from services.kernel.topics import create_topics
from tests.bench.bench import Bench
from tests.bench.figure import Figure, at_least
from tests.bench.poll import until
from tests.support.facts import account_fact, meta, store_of, stream_of

FACTS: Final = 200_000
BATCH: Final = 3_000  # What the relay has in flight at once, so that both do.
PLAIN: Final = 20_000  # Of a client that takes its time.
_APPEND: Final = 2_000
_BOUND: Final = (
    "Processor time bounds it, of our process, PostgreSQL and Kafka; the bare loop has only its own and Kafka's, and so"
    " loses less where other programs run."
)


async def measure(bench: Bench) -> list[Figure]:
    """The relay, and beside it the two clients without a database."""
    async with bench.databases() as make:
        settings = bench.settings("invoice", await make("invoice"))
        await asyncio.to_thread(create_topics, settings.kafka, settings.topic_prefix, services=["invoice"])
        facts = bench.count(FACTS)
        ours = await relay_rate(settings, facts)
        bare = await bare_rate(settings)
        plain = await asyncio.to_thread(plain_rate, settings, await _rows(settings, min(facts, PLAIN)))
    return [
        Figure("relay", ours, "facts/s", bare, "a bare aiokafka send_batch loop", at_least(0.4), _BOUND),
        Figure("relay", ours, "facts/s", plain, "a bare kafka-python producer", at_least(2)),
    ]


async def fill(store: Store, facts: int) -> None:
    """Record facts, two in each stream, as an import would."""
    accounts = [uuid4() for _ in range(facts // 2)]
    for at in range(0, len(accounts), _APPEND):
        some = accounts[at : at + _APPEND]

        async def decide(_: Streams, some: list[UUID] = some) -> Decision:
            return Decision([Change(stream_of(a), 0, [account_fact(a, 1), account_fact(a, 2)]) for a in some])

        await store.execute(meta(), decide)


async def relay_rate(settings: Settings, facts: int) -> float:
    """Facts a second, from a full outbox to the last acknowledgement."""
    async with store_of(settings.database_url) as store:
        await fill(store, facts)
        relay = Relay(settings)
        began = time.perf_counter()
        await relay.start()
        await until(lambda: store.pool.fetchval("SELECT seq_acknowledged >= $1 FROM relay", facts))
        took = time.perf_counter() - began
        await relay.stop()
    return facts / took


async def bare_rate(settings: Settings) -> float:
    """Facts a second of `create_batch` and `send_batch`, of records that lie in memory with their headers made."""
    topic = topic_of(settings.service, settings.topic_prefix)
    ready = [_ready(row) for row in await _rows(settings, 10**6)]
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True, max_batch_size=512 * 1024, linger_ms=0
    )
    await producer.start()
    began = time.perf_counter()
    for at in range(0, len(ready), BATCH):
        batches = {number: producer.create_batch() for number in range(PARTITIONS)}
        for partition, stamp, key, value, headers in ready[at : at + BATCH]:
            batches[partition].append(timestamp=stamp, key=key, value=value, headers=headers)
        sent = [await producer.send_batch(b, topic, partition=p) for p, b in batches.items() if b.record_count()]
        await asyncio.gather(*sent)
    took = time.perf_counter() - began
    await producer.stop()
    return len(ready) / took


def plain_rate(settings: Settings, rows: list[Row]) -> float:
    """Facts a second of kafka-python, its batches as large as it takes them."""
    topic = topic_of(settings.service, settings.topic_prefix)
    ready = [_ready(row) for row in rows]
    producer = KafkaProducer(
        bootstrap_servers=settings.kafka, acks="all", enable_idempotence=True, batch_size=512 * 1024, linger_ms=5
    )
    began = time.perf_counter()
    for partition, stamp, key, value, headers in ready:
        producer.send(topic, partition=partition, timestamp_ms=stamp, key=key, value=value, headers=headers)
    producer.flush()
    took = time.perf_counter() - began
    producer.close()
    return len(ready) / took


async def _rows(settings: Settings, count_max: int) -> list[Row]:
    async with open_outbox(settings.database_url) as outbox:
        return await outbox.taken(0, count_max)


def _ready(row: Row) -> tuple[int, int, bytes, bytes, list[tuple[str, bytes]]]:
    envelope = Envelope(
        event_id=UUID(row["event_id"]),
        type=row["type"],
        source="/openitem/invoice",
        stream=row["stream"],
        stream_version=row["stream_version"],
        seq=row["seq"],
        recorded_at=datetime.fromtimestamp(row["recorded_at"] / 1_000_000, UTC),
        actor=row["actor"],
        branch=row["branch"],
        correlation_id=row["correlation_id"],
    )
    key = row["stream"].encode()
    return (
        partition_of(key),
        row["recorded_at"] // 1_000,
        key,
        row["data"].encode(),
        headers_of(envelope),
    )
