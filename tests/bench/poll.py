"""Wait for something that a database tells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

POLL_S = 0.03  # Asking takes of the processor that is measured.
WAIT_S_MAX = 1_800.0


async def until(holds: Callable[[], Awaitable[object]]) -> None:
    """Return when it holds. Errors: TimeoutError after half an hour."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not await holds():
        if time.monotonic() > deadline:
            raise TimeoutError("it does not come to hold")
        await asyncio.sleep(POLL_S)
