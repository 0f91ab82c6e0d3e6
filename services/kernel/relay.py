"""The relay: everything recorded reaches Kafka, in order, by exactly one leader per service; the others stand by.

A crash anywhere leaves facts that have a seq and no acknowledgement. Whoever leads next sends those again first, in
order, with the same seq, and only then takes new ones.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError as AioKafkaError
from kafka.errors import KafkaError
from mode import Service

from events.topics import topic_of
from services.kernel import flow_metrics as metrics
from services.kernel import topics
from services.kernel.outbox import Outbox, open_outbox
from services.kernel.publish import Publisher, Wave
from services.kernel.settings import Settings
from services.kernel.transient import is_transient

WAVE_MAX: Final = 3_000  # Facts in flight at once: enough to keep a broker busy, little to send again after a crash.
_POLL_S_MIN: Final = 0.01  # The first look after facts were found; a command is visible elsewhere soon after.
_POLL_S_MAX: Final = 0.05  # What a service at rest does: twenty empty statements a second.
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
        self._oldest: datetime | None = None

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
        after = await outbox.acknowledged()
        while rows := await outbox.taken(after, self._wave_max):
            wave = publisher.wave(rows)
            self._oldest = wave.oldest
            log.info("relay_sends_again", first=rows[0][0], last=wave.last)
            await publisher.send(wave)
            await self._acknowledge(outbox, wave)
            after = wave.last

    async def _send_new(self, outbox: Outbox, publisher: Publisher) -> None:
        """Take and encode a wave while the one before it is on its way, and send it when that has arrived."""
        on_its_way: tuple[Wave, asyncio.Task[None]] | None = None
        poll_s = _POLL_S_MIN
        look_at = 0.0
        try:
            while not self.should_stop:
                if time.monotonic() >= look_at:
                    if await outbox.asked_to_step_aside():
                        log.info("relay_steps_aside")
                        break
                    await outbox.raise_floor()
                    look_at = time.monotonic() + _LOOK_S
                self._news.clear()
                rows = await outbox.take(self._wave_max)
                wave = publisher.wave(rows) if rows else None
                if on_its_way is not None:
                    await on_its_way[1]
                    await self._acknowledge(outbox, on_its_way[0])
                    on_its_way = None
                if wave is not None:
                    self._oldest = wave.oldest
                    on_its_way = wave, asyncio.create_task(publisher.send(wave))
                    # Lets the batches leave now, not when the next wave is encoded.
                    await asyncio.sleep(0)
                    poll_s = _POLL_S_MIN
                else:
                    self._oldest = None
                    await self._wait_for_news(poll_s)
                    poll_s = min(_POLL_S_MAX, poll_s * 1.5)
            if on_its_way is not None:
                await on_its_way[1]
                await self._acknowledge(outbox, on_its_way[0])
                on_its_way = None
        finally:
            if on_its_way is not None:
                on_its_way[1].cancel()
                await asyncio.gather(on_its_way[1], return_exceptions=True)

    async def _acknowledge(self, outbox: Outbox, wave: Wave) -> None:
        await outbox.acknowledge(wave.last)
        metrics.RELAY_PUBLISHED.labels(self._service).inc(wave.count)

    async def _wait_for_news(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._news.wait()

    async def _pause(self, seconds: float) -> None:
        await self.sleep(seconds)  # Ends early when the service stops.

    def _age(self) -> float:
        return 0.0 if self._oldest is None else max(0.0, (datetime.now(UTC) - self._oldest).total_seconds())
