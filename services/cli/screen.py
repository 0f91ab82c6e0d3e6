"""How the program speaks: results on standard output, problems on standard error, and status 1 where there is one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

import asyncpg
import typer
import uvloop
from kafka.errors import KafkaError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from services.kernel.garbage import BATCHES, collect_rarely

T = TypeVar("T")
out: Final = Console(highlight=False)
err: Final = Console(stderr=True, highlight=False)


class Stop(Exception):
    """The command cannot go on, for a reason the user can do something about."""


def fail(message: str) -> NoReturn:
    """End with status 1 after saying why."""
    err.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    raise typer.Exit(1)


def bar_of_facts(*, shown: bool = True) -> Progress:
    """A progress bar on standard error, with a line per service."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description:>12}"), *columns, console=err, disable=not shown)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run asynchronous work to its end."""
    collect_rarely(BATCHES)
    return uvloop.run(work)


@contextmanager
def until_interrupted() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C was pressed; pressed again, it is what it always is.

    KeyboardInterrupt comes out of the middle of whatever runs, and kafka-python's `poll` waits for a thread of its own:
    once, on a busy machine, the command stood still after it.
    """
    pressed = False

    def press(_: int, __: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, before)

    # Only the main thread may say what a signal does, and only it is interrupted.
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def explained(error: Exception) -> str:
    """An error of a server or of the user's settings as one line."""
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return f"PostgreSQL: {error}"
    if isinstance(error, KafkaError):
        return f"Kafka: {error or type(error).__name__}"
    return str(error) or type(error).__name__


# What a user can do something about: everything else is a bug and keeps its traceback.
EXPECTED: Final[tuple[type[Exception], ...]] = (
    Stop,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    KafkaError,
    OSError,
)
