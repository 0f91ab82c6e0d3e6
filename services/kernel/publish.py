"""Rows of the event store to Kafka: records with CloudEvents headers, in batches by partition, in an order that holds.

Consumers drop what has a lower seq than they have seen of a partition. So a later batch must never overtake an earlier
one: a round has at most one batch of each partition, and the next round waits until Kafka has all of this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from events.codec import Headers
from events.topics import partition_of
from services.kernel import tracing
from services.kernel.outbox import Row

# What one produce request carries for one partition. Below every broker's default limit (1 MiB) even with the largest
# fact, `FACT_BYTES_MAX`, which then goes alone.
_BATCH_BYTES_MAX: Final = 512 * 1024
# A broker that neither acknowledges nor fails for so long: begin again with a new connection.
_ACKNOWLEDGE_S_MAX: Final = 120.0
_STOP_S_MAX: Final = 2.0
_MS: Final = 1_000
_S: Final = 1_000_000

Round: TypeAlias = "dict[int, Any]"  # Partition to aiokafka's BatchBuilder.


class Wave:
    """Facts on their way: rounds to send one after the other. `last` is the highest seq among them.

    `oldest` is when its first fact was recorded, in microseconds since 1970. `traceparents` are those of its facts, as
    far as traces are on.
    """

    def __init__(
        self, rounds: list[Round], last: int, count: int, oldest: int, traceparents: Sequence[str] = ()
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
        self._fixed = fixed_headers(service)
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
        known: dict[str, tuple[bytes, int]] = {}  # A wave often has several facts of a stream.
        for row in rows:
            stream = row[3]
            if stream in known:
                key, partition = known[stream]
            else:
                key = stream.encode()
                partition = partition_of(key)
                known[stream] = key, partition
            headers, stamp, value = headers_of_row(row, key, self._fixed, self._types), row[5] // _MS, row[11].encode()
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


class Flight:
    """The one wave that is on its way: the next is launched when it has landed. `arrived` is the last seq that has."""

    def __init__(self, publisher: Publisher) -> None:
        self.arrived = 0
        self._publisher = publisher
        self._wave: tuple[Wave, asyncio.Task[None]] | None = None

    async def launch(self, wave: Wave) -> None:
        assert self._wave is None, "one wave would overtake the other"
        self._wave = wave, asyncio.create_task(self._publisher.send(wave))
        await asyncio.sleep(0)  # Lets the batches leave now, not when the next wave is encoded.

    async def landed(self) -> None:
        """Return when Kafka has everything that was launched. Errors: those of `Publisher.send`."""
        if self._wave is not None:
            wave, sending = self._wave
            await sending
            self.arrived, self._wave = wave.last, None

    async def abandon(self) -> None:
        if self._wave is not None:
            self._wave[1].cancel()
            await asyncio.gather(self._wave[1], return_exceptions=True)


def fixed_headers(service: str) -> Headers:
    """What all facts of a service have."""
    source = f"/openitem/{service}".encode()
    return [("content-type", b"application/json"), ("ce_specversion", b"1.0"), ("ce_source", source)]


def headers_of_row(row: Row, key: bytes, fixed: Headers, types: dict[str, bytes]) -> Headers:
    """What `codec.headers_of` gives for the envelope of this row, in a third of the time. `types` keeps names."""
    seq, event_id, type_, _, version, recorded_at, actor, branch, correlation, causation, trace, _ = row
    wire = types.get(type_)
    if wire is None:
        wire = types[type_] = type_.encode()
    headers = [
        *fixed,
        ("ce_id", event_id.encode()),
        ("ce_type", wire),
        ("ce_time", b"%b.%06dZ" % (_second_text(recorded_at // _S), recorded_at % _S)),
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


@lru_cache(maxsize=64)
def _second_text(seconds: int) -> bytes:
    """`codec.time_text` up to the point. Facts of one second come one after the other."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19].encode()
