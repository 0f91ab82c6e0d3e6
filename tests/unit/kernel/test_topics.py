"""How soon is a broker found again that was away?"""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from services.kernel import topics


def test_a_broker_that_is_away_is_looked_for_again_and_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_BOOTSTRAP_MS_MAX", 1_500)
    knocks: list[object] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as door:

        def turn_away() -> None:
            with suppress(OSError):  # The door is taken away at the end.
                while True:
                    caller, address = door.accept()
                    caller.close()
                    knocks.append(address)

        threading.Thread(target=turn_away, daemon=True).start()
        with pytest.raises(KafkaError):
            topics.connect(f"127.0.0.1:{door.getsockname()[1]}")
    assert len(knocks) > 1


def test_a_broker_that_is_back_is_found_within_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own waits grow to thirty seconds, and relays would wait as long for a broker that is there."""
    asked: dict[str, Any] = {}
    monkeypatch.setattr(topics, "KafkaAdminClient", lambda **options: asked.update(options))
    topics.connect("127.0.0.1:1")
    assert asked.keys() <= KafkaAdminClient.DEFAULT_CONFIG.keys()
    assert asked["reconnect_backoff_max_ms"] <= 1_000
