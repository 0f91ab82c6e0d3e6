"""What a timer is told when a signal does not get out: that it may try again, and not that anything is broken."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiokafka.errors
import pytest
from faust.exceptions import ProducerSendError

from services.kernel.delivery import Signal
from services.kernel.settings import Settings
from services.kernel.signals import Signals
from services.kernel.transient import is_transient


class Topic:
    """Faust's, whose broker is away."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def send(self, **_: Any) -> None:
        raise self.error


def signals(error: Exception) -> Signals:
    app: Any = SimpleNamespace(topic=lambda *_, **__: Topic(error), agent=lambda *_, **__: lambda listen: listen)
    settings = Settings(service="contact", postgres="postgresql://x/y", kafka="k:1", jwks="/dev/null", issuer="i")
    return Signals(app, settings, {})


@pytest.mark.parametrize(
    "error",
    [
        ProducerSendError("Error while sending: KafkaTimeoutError()"),
        aiokafka.errors.KafkaConnectionError("no broker"),
        ConnectionRefusedError(111, "Connection refused"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_broker_that_is_away_is_a_reason_to_try_again(error: Exception) -> None:
    with pytest.raises(Exception) as raised:
        await signals(error).send(Signal("look", "7"))
    assert is_transient(raised.value)


async def test_a_bug_stays_a_bug() -> None:
    with pytest.raises(KeyError):
        await signals(KeyError("a bug")).send(Signal("look", "7"))
