"""How tests wait: for the thing that must come, and never for a time by which it ought to have come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

# Far more than anything here takes on a machine that does five other things; it only ends what would never end.
PATIENCE_S: Final = 120.0
_POLL_S: Final = 0.02
_SLOW_POLL_S: Final = 0.05


async def until(check: Callable[[], Awaitable[object]], within_s: float = PATIENCE_S) -> None:
    """Wait until `check` answers something true. Errors: TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await check():  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(_POLL_S)


def wait_until(
    holds: Callable[[], object],
    otherwise: Callable[[], str] = lambda: "did not come true",
    poll_s: float = _SLOW_POLL_S,
) -> None:
    """The same where nothing is asynchronous. Errors: AssertionError with what `otherwise` says then."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"{otherwise()}, in {PATIENCE_S:.0f} s"
        time.sleep(poll_s)
