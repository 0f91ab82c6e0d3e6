"""Signals: "look at account N again", shared among a service's workers by key. They may be lost or doubled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import faust
import msgspec
import structlog
from faust.exceptions import ProducerSendError
from prometheus_client import Counter

from services.kernel import topics
from services.kernel.delivery import Running, Signal, SignalHandler
from services.kernel.errors import Transient
from services.kernel.membership import KAFKA_AWAY
from services.kernel.settings import Settings

SIGNALS: Final = Counter(
    "openitem_signals_total",
    "Signals by what became of them. `failed` is no loss: the row that drives it is looked at again when it is due.",
    ["service", "kind", "outcome"],
)


class SignalNotSent(Transient):
    """Nobody was told to look. The row that is due stays, and the timer sees it again."""


_BODY: Final = msgspec.json.Decoder(dict[str, Any])

log = structlog.stdlib.get_logger(__name__)


class Signals:
    """Sends signals and hands those that arrive to the handler of their kind. `running` is set before Faust starts."""

    def __init__(self, app: faust.App, settings: Settings, handlers: Mapping[str, SignalHandler]) -> None:
        self.running: Running | None = None
        self._service = settings.service
        self._handlers = handlers
        self._topic = app.topic(
            topics.signals_topic(settings.service, settings.topic_prefix),
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
        )
        app.agent(self._topic, name=f"{settings.service}.signals")(self._listen)

    async def send(self, signal: Signal) -> None:
        """Give a signal to whichever worker has its key. Errors: SignalNotSent, a transient: Kafka is away."""
        value = msgspec.json.encode({"kind": signal.kind, "key": signal.key, "body": signal.body})
        try:
            await self._topic.send(key=signal.key.encode(), value=value)
        except (ProducerSendError, *KAFKA_AWAY) as error:
            raise SignalNotSent(repr(error)) from error

    async def _listen(self, stream: faust.StreamT[bytes]) -> None:
        values: AsyncIterator[bytes] = stream.__aiter__()
        async for value in values:
            await self._dispatch(value)

    async def _dispatch(self, value: bytes) -> None:
        assert self.running is not None, "Faust starts last"
        kind = "unreadable"
        try:
            raw = _BODY.decode(value)
            handler = self._handlers.get(str(raw["kind"]))
            if handler is None:
                SIGNALS.labels(self._service, "unknown", "ignored").inc()
                return
            kind = str(raw["kind"])
            await handler(self.running, Signal(kind, str(raw["key"]), raw.get("body") or {}))
            SIGNALS.labels(self._service, kind, "done").inc()
        except Exception:
            # The top of a loop. Nothing is lost: the row that is due is found again.
            log.exception("signal_failed", kind=kind)
            SIGNALS.labels(self._service, kind, "failed").inc()
