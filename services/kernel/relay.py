"""The relay: everything recorded reaches Kafka, in order, by exactly one leader per service; the others stand by.

A crash anywhere leaves facts that have a seq and no acknowledgement. Whoever leads next sends those again first, in
order, with the same seq, and only then takes new ones.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError as AioKafkaError
from kafka.errors import KafkaError
from mode import Service

from events.topics import topic_of
from services.kernel import flow_metrics as metrics
from services.kernel import topics
from services.kernel.outbox import Outbox, Row, open_outbox
from services.kernel.publish import Flight, Publisher
from services.kernel.settings import Settings
from services.kernel.transient import is_transient

WAVE_MAX: Final = 3_000  # Facts at once: enough to keep a broker busy; a crash sends three such waves again at most.
# How often it looks: twenty empty statements a second in a service at rest. Each wave costs Kafka and every consumer
# a batch of its own: where much goes on, fewer waves bring a command to the reports sooner than looking more often.
_POLL_S: Final = 0.05
_STAND_BY_S: Final = 0.5
_BACKOFF_S_MAX: Final = 2.0
_LOOK_S: Final = 1.0  # How often the leader looks whether it is to step aside, and at the head of the outbox.
_STEP_ASIDE_S: Final = 1.0
_STOP_S_MAX: Final = 5.0  # For the wave on its way to be acknowledged. Without it, it is sent again: no harm.

log = structlog.stdlib.get_logger(__name__)


class Relay(Service):
    """One service's relay, as a part of its worker. `wake` says that something was just recorded in this process."""

    mundane_level = "debug"

    def __init__(self, settings: Settings, *, wave_max: int = WAVE_MAX, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._service = settings.service
        self._topic = topic_of(settings.service, settings.topic_prefix)
        self._wave_max = wave_max
        self._news = asyncio.Event()
        self._done = asyncio.Event()
        self._connected = False
        self._acknowledged = 0
        self._look_at = 0.0
        self._oldest: int | None = None  # In microseconds since 1970.

    @property
    def ready(self) -> bool:
        """It leads, or stands by with the database at hand."""
        return self._connected

    def wake(self) -> None:
        self._news.set()

    async def on_start(self) -> None:
        metrics.RELAY_LEADER.labels(self._service).set(0)
        metrics.RELAY_OLDEST.labels(self._service).set_function(self._age)

    async def on_stop(self) -> None:
        self.wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S_MAX):
                await self._done.wait()

    @Service.task
    async def _run(self) -> None:
        try:
            await self._serve()
        finally:
            self._done.set()

    async def _serve(self) -> None:
        failures = 0
        while not self.should_stop:
            began = time.monotonic()
            try:
                await self._take_part()
                failures = 0
            except Exception as error:
                if not (is_transient(error) or isinstance(error, KafkaError | AioKafkaError | topics.TopicMissing)):
                    log.exception("relay_failed", service=self._service)
                    raise
                failures = 1 if time.monotonic() - began > _BACKOFF_S_MAX else failures + 1
                metrics.RELAY_ERRORS.labels(self._service, type(error).__name__).inc()
                log.warning("relay_begins_again", error=repr(error), failures=failures)
            finally:
                self._connected = False
                metrics.RELAY_LEADER.labels(self._service).set(0)
            if failures:
                await self._pause(min(_BACKOFF_S_MAX, 0.1 * 2**failures) * (0.5 + random.random() / 2))  # noqa: S311

    async def _take_part(self) -> None:
        """Stand by until this session leads, then publish, until something fails or others want to lead."""
        async with open_outbox(self._settings.database_url) as outbox:
            self._connected = True
            while not self.should_stop:
                if not await outbox.try_lead():
                    self._oldest = await outbox.oldest_unpublished()
                    await self._pause(_STAND_BY_S)
                    continue
                [seen] = await asyncio.to_thread(topics.describe, self._settings.kafka, [self._topic])
                topics.check(seen)
                metrics.RELAY_LEADER.labels(self._service).set(1)
                log.info("relay_leads", topic=self._topic)
                await self._lead(outbox)
                metrics.RELAY_LEADER.labels(self._service).set(0)
                await outbox.step_down()
                await self._pause(_STEP_ASIDE_S)

    async def _lead(self, outbox: Outbox) -> None:
        publisher = Publisher(self._settings.kafka, self._service, self._topic)
        try:
            await publisher.start()
            await self._send_again(outbox, publisher)
            await self._send_new(outbox, publisher)
        finally:
            await publisher.abandon()

    async def _send_again(self, outbox: Outbox, publisher: Publisher) -> None:
        """Send what has a seq and no acknowledgement: another leader's last, or ours before an error."""
        self._acknowledged = await outbox.acknowledged()
        while rows := await outbox.taken(self._acknowledged, self._wave_max):
            wave = publisher.wave(rows)
            self._oldest = wave.oldest
            log.info("relay_sends_again", first=rows[0][0], last=wave.last)
            await publisher.send(wave)
            await self._acknowledge(outbox, wave.last)

    async def _send_new(self, outbox: Outbox, publisher: Publisher) -> None:
        """Take, encode and send, wave after wave, until the service stops or others want to lead.

        Three at once while there is much to do: Kafka receives one wave, this process encodes the next, and Postgres
        takes the one after it.
        """
        flight = Flight(publisher)
        ahead: asyncio.Task[list[Row]] | None = None
        goes_on = True
        try:
            # What was taken ahead is sent even when it is time to end: otherwise the next leader would have to.
            while goes_on or ahead is not None:
                self._news.clear()
                rows = await (ahead or outbox.take(self._wave_max))
                # A session does one thing at a time, so what else there is for it comes between two takes.
                await self._acknowledge(outbox, flight.arrived)
                goes_on = await self._goes_on(outbox)
                ahead = None
                if goes_on and len(rows) == self._wave_max:
                    ahead = asyncio.create_task(outbox.take(self._wave_max))
                    await asyncio.sleep(0)  # The statement leaves now, not when this wave is encoded.
                if rows:
                    wave = publisher.wave(rows)
                    await flight.landed()
                    self._oldest = wave.oldest
                    await flight.launch(wave)
                if ahead is None:
                    await flight.landed()
                    await self._acknowledge(outbox, flight.arrived)
                    self._oldest = None
                    if goes_on:
                        await self._wait_for_news(_POLL_S)
        finally:
            await flight.abandon()
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    async def _goes_on(self, outbox: Outbox) -> bool:
        """Whether to take more. Now and then it looks whether others want to lead, and at the head of the outbox."""
        if time.monotonic() >= self._look_at and not self.should_stop:
            if await outbox.asked_to_step_aside():
                log.info("relay_steps_aside")
                return False
            await outbox.raise_floor()
            self._look_at = time.monotonic() + _LOOK_S
        return not self.should_stop

    async def _acknowledge(self, outbox: Outbox, seq: int) -> None:
        if seq > self._acknowledged:
            await outbox.acknowledge(seq)
            metrics.RELAY_PUBLISHED.labels(self._service).inc(seq - self._acknowledged)
            self._acknowledged = seq

    async def _wait_for_news(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    async def _pause(self, seconds: float) -> None:
        await self.sleep(seconds)  # Ends early when the service stops.

    def _age(self) -> float:
        return 0.0 if self._oldest is None else max(0.0, time.time() - self._oldest / 1_000_000)
