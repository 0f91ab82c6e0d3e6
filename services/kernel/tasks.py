"""Tasks beside one another: several that end together, and one that is no longer wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from services.kernel.transient import is_transient


async def side_by_side(parts: Iterable[Coroutine[Any, Any, None]], ended: Callable[[], None] = lambda: None) -> None:
    """Run all parts to their end. `ended` is called when one ends: it may make the others end when it suits them.

    Errors   those of one part: one that is not transient before one that is.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    for task in tasks:
        task.add_done_callback(lambda _: ended())
    try:
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for task in tasks:
            await end(task)
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, Exception) and is_transient(error))


async def end(task: asyncio.Task[Any] | None) -> None:
    """Stop a task and throw away what it was about to say."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
