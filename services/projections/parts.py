"""A rebuild's streams dealt out over processes, one for each core: Python folds on one core at a time.

`main` is one of them: it is told its part on its standard input, because URLs hold passwords and everybody sees command
lines, and tells on its standard output how far it is.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import BinaryIO, Final

import asyncpg
import msgspec
import uvloop

from services.kernel.garbage import BATCHES, collect_rarely
from services.kernel.meta import ALL
from services.kernel.store import Conn
from services.projections import turns
from services.projections.instants import send_quickly
from services.projections.replay import Found, Progress, Replay
from services.projections.source import Share, opened_all

_MOST: Final = 4  # By itself. Each has 100 MB and a connection to every database, and Postgres has work of each, too.
_WORTH: Final = 20_000  # Facts, for which another process is started: it takes a third of a second to begin.
# Ctrl-C is for the first process, which ends the others then. They hear of it, too, while they are still importing.
_PROGRAM: Final = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from {__name__} import main; main()"
_LINE_BYTES_MAX: Final = 2**26  # What a part tells at its end names every stream that stopped.


class PartEnded(Exception):
    """A process of the rebuild ended before its part was done. It says why on the standard error output."""


class Where(msgspec.Struct, frozen=True):
    """The databases of a rebuild by URL, the schema it builds, and what `turns.begin` answered."""

    live: str
    sources: Mapping[str, str]
    into: str
    begun: int


class Order(msgspec.Struct, frozen=True):
    """What a process is told: a share of the streams, up to `upto` of each service's log."""

    where: Where
    found: Found
    upto: dict[str, int]
    share: Share


class Step(msgspec.Struct, frozen=True, tag=True):
    """The log of a service is folded up to there."""

    service: str
    done: int


class End(msgspec.Struct, frozen=True, tag=True):
    """All is folded, but for the streams that stopped."""

    stopped: dict[str, int]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Conn]:
    """A connection that folds."""
    conn: Conn = await asyncpg.connect(url, server_settings={"openitem.branches": ALL, "synchronous_commit": "off"})
    try:
        await send_quickly(conn)
        yield conn
    finally:
        await conn.close()


def worth(facts: int) -> int:
    """How many processes are worth it for so many facts."""
    return max(1, min(os.cpu_count() or 1, _MOST, facts // _WORTH))


@asynccontextmanager
async def started() -> AsyncIterator[Process]:
    """A process that waits for an order; it ends with the context, whatever it is doing."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", _PROGRAM), stdin=pipe, stdout=pipe, limit=_LINE_BYTES_MAX
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Parts:
    """`replay` gathered up to `upto` of each service's log, by this process and `others`."""

    def __init__(
        self, replay: Replay, where: Where, upto: dict[str, int], others: Sequence[Process], progress: Progress
    ) -> None:
        self._replay = replay
        self._where = where
        self._upto = upto
        self._others = others
        self._progress = progress
        self._done = [dict.fromkeys(upto, 0) for _ in (self, *others)]

    async def gather(self) -> None:
        """Fold all but the balances by branch. Errors: PartEnded; those of Postgres."""
        of = len(self._done)
        ours, *shares = [Share(number, of) for number in range(of)]
        part = self._replay.of(ours, lambda service, done, _: self._note(ours, service, done))
        try:
            async with asyncio.TaskGroup() as group:
                theirs = [group.create_task(self._of(*one)) for one in zip(self._others, shares, strict=True)]
                await part.gather(self._upto)
        except BaseExceptionGroup as errors:
            # Where Postgres went away, the processes have ended, too; it is what they ended of that is to be said.
            raise min(errors.exceptions, key=lambda error: isinstance(error, PartEnded)) from None
        stopped = dict(part.stopped)
        for their in theirs:
            stopped |= their.result()
        self._replay.gathered(self._upto, stopped)

    async def _of(self, process: Process, share: Share) -> dict[str, int]:
        """Have another process gather its share; answers which streams stopped there."""
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(Order(self._where, self._replay.found, self._upto, share)))
        process.stdin.close()
        stopped: dict[str, int] | None = None
        async for line in process.stdout:
            told = msgspec.json.decode(line, type=Step | End)
            if isinstance(told, End):
                stopped = told.stopped
            else:
                self._note(share, told.service, told.done)
        status = await process.wait()
        if stopped is None or status != 0:
            raise PartEnded(f"process {share.number} of {share.of} ended with status {status}")
        return stopped

    def _note(self, share: Share, service: str, done: int) -> None:
        self._done[share.number][service] = done
        self._progress(service, min(part[service] for part in self._done), self._upto[service])


async def work(order: Order, tell: Callable[[Step | End], None]) -> None:
    """Gather one part. Errors: RebuildRunning; those of Postgres; BrokenPipeError where nobody listens any more."""
    where = order.where
    async with connected(where.live) as conn, opened_all(where.sources) as stores:
        await turns.join(conn, where.begun)
        replay = Replay(
            conn, where.into, stores, order.found, lambda service, done, _: tell(Step(service, done)), order.share
        )
        await replay.gather(order.upto)
        tell(End(replay.stopped))


def main() -> None:
    """Do what the standard input says."""
    collect_rarely(BATCHES)
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    # What anything else might print must not be taken for what we tell.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as out:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        uvloop.run(work(order, lambda told: _tell(out, told)))


def _tell(out: BinaryIO, told: Step | End) -> None:
    out.write(msgspec.json.encode(told) + b"\n")
    out.flush()
