"""Tells when a consumer stands still for no known cause. Who knows a cause says so; what follows is others' work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STALLED_S: Final = 60.0  # Facts wait and nothing was committed for so long: start anew.


class Stalled(Exception):
    """Facts wait, nothing is committed and nothing says why: only a new process can be expected to do better."""


class Standstill:
    """When something was committed last, and when each of several loops last came round."""

    def __init__(self) -> None:
        self._sign_at = time.monotonic()
        self._turn_at: dict[str, float] = {}

    def sign(self) -> None:
        """A batch was committed, or it is known why none is."""
        self._sign_at = time.monotonic()

    def turn(self, loop: str) -> None:
        self._turn_at[loop] = time.monotonic()

    def ended(self, loop: str) -> None:
        self._turn_at.pop(loop, None)

    @contextmanager
    def at_work(self, loop: str) -> Iterator[None]:
        """A turn that has to come to its end; between two of them the loop may wait for as long as it likes."""
        self.turn(loop)
        try:
            yield
        finally:
            self.ended(loop)

    def check(self, waiting: int) -> None:
        """Errors: Stalled, where `waiting` facts wait without a sign, or a loop does not come round."""
        now = time.monotonic()
        silent_s = now - self._sign_at
        if waiting > 0 and silent_s > STALLED_S:
            raise Stalled(f"{waiting} facts wait, no commit for {silent_s:.0f} s")
        for loop, at in self._turn_at.items():
            if now - at > STALLED_S:
                raise Stalled(f"{loop} has not come round for {now - at:.0f} s")
