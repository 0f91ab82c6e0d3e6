"""A consumer: facts from Kafka to a handler, each exactly once in effect, in order within its stream.

Kafka's group only shares out the partitions. Where reading goes on is in Postgres, stored with the effect; the offsets
committed to Kafka are for lag tools and are never read.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog
from aiokafka import TopicPartition
from mode import Service

from events.topics import topic_of
from services.kernel import flow_metrics as metrics
from services.kernel import parking, position, tracing
from services.kernel.apply import apply
from services.kernel.delivery import ConsumerSpec
from services.kernel.errors import VersionConflict
from services.kernel.lag import Lag
from services.kernel.membership import KAFKA_AWAY, Delivery, Membership
from services.kernel.position import Lost, Spot
from services.kernel.retry import retry
from services.kernel.settings import Settings
from services.kernel.sift import Reading, place
from services.kernel.store import Pool
from services.kernel.transient import is_transient

STALLED_S: Final = 60.0  # Facts wait and nothing was committed for so long: start anew.
_CONFLICTS_MAX: Final = 5  # Tries in place before a batch counts as failed.
_BACKOFF_S_MIN: Final = 0.05
_BACKOFF_S_MAX: Final = 2.0
_TICK_S: Final = 1.0
_ASK_S: Final = 10.0  # How often it is checked that the topics are still the ones the offsets count in.
_STOP_S_MAX: Final = 10.0  # For the batch in flight. After that it is rolled back, which harms nothing.

log = structlog.stdlib.get_logger(__name__)


class Stalled(Exception):
    """Facts wait, nothing is committed and nothing says why: only a new process can be expected to do better."""


class Consumer(Service):
    """One consumer of a service, as a part of its worker. `then` is called after each batch that was committed."""

    mundane_level = "debug"

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
        self._spots: dict[TopicPartition, Spot] = {}
        self._ids: dict[str, UUID | None] = {}
        self._member: Membership | None = None
        self._settled = -1  # The generation of the membership whose partitions we have sought our positions in.
        self._busy = asyncio.Lock()
        self._retrying = True
        self._sign_at = time.monotonic()
        self._turn_at = time.monotonic()
        self._done = asyncio.Event()
        self._lag = Lag(spec.name, self._topics)

    @property
    def ready(self) -> bool:
        """It has its share of the partitions, and is not waiting for a server."""
        member = self._member
        return member is not None and member.assigned and self._settled == member.generation and not self._retrying

    async def on_stop(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S_MAX):
                await self._done.wait()

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
            waiting, silent_s = self._lag.facts(self._spots), time.monotonic() - self._sign_at
            if (waiting > 0 and silent_s > STALLED_S) or time.monotonic() - self._turn_at > STALLED_S:
                log.error("consumer_stalled", consumer=self.name, waiting=waiting, silent_s=round(silent_s))
                raise Stalled(f"{self.name}: {waiting} facts wait, no commit for {silent_s:.0f} s")

    async def _consume(self) -> None:
        """Join the group and apply what comes, until the service stops or Kafka cannot be asked."""
        member = self._member = Membership(self._settings, self.name, self._topics, self._busy)
        self._settled = -1
        tick_at, failures = 0.0, 0
        ahead: asyncio.Task[Delivery] | None = None
        asking: asyncio.Task[None] | None = None
        try:
            await member.join()
            asking = asyncio.create_task(self._ask(member))
            while not self.should_stop:
                self._turn_at = time.monotonic()
                try:
                    if asking.done():
                        asking.result()
                    if member.assigned and self._settled != member.generation:
                        # What an earlier assignment brought may lie behind a gap: the fetcher began where Kafka said.
                        await _end(ahead)
                        ahead = None
                        await self._settle_in(member)
                    delivery = await (ahead or member.read(self.spec.batch_max))
                    ahead = None
                    if delivery and self._settled == member.generation:
                        # While Postgres works on this one, the next is read.
                        ahead = asyncio.create_task(member.read(self.spec.batch_max))
                        await self._apply(member, place(delivery, self._spots))
                    if time.monotonic() >= tick_at:
                        tick_at = time.monotonic() + _TICK_S
                        await self._tick(member)
                    self._retrying, failures = False, 0
                except Exception as error:
                    if not is_transient(error):
                        raise
                    self._settled = -1  # Read the positions and seek there: the same facts come again.
                    failures += 1
                    await self._back_off(error, failures)
        finally:
            await _end(ahead)
            await _end(asking)
            await member.leave()

    async def _settle_in(self, member: Membership) -> None:
        """Read the positions of the partitions that are ours now, and seek there.

        Errors   TopicWrong, those of KAFKA_AWAY, transient ones.
        """
        generation, mine = member.generation, member.kafka.assignment()
        self._ids = await member.identify()
        async with self._pool.acquire() as conn:
            spots = await position.load(conn, self.name, mine, self._ids)
        if generation != member.generation:
            return  # Another rebalance meanwhile: look again.
        member.seek(spots)
        self._spots, self._settled = spots, generation
        self._lag.forget()
        log.info("consumer_settled", consumer=self.name, partitions=len(spots))

    async def _apply(self, member: Membership, reading: Reading) -> None:
        """Apply what was read and go on behind it. Errors: transient ones, and those that stop the process."""
        if not reading.moves:
            return
        began = time.monotonic()
        async with self._busy:
            for attempt in range(1, _CONFLICTS_MAX + 1):
                if self._settled != member.generation:
                    return
                try:
                    origins = (one.fact.envelope.traceparent for one in reading.arrived if one.fact is not None)
                    with tracing.consuming(self.name, origins):
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

    async def _tick(self, member: Membership) -> None:
        """Once a second: how far behind we are, what is to be tried again, whether the log still reaches to us."""
        await self._retry_parked()
        if self._settled != member.generation:
            return
        shrunk = self._lag.look(member.kafka, self._spots)
        async with self._pool.acquire() as conn:
            for tp in shrunk:
                # The same topic, but it ends before our position: Kafka lost what it had acknowledged.
                log.error("log_shrank", consumer=self.name, topic=tp.topic, partition=tp.partition)
                await position.restart(conn, self.name, tp)
                self._settled = -1
            await self._lag.store(conn, self._spots)

    async def _retry_parked(self) -> None:
        """Try again what somebody asked for, or what may have been missing for a moment only."""
        for stream in await parking.due(self._pool, self.name):
            async with self._busy, self._pool.acquire() as conn:
                retried = await retry(conn, self.name, self.spec.handler, stream)
            log.info("parked_retried", consumer=self.name, applied=retried.applied, waiting=retried.waiting)
            self._then()

    async def _ask(self, member: Membership) -> None:
        """Beside the loop, because a broker that is away leaves these without an answer: whether the topics are still
        the ones that the offsets count in, and where they end.

        Errors   TopicPartitions.
        """
        while True:
            await asyncio.sleep(_ASK_S)
            try:
                ids = await member.identify()
                if self._ids and ids != self._ids:
                    log.warning("topics_created_anew", consumer=self.name)
                    self._settled = -1
                if member.assigned and self._spots:
                    self._lag.note(await member.ends(self._spots.keys()))
                    await member.tell(self._spots)
            except KAFKA_AWAY as error:
                log.info("kafka_does_not_answer", consumer=self.name, error=repr(error))

    async def _back_off(self, error: Exception, failures: int) -> None:
        self._retrying = True
        self._turn_at = self._sign_at = time.monotonic()  # A cause is known: this is no silent standstill.
        metrics.RETRIES.labels(self.name, type(error).__name__).inc()
        log.warning("consumer_retries", consumer=self.name, error=repr(error), failures=failures)
        seconds = min(_BACKOFF_S_MAX, _BACKOFF_S_MIN * 2 ** min(failures, 10))
        await self.sleep(seconds * random.uniform(0.5, 1))  # noqa: S311 - only to part rivals


async def _end(task: asyncio.Task[Any] | None) -> None:
    """Stop a task and throw away what it was about to say."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _may_pass(error: Exception) -> bool:
    """Whether joining anew may do."""
    return is_transient(error) or isinstance(error, KAFKA_AWAY)
