"""Rows of the event store to Kafka: records with CloudEvents headers, in batches by partition, in an order that holds.

Consumers drop what has a lower seq than they have seen of a partition. So a later batch must never overtake an earlier
one: a round has at most one batch of each partition, and the next round waits until Kafka has all of this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from struct import Struct
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from events.codec import Headers
from events.topics import PARTITIONS
from services.kernel import tracing
from services.kernel.outbox import Row

# What one produce request carries for one partition. Below every broker's default limit (1 MiB) even with the largest
# fact, `FACT_BYTES_MAX`, which then goes alone.
_BATCH_BYTES_MAX: Final = 512 * 1024
# A broker that neither acknowledges nor fails for so long: begin again with a new connection.
_ACKNOWLEDGE_S_MAX: Final = 120.0
_STOP_S_MAX: Final = 2.0
_FIXED: Final[Headers] = [("content-type", b"application/json"), ("ce_specversion", b"1.0")]
_WORDS: Final = [Struct(f"<{n}I") for n in range(65)]

Round: TypeAlias = "dict[int, Any]"  # Partition to aiokafka's BatchBuilder.


class Wave:
    """Facts on their way: rounds to send one after the other. `last` is the highest seq among them.

    `traceparents` are those of its facts, as far as traces are on.
    """

    def __init__(
        self, rounds: list[Round], last: int, count: int, oldest: datetime, traceparents: Sequence[str] = ()
    ) -> None:
        self.rounds = rounds
        self.last = last
        self.count = count
        self.oldest = oldest
        self.traceparents = traceparents


class Publisher:
    """A producer for one service's topic. After any error it is of no more use: `abandon` it and make another."""

    def __init__(self, bootstrap: str, service: str, topic: str) -> None:
        self._topic = topic
        self._service = service
        self._types: dict[str, bytes] = {}
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            client_id=f"openitem-{service}-relay",
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES_MAX,
            linger_ms=0,
            request_timeout_ms=15_000,
            retry_backoff_ms=100,
        )

    async def start(self) -> None:
        await self._producer.start()

    def wave(self, rows: Sequence[Row]) -> Wave:
        """Encode facts, which come in the order of their seq. Each partition's facts keep that order."""
        rounds: list[Round] = []
        at: dict[int, int] = {}  # Which round a partition has come to.
        for row in rows:
            key = row[3].encode()
            partition = partition_of(key)
            headers, stamp = headers_of_row(row, key, self._service, self._types), int(row[5].timestamp() * 1000)
            value = row[11].encode()
            number = at.get(partition)
            if (
                number is None
                or rounds[number][partition].append(timestamp=stamp, key=key, value=value, headers=headers) is None
            ):
                number = at[partition] = 0 if number is None else number + 1
                if number == len(rounds):
                    rounds.append({})
                batch = rounds[number][partition] = self._producer.create_batch()
                batch.append(timestamp=stamp, key=key, value=value, headers=headers)
        traceparents = [row[10] for row in rows if row[10] is not None] if tracing.tracing() else ()
        return Wave(rounds, rows[-1][0], len(rows), rows[0][5], traceparents)

    async def send(self, wave: Wave) -> None:
        """Send the facts; returns when Kafka has all of them.

        Errors   KafkaError or TimeoutError: some may have arrived, and nobody knows which.
        """
        with tracing.publishing(self._topic, wave.traceparents):
            await self._send(wave)

    async def _send(self, wave: Wave) -> None:
        async with asyncio.timeout(_ACKNOWLEDGE_S_MAX):
            for batches in wave.rounds:
                futures = [
                    await self._producer.send_batch(batch, self._topic, partition=partition)
                    for partition, batch in batches.items()
                ]
                # Wait for all even if one fails, so that no failure is left behind unseen.
                outcomes = await asyncio.gather(*futures, return_exceptions=True)
                for outcome in outcomes:
                    if isinstance(outcome, BaseException):
                        raise outcome

    async def abandon(self) -> None:
        """Let go of the producer, and of whatever it still wants to send."""
        try:
            async with asyncio.timeout(_STOP_S_MAX):
                await self._producer.stop()  # Waits until everything is sent, which may be never.
        except (TimeoutError, KafkaError, OSError):
            sender = self._producer._sender  # There is no public way to give up on a batch.
            if sender is not None and sender.sender_task is not None:
                sender.sender_task.cancel()
            await self._producer.client.close()


def headers_of_row(row: Row, key: bytes, service: str, types: dict[str, bytes]) -> Headers:
    """What `codec.headers_of` gives for the envelope of this row, in a third of the time. `types` keeps names."""
    seq, event_id, type_, _, version, recorded_at, actor, branch, correlation, causation, trace, _ = row
    wire = types.get(type_)
    if wire is None:
        wire = types[type_] = type_.encode()
    headers = [
        *_FIXED,
        ("ce_source", b"/openitem/" + service.encode()),
        ("ce_id", event_id.encode()),
        ("ce_type", wire),
        # asyncpg answers in UTC, so this is `codec.time_text` without asking.
        ("ce_time", recorded_at.isoformat(timespec="microseconds")[:26].encode() + b"Z"),
        ("ce_subject", key),
        ("ce_partitionkey", key),
        ("ce_sequence", b"%d" % seq),
        ("ce_streamversion", b"%d" % version),
        ("ce_correlationid", correlation.encode()),
        ("ce_actor", actor.encode()),
        ("ce_branch", branch.encode()),
    ]
    if causation is not None:
        headers.append(("ce_causationid", causation.encode()))
    if trace is not None:
        headers.append(("traceparent", trace.encode()))
    return headers


def partition_of(key: bytes) -> int:
    """The partition of a key, as every Kafka client chooses it: murmur2, the sign bit cleared, modulo the partitions.

    aiokafka's own takes the bytes one by one, and was a fifth of the relay's time.
    """
    length = len(key)
    h = 0x9747B28C ^ length
    words = length >> 2
    unpack = _WORDS[words] if words < len(_WORDS) else Struct(f"<{words}I")
    for k in unpack.unpack_from(key):
        k = (k * 0x5BD1E995) & 0xFFFFFFFF
        h = ((h * 0x5BD1E995) & 0xFFFFFFFF) ^ (((k ^ (k >> 24)) * 0x5BD1E995) & 0xFFFFFFFF)
    if rest := length & 3:
        h = ((h ^ int.from_bytes(key[-rest:], "little")) * 0x5BD1E995) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 0x5BD1E995) & 0xFFFFFFFF
    return ((h ^ (h >> 15)) & 0x7FFFFFFF) % PARTITIONS
