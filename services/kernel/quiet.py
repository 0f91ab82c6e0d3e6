"""Keeps a library that says the same thing many times a second, while a server is away, to once in a while."""

from __future__ import annotations

import logging
import time
from typing import Final

_EVERY_S: Final = 10.0
_NOISY: Final = ("aiokafka", "kafka", "asyncpg", "faust", "mode")


class Seldom(logging.Filter):
    """Lets a message through when the same one, whatever its arguments, was not seen for some seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], float] = {}  # As many as the library has messages.

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in _NOISY:
            return True
        now, key = time.monotonic(), (record.name, str(record.msg))
        if now - self._seen.get(key, -_EVERY_S) < _EVERY_S:
            return False
        self._seen[key] = now
        return True


def quieten() -> None:
    """Do so for the clients of Kafka and Postgres in this process."""
    seldom = Seldom()
    for handler in logging.getLogger().handlers:
        handler.addFilter(seldom)
