"""The four event stores with facts in them, and the consumer's path from there into the read models, without Kafka."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any
from zlib import crc32

import asyncpg
from aiokafka import TopicPartition

from events import codec
from events.topics import PARTITIONS, SERVICES, topic_of
from services.kernel import position
from services.kernel.apply import apply
from services.kernel.delivery import Delivered
from services.kernel.position import Spot
from services.kernel.sift import arrive, place
from services.projections.project import CONSUMER, handler

TOPICS = {service: topic_of(service) for service in SERVICES}


def service_said(known: Delivered) -> str:
    return known.envelope.type.split(".")[1]


async def record(urls: dict[str, str], log: Iterable[Delivered]) -> None:
    """Put facts into their owners' event stores as recorded and published, in one transaction per service."""
    by_service: dict[str, list[Delivered]] = defaultdict(list)
    for known in log:
        by_service[service_said(known)].append(known)
    for service, facts in by_service.items():
        conn = await asyncpg.connect(urls[service])
        try:
            async with conn.transaction():
                await conn.executemany(
                    "INSERT INTO streams VALUES ($1, $2) ON CONFLICT (stream) DO UPDATE SET version = excluded.version",
                    [(f.envelope.stream, f.envelope.stream_version) for f in facts],
                )
                await conn.executemany(_INSERT, [_row(f) for f in facts])
                await conn.execute("UPDATE relay SET seq_assigned = $1", facts[-1].envelope.seq)
        finally:
            await conn.close()


class Kafka:
    """Twelve partitions per topic, each a list of records; a fact's partition follows from its stream."""

    def __init__(self) -> None:
        self.partitions: dict[TopicPartition, list[Any]] = defaultdict(list)

    def send(self, log: Iterable[Delivered]) -> None:
        for known in log:
            number = crc32(known.envelope.stream.encode()) % PARTITIONS
            at = TopicPartition(TOPICS[service_said(known)], number)
            record = SimpleNamespace(
                topic=at.topic,
                partition=number,
                key=known.envelope.stream.encode(),
                offset=len(self.partitions[at]),
                headers=tuple(codec.headers_of(known.envelope)),
                value=codec.encode(known.fact),
            )
            self.partitions[at].append(record)

    def spoil(self, stream: str, version: int) -> None:
        """Make one record unreadable."""
        for records in self.partitions.values():
            for one in records:
                headers = dict(one.headers)
                if headers["ce_subject"] == stream.encode() and headers["ce_streamversion"] == b"%d" % version:
                    one.value = b"{"


class Live:
    """A consumer that takes some records from every partition per round, as a worker does."""

    def __init__(self, conn: asyncpg.Connection, kafka: Kafka) -> None:
        self.conn = conn
        self.kafka = kafka

    async def round(self, most: int = 40) -> int:
        """One transaction; answers how many records it took."""
        every = [TopicPartition(topic, number) for topic in TOPICS.values() for number in range(PARTITIONS)]
        spots: dict[TopicPartition, Spot] = await position.load(
            self.conn, CONSUMER, every, dict.fromkeys(TOPICS.values())
        )
        delivery = {at: self.kafka.partitions[at][spot.next_offset :][:most] for at, spot in spots.items()}
        reading = place({at: [arrive(one) for one in records] for at, records in delivery.items() if records}, spots)
        if reading.moves:
            try:
                await apply(self.conn, CONSUMER, handler, reading)
            except asyncpg.DeadlockDetectedError:  # A rebuild takes the same locks in another order: one gives way.
                return await self.round(most)
        return sum(map(len, delivery.values()))

    async def drain(self) -> None:
        while await self.round():
            pass


def sources(urls: dict[str, str]) -> dict[str, str]:
    return {service: urls[service] for service in SERVICES}


def _row(known: Delivered) -> Sequence[object]:
    e = known.envelope
    return (
        e.stream,
        e.stream_version,
        e.event_id,
        e.type,
        e.branch,
        known.fact.effective_on,
        codec.encode(known.fact).decode(),
        e.actor,
        e.correlation_id,
        e.recorded_at,
        e.seq,
    )


_INSERT = """
WITH said AS (
    INSERT INTO events (stream, stream_version, event_id, type, branch, effective_on, data, actor, correlation_id,
                        recorded_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7::json, $8, $9, $10) RETURNING position
)
INSERT INTO published (seq, position) SELECT $11, position FROM said
"""
