"""A consumer: facts from Kafka to a handler, each exactly once in effect, in order within its stream.

Kafka's group only shares out the partitions. Where reading goes on is in Postgres, stored with the effect; the offsets
committed to Kafka are for lag tools and are never read.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError as AioKafkaError
from kafka.errors import KafkaError
from mode import Service

from events.topics import topic_of
from services.kernel import flow_metrics as metrics
from services.kernel import parking, position, topics
from services.kernel.apply import apply
from services.kernel.delivery import ConsumerSpec
from services.kernel.errors import VersionConflict
from services.kernel.lag import Lag
from services.kernel.position import Lost, Spot
from services.kernel.retry import retry
from services.kernel.settings import Settings
from services.kernel.sift import Arrived, Reading, arrive, place
from services.kernel.store import Pool
from services.kernel.transient import is_transient

STALLED_S: Final = 60.0  # Facts wait and nothing was committed for so long: start anew.
_CONFLICTS_MAX: Final = 5  # Tries in place before a batch counts as failed.
_BACKOFF_S_MIN: Final = 0.05
_BACKOFF_S_MAX: Final = 5.0
_SLICE: Final = 100  # Records decoded at a stretch, about a millisecond.
_POLL_MS: Final = 200  # How long a look for records waits; also how soon a stop is seen.
_TICK_S: Final = 1.0
_IDENTITY_S: Final = 10.0  # How often it is checked that the topics are still the ones the offsets count in.
_STOP_S_MAX: Final = 10.0  # For the batch in flight. After that it is rolled back, which harms nothing.
_REVOKE_S_MAX: Final = 5.0  # The same when a rebalance takes partitions away: others wait for us.

Delivery: TypeAlias = dict[TopicPartition, list[Arrived]]
log = structlog.stdlib.get_logger(__name__)


class Stalled(Exception):
    """Facts wait, nothing is committed and nothing says why: only a new process can be expected to do better."""


class Consumer(Service, ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types.
    """One consumer of a service, as a part of its worker. `then` is called after each batch that was committed."""

    def __init__(
        self, settings: Settings, spec: ConsumerSpec, pool: Pool, then: Callable[[], None] = lambda: None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.name = spec.name
        self._settings = settings
        self._pool = pool
        self._then = then
        self._topics = [topic_of(service, settings.topic_prefix) for service in spec.topics]
        self._group = f"{settings.topic_prefix}.{settings.service}.{spec.name}"
        self._spots: dict[TopicPartition, Spot] = {}
        self._ids: dict[str, UUID | None] = {}
        # Counts assignments: whatever was read under an earlier one is thrown away.
        self._generation = 0
        self._settled = -1
        self._busy = asyncio.Lock()
        self._retrying = True
        self._sign_at = time.monotonic()
        self._done = asyncio.Event()
        self._identify_at = 0.0
        self._lag = Lag(spec.name, self._topics)

    @property
    def ready(self) -> bool:
        """It has its share of the partitions, and is not waiting for a server."""
        return not self._retrying and self._settled == self._generation

    async def on_stop(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S_MAX):
                await self._done.wait()

    async def on_partitions_revoked(self, _revoked: Collection[TopicPartition]) -> None:
        """Called by aiokafka before partitions go elsewhere. Lets the batch in flight end; what follows is not ours."""
        self._generation += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_REVOKE_S_MAX), self._busy:
                pass

    async def on_partitions_assigned(self, _assigned: Collection[TopicPartition]) -> None:
        """Called by aiokafka after a rebalance. It swallows errors, so the positions are read in our own loop."""
        self._generation += 1

    @Service.task
    async def _run(self) -> None:
        try:
            failures = 0
            while not self.should_stop:
                try:
                    await self._consume()
                except Exception as error:
                    if not _may_pass(error):
                        log.exception("consumer_failed", consumer=self.name)
                        raise
                    failures += 1
                    await self._back_off(error, failures)
        finally:
            self._done.set()

    @Service.task
    async def _watch(self) -> None:
        """Stop the process when facts wait and neither a commit nor a known cause is seen."""
        while not self.should_stop:
            await self.sleep(_TICK_S)
            silent_s = time.monotonic() - self._sign_at
            if self._lag.facts(self._spots) > 0 and silent_s > STALLED_S:
                raise Stalled(f"{self.name}: {self._lag.facts(self._spots)} facts wait, no commit for {silent_s:.0f} s")

    async def _consume(self) -> None:
        """Join the group and apply what comes, until the service stops or Kafka cannot be asked."""
        kafka = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka,
            client_id=f"openitem-{self._settings.service}-{self.name}",
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            max_partition_fetch_bytes=2 * 1024 * 1024,
        )
        kafka.subscribe(topics=self._topics, listener=self)
        tick_at, failures = 0.0, 0
        ahead: asyncio.Task[Delivery] | None = None
        try:
            await kafka.start()
            while not self.should_stop:
                try:
                    if self._settled != self._generation:
                        # What an earlier assignment brought may lie behind a gap: the fetcher began where Kafka said.
                        await _end(ahead)
                        ahead = None
                        await self._settle_in(kafka)
                    delivery = await (ahead or self._read(kafka))
                    ahead = None
                    if delivery and self._settled == self._generation:
                        # While Postgres works on this one, the next is read.
                        ahead = asyncio.create_task(self._read(kafka))
                        await self._apply(place(delivery, self._spots))
                    if time.monotonic() >= tick_at:
                        tick_at = time.monotonic() + _TICK_S
                        await self._tick(kafka)
                    self._retrying, failures = False, 0
                except Exception as error:
                    if not is_transient(error):
                        raise
                    self._settled = -1  # Read the positions and seek there: the same facts come again.
                    failures += 1
                    await self._back_off(error, failures)
        finally:
            self._generation += 1
            await _end(ahead)
            with suppress(KafkaError, AioKafkaError, OSError, TimeoutError):
                async with asyncio.timeout(_STOP_S_MAX):
                    await kafka.stop()

    async def _read(self, kafka: AIOKafkaConsumer) -> Delivery:
        """The next records, decoded. Errors: KafkaError."""
        delivery: Delivery = {}
        fetched = await kafka.getmany(timeout_ms=_POLL_MS, max_records=self.spec.batch_max)
        for tp, records in fetched.items():
            arrived = delivery[tp] = []
            for at in range(0, len(records), _SLICE):
                arrived += [arrive(record) for record in records[at : at + _SLICE]]
                await asyncio.sleep(0)  # Lets the batch before this one speak to Postgres in between.
        return delivery

    async def _settle_in(self, kafka: AIOKafkaConsumer) -> None:
        """Read the positions of the partitions that are ours now, and seek there.

        Errors   TopicWrong, KafkaError, transient ones.
        """
        generation = self._generation
        mine = kafka.assignment()
        await self._identify()
        async with self._pool.acquire() as conn:
            spots = await position.load(conn, self.name, mine, self._ids)
        if generation != self._generation:
            return  # Another rebalance meanwhile: look again.
        for tp, spot in spots.items():
            kafka.seek(tp, spot.next_offset)
        self._spots = spots
        self._settled = generation
        self._lag.forget()
        log.info("consumer_settled", consumer=self.name, partitions=len(spots))

    async def _identify(self) -> None:
        """See that the topics are as the contract says, and which they are. Errors: TopicWrong, KafkaError."""
        seen = await asyncio.to_thread(topics.describe, self._settings.kafka, self._topics)
        for topic in seen:
            topics.check(topic)
        ids = {topic.name: topic.topic_id for topic in seen}
        if self._ids and ids != self._ids:
            log.warning("topics_created_anew", consumer=self.name)
            self._settled = -1
        self._ids = ids

    async def _apply(self, reading: Reading) -> None:
        """Apply what was read and go on behind it. Errors: transient ones, and those that stop the process."""
        if not reading.moves:
            return
        began = time.monotonic()
        async with self._busy:
            for attempt in range(1, _CONFLICTS_MAX + 1):
                if self._settled != self._generation:
                    return
                try:
                    async with self._pool.acquire() as conn:
                        applied = await apply(conn, self.name, self.spec.handler, reading)
                    break
                except Lost as lost:
                    log.warning("partition_lost", consumer=self.name, error=str(lost))
                    metrics.LOST.labels(self.name).inc()
                    self._settled = -1
                    return
                except (VersionConflict, asyncpg.TransactionRollbackError) as error:
                    # Another transaction was faster: usually nothing is in the way a moment later.
                    metrics.RETRIES.labels(self.name, type(error).__name__).inc()
                    if attempt == _CONFLICTS_MAX:
                        raise
                    await asyncio.sleep(random.uniform(0, 0.01) * attempt)  # noqa: S311 - only to part rivals
        self._spots.update(applied.spots)
        self._sign_at = time.monotonic()
        metrics.BATCH_SECONDS.labels(self.name).observe(self._sign_at - began)
        for topic, count in applied.applied.items():
            metrics.APPLIED.labels(self.name, topic).inc(count)
        for topic, count in applied.repeats.items():
            metrics.DROPPED.labels(self.name, topic).inc(count)
        for code, count in applied.parked.items():
            metrics.PARKED.labels(self.name, code).inc(count)
            log.error("facts_parked", consumer=self.name, code=code, facts=count)
        self._then()

    async def _tick(self, kafka: AIOKafkaConsumer) -> None:
        """Once a second: how far behind we are, what is to be tried again, whether the log is still the same."""
        await self._retry_parked()
        if self._settled != self._generation:
            return
        shrunk = self._lag.look(kafka, self._spots)
        if time.monotonic() >= self._identify_at:
            self._identify_at = time.monotonic() + _IDENTITY_S
            await self._identify()
            await self._lag.ask(kafka, self._spots)
        async with self._pool.acquire() as conn:
            for tp in shrunk:
                # The same topic, but it ends before our position: Kafka lost what it had acknowledged.
                log.error("log_shrank", consumer=self.name, topic=tp.topic, partition=tp.partition)
                await position.restart(conn, self.name, tp)
                self._settled = -1
            await self._lag.store(conn, self._spots)
        if self._spots and self._lag.fresh():
            await self._tell_kafka(kafka)

    async def _retry_parked(self) -> None:
        """Try again what somebody asked for, or what may have been missing for a moment only."""
        for stream in await parking.due(self._pool, self.name):
            async with self._busy, self._pool.acquire() as conn:
                retried = await retry(conn, self.name, self.spec.handler, stream)
            log.info("parked_retried", consumer=self.name, applied=retried.applied, waiting=retried.waiting)
            self._then()

    async def _tell_kafka(self, kafka: AIOKafkaConsumer) -> None:
        """Commit offsets for lag tools. Nothing here depends on it."""
        with suppress(AioKafkaError):
            await kafka.commit({tp: spot.next_offset for tp, spot in self._spots.items()})

    async def _back_off(self, error: Exception, failures: int) -> None:
        self._retrying = True
        self._sign_at = time.monotonic()  # A cause is known: this is no silent standstill.
        metrics.RETRIES.labels(self.name, type(error).__name__).inc()
        log.warning("consumer_retries", consumer=self.name, error=repr(error), failures=failures)
        seconds = min(_BACKOFF_S_MAX, _BACKOFF_S_MIN * 2 ** min(failures, 10))
        await self.sleep(seconds * random.uniform(0.5, 1))  # noqa: S311 - only to part rivals


async def _end(task: asyncio.Task[Delivery] | None) -> None:
    """Throw away what is being read."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _may_pass(error: Exception) -> bool:
    """Whether joining anew may do."""
    return is_transient(error) or isinstance(error, KafkaError | AioKafkaError | topics.TopicMissing)
