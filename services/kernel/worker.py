"""A service's worker process: a Faust worker that hosts the relay, the consumers, the timers and the signals' agent.

Faust brings supervision, an orderly stop and the agents. Facts never go through an agent: it acknowledges what it did
not do.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn, TypeAlias

import faust
import structlog
import uvloop
from mode import Service
from prometheus_client import Counter, Gauge

from services.kernel import topics
from services.kernel.consume import Consumer
from services.kernel.delivery import ConsumerSpec, Running, SignalHandler, Timer
from services.kernel.garbage import BATCHES, collect_rarely
from services.kernel.logs import configure_logs
from services.kernel.meta import EVERY_BRANCH
from services.kernel.metrics import note_build
from services.kernel.quiet import quieten
from services.kernel.relay import Relay
from services.kernel.serve import EXIT_PORT, EXIT_SETTINGS, PortBusy, listen
from services.kernel.settings import Settings
from services.kernel.signals import Signals
from services.kernel.store import Index, Pool, Prepare, Store, open_pool
from services.kernel.tracing import TracesUnavailable, configure_traces
from services.kernel.transient import is_transient
from services.kernel.worker_http import WorkerHttp

_POOL_RETRY_S: Final = 0.5
_STOP_S_MAX: Final = 25.0  # Below the 30 s after which orchestrators kill.
_FAUST_S_MAX: Final = 5.0
_FLUSH_S_MAX: Final = 2.0
TIMER_SECONDS: Final = Gauge(
    "openitem_timer_last_success_timestamp_seconds",
    "When a timer last ended well. Alert when it is several of its periods ago: the worker's log says why.",
    ["service", "timer"],
)
TIMER_ERRORS: Final = Counter(
    "openitem_timer_errors_total",
    "Runs of a timer that ended in a transient error. It runs again at its time; a steady rate means a server is away.",
    ["service", "timer"],
)

# A policy needs the store, which the worker opens: such consumers are declared as a function of it.
Consumers: TypeAlias = "Sequence[ConsumerSpec] | Callable[[Store], Sequence[ConsumerSpec]]"

log = structlog.stdlib.get_logger(__name__)


def run_worker(
    settings: Settings,
    *,
    index: Index | None = None,
    consumers: Consumers = (),
    relay: bool = True,
    timers: Sequence[Timer] = (),
    signals: Mapping[str, SignalHandler] | None = None,
    prepare: Prepare | None = None,
) -> NoReturn:
    """Run a service's worker until SIGTERM or SIGINT; then let what is in flight end, and exit with 0. `prepare` is
    called once with each connection to its database.

    Errors   exits with another code when a part of it crashed, when the port is busy, or when Kafka is away at start:
             whoever supervises it starts it again.
    """
    configure_logs(service=settings.service, level=settings.log_level, json=settings.log_json)
    quieten()
    try:
        sock = listen(settings.host, settings.metrics_port)
    except PortBusy as error:
        sys.stderr.write(f"{settings.service}: {error}\n")
        sys.exit(EXIT_PORT)
    try:
        configure_traces(settings)
    except TracesUnavailable as error:
        sys.stderr.write(f"{settings.service}: {error}\n")
        sys.exit(EXIT_SETTINGS)
    collect_rarely(BATCHES)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    app = _app(settings)
    crew = Crew(
        settings,
        app,
        index=index,
        consumers=consumers,
        relay=relay,
        timers=timers,
        signals=signals or {},
        prepare=prepare,
    )
    http = WorkerHttp(sock, ready=lambda: crew.ready)
    note_build(settings.service)
    worker = _Worker(app, http, crew, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.execute_from_commandline()
    raise AssertionError("it exits")


class Crew(Service):
    """The parts of a worker, started in order and stopped in reverse; the pool closes last."""

    mundane_level = "debug"

    def __init__(
        self,
        settings: Settings,
        app: faust.App,
        *,
        index: Index | None,
        consumers: Consumers,
        relay: bool,
        timers: Sequence[Timer],
        signals: Mapping[str, SignalHandler],
        prepare: Prepare | None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._settings = settings
        self._index = index
        self._specs = consumers
        self._with_relay = relay
        self._timers = timers
        self._prepare = prepare
        self._signals = Signals(app, settings, signals)
        self._pool: Pool | None = None
        self._relay: Relay | None = None
        self._consumers: list[Consumer] = []

    @property
    def ready(self) -> dict[str, bool]:
        """Which parts do their work."""
        parts = {"worker": self._pool is not None}
        if self._with_relay:
            parts["relay"] = self._relay is not None and self._relay.ready
        return parts | {f"consumer {consumer.name}": consumer.ready for consumer in self._consumers}

    async def on_start(self) -> None:
        settings = self._settings
        await asyncio.to_thread(topics.create_signals_topic, settings.kafka, settings.service, settings.topic_prefix)
        self._pool = await self._open_pool()
        store = Store(self._pool, self._index)
        running = Running(settings, store, self._signals.send)
        self._signals.running = running
        if self._with_relay:
            self._relay = Relay(settings)
            self.add_dependency(self._relay)
        specs = self._specs(store) if callable(self._specs) else self._specs
        for spec in specs:
            consumer = Consumer(settings, spec, self._pool, then=self._relay.wake if self._relay else _nothing)
            self._consumers.append(consumer)
            self.add_dependency(consumer)
        for timer in self._timers:
            self.add_dependency(_Ticking(timer, running))

    async def on_shutdown(self) -> None:
        if self._pool is not None:
            self._pool.terminate()  # All that used it has ended; a server that is away would keep a polite goodbye.

    async def _open_pool(self) -> Pool:
        while True:
            try:
                return await open_pool(
                    self._settings.database_url,
                    size_max=self._settings.pool_max,
                    branches=EVERY_BRANCH,
                    prepare=self._prepare,
                )
            except Exception as error:
                if self.should_stop or not is_transient(error):
                    raise
                log.warning("database_away", error=repr(error))
                await self.sleep(_POOL_RETRY_S)


class _Ticking(Service):
    """One timer."""

    mundane_level = "debug"

    def __init__(self, timer: Timer, running: Running, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._timer = timer
        self._running = running

    @Service.task
    async def _run(self) -> None:
        timer, service = self._timer, self._running.settings.service
        while not self.should_stop:
            try:
                await timer.run(self._running)
                TIMER_SECONDS.labels(service, timer.name).set_to_current_time()
            except Exception as error:
                if not is_transient(error):
                    log.exception("timer_failed", timer=timer.name)
                    raise
                TIMER_ERRORS.labels(service, timer.name).inc()
                log.warning("timer_put_off", timer=timer.name, error=repr(error))
            await self.sleep(timer.every_s)


class _Worker(faust.Worker):
    """Faust's worker, which stops our parts first, and ends even when a server that is away lets nothing else end."""

    def __init__(self, app: faust.App, http: WorkerHttp, crew: Crew, **kwargs: Any) -> None:
        super().__init__(app, http, crew, **kwargs)
        self.spinner = None  # Nobody watches it turn.
        self._crew = crew

    async def stop(self) -> None:
        if not self._stopped.is_set():
            self._end_within(_STOP_S_MAX)
            await self._crew.stop()
            # Now nothing of record is left to lose.
            self._end_within(_FAUST_S_MAX)
        await super().stop()

    def _end_within(self, seconds: float) -> None:
        """In a thread, for Faust and its client may wait for Kafka in ways that a cancelled task does not end."""

        def give_up() -> None:
            log.warning("worker_ends_now", waited_s=seconds)
            os._exit(1 if self.crashed else 0)

        deadline = threading.Timer(seconds, give_up)
        deadline.daemon = True
        deadline.start()

    async def _sentinel_task(self) -> None:
        """Faust waits a second here before it closes the loop; nothing of ours needs that."""
        await asyncio.sleep(0)


class _App(faust.App):
    async def _producer_flush(self, logger: Any) -> None:
        """Signals may be lost, so they do not hold up a stop for longer than this."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S_MAX):
                await super()._producer_flush(logger)


def _app(settings: Settings) -> faust.App:
    """A Faust application for signals: no tables, no web server, no leader election of its own."""
    return _App(
        f"{settings.topic_prefix}.{settings.service}.worker",
        broker=f"kafka://{settings.kafka}",
        store="memory://",
        datadir=settings.state_dir,
        web_enabled=False,
        autodiscover=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_wait_empty=False,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=2.0,
    )


def _nothing() -> None:
    pass
