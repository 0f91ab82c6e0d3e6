"""How soon is a broker found again that was away?"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import closing, suppress
from itertools import pairwise

import pytest
from kafka.errors import KafkaError

from services.kernel import topics

GAP_S_MAX = 2.0  # A busy machine's share included; the client's own limit would be thirty seconds.


def test_a_broker_that_is_away_is_looked_for_every_moment_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_BOOTSTRAP_MS_MAX", 4_000)
    knocks: list[float] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as door:

        def turn_away() -> None:
            with suppress(OSError):  # The door is taken away at the end.
                while True:
                    door.accept()[0].close()
                    knocks.append(time.monotonic())

        threading.Thread(target=turn_away, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(KafkaError):
            topics.connect(f"127.0.0.1:{door.getsockname()[1]}")
    assert time.monotonic() - began < 4 + GAP_S_MAX
    assert max(later - earlier for earlier, later in pairwise(knocks)) < GAP_S_MAX
