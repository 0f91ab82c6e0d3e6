"""A consumer: facts from Kafka to a handler, each exactly once in effect, in order within its stream.

Kafka's group only shares out the partitions. Where reading goes on is in Postgres, stored with the effect; the offsets
committed to Kafka are for lag tools and are never read.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Set
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
from services.kernel.backlog import Backlog
from services.kernel.delivery import ConsumerSpec
from services.kernel.errors import VersionConflict
from services.kernel.lag import Lag
from services.kernel.membership import KAFKA_AWAY, Membership
from services.kernel.position import Lost, Spot
from services.kernel.retry import retry
from services.kernel.settings import Settings
from services.kernel.sift import Reading, place
from services.kernel.standstill import Stalled, Standstill
from services.kernel.store import Pool
from services.kernel.tasks import end, side_by_side
from services.kernel.transient import is_transient

_CONFLICTS_MAX: Final = 5  # Tries in place before a batch counts as failed.
_BACKOFF_S_MIN: Final = 0.05
_BACKOFF_S_MAX: Final = 2.0
_TICK_S: Final = 1.0
_LOOP: Final = "the loop"
_UNSETTLED_S: Final = 0.1  # How soon a share of the partitions, or that a tick is due, is noticed.
_ASK_S: Final = 10.0  # How often it is checked that the topics are still the ones the offsets count in.
_STOP_S_MAX: Final = 10.0  # For the batch in flight. After that it is rolled back, which harms nothing.

log = structlog.stdlib.get_logger(__name__)


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
        self._busy = [asyncio.Lock() for _ in range(spec.lanes)]
        self._retrying = True
        self._failures = 0
        self._tick_at = 0.0
        self._standstill = Standstill()
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
            try:
                self._standstill.check(self._lag.facts(self._spots))
            except Stalled as stalled:
                log.error("consumer_stalled", consumer=self.name, error=str(stalled))
                raise

    async def _consume(self) -> None:
        """Join the group and apply what comes, until the service stops or Kafka cannot be asked."""
        member = self._member = Membership(self._settings, self.spec, self._topics, self._busy)
        self._settled, self._tick_at, self._failures = -1, 0.0, 0
        asking: asyncio.Task[None] | None = None
        try:
            await member.join()
            asking = asyncio.create_task(self._ask(member))
            asking.add_done_callback(lambda _: self._unsettle())
            while not self.should_stop:
                self._standstill.turn(_LOOP)
                try:
                    if asking.done():
                        asking.result()
                    if member.assigned and self._settled != member.generation:
                        await self._settle_in(member)
                    if self._goes_on(member):
                        await self._go_on(member)
                    else:
                        await self._tick(member)
                        await asyncio.sleep(_UNSETTLED_S)
                except Exception as error:
                    if not is_transient(error):
                        raise
                    self._failures += 1
                    await self._back_off(error, self._failures)
        finally:
            await end(asking)
            await member.leave()

    def _goes_on(self, member: Membership) -> bool:
        """Whether our positions still hold. If not, they are read and sought anew, and the same facts come again."""
        return self._settled == member.generation and not self.should_stop

    def _unsettle(self) -> None:
        self._settled = -1

    async def _go_on(self, member: Membership) -> None:
        """Apply what comes, in lanes side by side, until the positions have to be read anew.

        Errors   those of one part, after the others have ended: one that is not transient before one that is.
        """
        if not self._spots:
            self._retrying = False  # Nothing is ours, so nothing fails.
        # The next batch is read when less than half of one waits: so at most one and a half are held beside the lanes'.
        backlog = Backlog(max(1, self.spec.batch_max // 2), self.spec.lanes)

        def ended() -> None:
            self._unsettle()
            backlog.close()

        lanes = (self._lane(member, number, backlog) for number in range(self.spec.lanes))
        await side_by_side([self._read_on(member, backlog), *lanes, self._tick_on(member)], ended)

    async def _read_on(self, member: Membership, backlog: Backlog) -> None:
        """Read ahead of the lanes: while Postgres works on some facts, the next are fetched and decoded."""
        held_up: Set[TopicPartition] = frozenset()
        while self._goes_on(member):
            with self._standstill.at_work("reading"):
                delivery = await member.read(self.spec.batch_max, held_up)
            if delivery:
                backlog.put(delivery, last=sum(map(len, delivery.values())) < self.spec.batch_max)
            elif not held_up:
                self._all_is_well()
            held_up = await backlog.room()

    async def _lane(self, member: Membership, number: int, backlog: Backlog) -> None:
        """Apply facts, batch after batch. A stream is in one partition, and that in one lane at a time, so its order
        holds.
        """
        while self._goes_on(member):
            async with backlog.take(self.spec.batch_max) as delivery:
                with self._standstill.at_work(f"lane {number}"):
                    await self._apply(member, place(delivery, self._spots), self._busy[number])
            if delivery:
                self._all_is_well()

    def _all_is_well(self) -> None:
        self._retrying, self._failures = False, 0

    async def _tick_on(self, member: Membership) -> None:
        while self._goes_on(member):
            self._standstill.turn(_LOOP)
            await self._tick(member)
            await asyncio.sleep(_UNSETTLED_S)

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

    async def _apply(self, member: Membership, reading: Reading, busy: asyncio.Lock) -> None:
        """Apply what was read and go on behind it. Errors: transient ones, and those that stop the process."""
        if not reading.moves:
            return
        began = time.monotonic()
        async with busy:
            for attempt in range(1, _CONFLICTS_MAX + 1):
                if self._settled != member.generation:
                    return
                try:
                    origins = (one.envelope.traceparent for one in reading.arrived if one.envelope is not None)
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
        self._standstill.sign()
        metrics.BATCH_SECONDS.labels(self.name).observe(time.monotonic() - began)
        for topic, count in applied.applied.items():
            metrics.APPLIED.labels(self.name, topic).inc(count)
        for kind, count in applied.ignored.items():
            metrics.IGNORED.labels(self.name, kind).inc(count)
        for topic, count in applied.repeats.items():
            metrics.DROPPED.labels(self.name, topic).inc(count)
        for code, count in applied.parked.items():
            metrics.PARKED.labels(self.name, code).inc(count)
            log.error("facts_parked", consumer=self.name, code=code, facts=count)
        self._then()

    async def _tick(self, member: Membership) -> None:
        """Once a second: how far behind we are, what is to be tried again, whether log and positions reach to us."""
        if time.monotonic() < self._tick_at:
            return
        self._tick_at = time.monotonic() + _TICK_S
        await self._retry_parked()
        if self._settled != member.generation:
            return
        shrunk = self._lag.look(member.kafka, self._spots)
        known = dict(self._spots)
        async with self._pool.acquire() as conn:
            if await position.went_back(conn, self.name, known):
                # The server stopped before it had written what it said was committed. Nobody else would tell us, for
                # nothing may come any more in those partitions.
                log.error("positions_went_back", consumer=self.name)
                self._settled = -1
                return
            for tp in shrunk:
                # The same topic, but it ends before our position: Kafka lost what it had acknowledged.
                log.error("log_shrank", consumer=self.name, topic=tp.topic, partition=tp.partition)
                await position.restart(conn, self.name, tp)
                self._settled = -1
            await self._lag.store(conn, self._spots)

    async def _retry_parked(self) -> None:
        """Try again what somebody asked for, or what may have been missing for a moment only.

        A lane may be at work meanwhile: the lock of the position's row keeps it and the retry apart.
        """
        for stream in await parking.due(self._pool, self.name):
            async with self._pool.acquire() as conn:
                retried = await retry(conn, self.spec, stream)
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
        self._standstill.sign()  # A cause is known.
        self._standstill.turn(_LOOP)
        metrics.RETRIES.labels(self.name, type(error).__name__).inc()
        log.warning("consumer_retries", consumer=self.name, error=repr(error), failures=failures)
        seconds = min(_BACKOFF_S_MAX, _BACKOFF_S_MIN * 2 ** min(failures, 10))
        await self.sleep(seconds * random.uniform(0.5, 1))  # noqa: S311 - only to part rivals


def _may_pass(error: Exception) -> bool:
    """Whether joining anew may do."""
    return is_transient(error) or isinstance(error, KAFKA_AWAY)
