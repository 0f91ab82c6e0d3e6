"""Commands that arrive together are carried out together: one transaction, one commit, an answer to each caller.

A lone command leaves at once. Those that arrive while others are on their way to the disk go as one batch, and where
that happens the next ones wait a little to be joined by more: the more there are, the less each costs.
Decision: decisions/0007
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

import asyncpg
import msgspec

from services.kernel import tracing
from services.kernel.commands import Batch, Domain
from services.kernel.errors import Busy, Forbidden, Refused, VersionConflict
from services.kernel.meta import Branches, Meta
from services.kernel.metrics import CONFLICTS
from services.kernel.store import (
    ACQUIRE_S_MAX,
    ARRIVAL_POLL_S,
    ATTEMPTS_MAX,
    Arriving,
    Recorded,
    Store,
    Streams,
    part_rivals,
)
from services.kernel.transient import is_transient

TOGETHER_MAX: Final = 64  # Commands in one transaction: it holds their streams until it ends.
_ENOUGH: Final = 8  # So many need not be joined by others.
_PACE_S: Final = 0.06  # Between the beginnings of transactions of fewer: each costs as much as several commands in one.
_CROWDED: Final = 10  # Transactions of a single command until nobody else is expected.
_LINES_MAX: Final = 2  # Transactions under way at once: while one waits for the disk, another decides.

C = TypeVar("C")
S = TypeVar("S")


async def carry_out(store: Store, meta: Meta, domain: Domain[C, S], command: C) -> Recorded:
    """Carry out one command, with others of callers who see the same branches.

    Errors   what the domain refuses; KeyInProgress; KeyReused; VersionMismatch; Busy after ATTEMPTS_MAX conflicts.
             TimeoutError, a transient, when no connection became free.
    Holds    either all facts of the decision and its answer are stored, or nothing is, whatever becomes of the others.
             A caller who goes away leaves a command that is carried out.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + meta.wait_s
    while True:
        try:
            with tracing.span("decide and append"):
                return await _queue(store, domain, meta.branches).join(meta, command)
        except Arriving:
            if clock() >= deadline:
                raise
            await asyncio.sleep(ARRIVAL_POLL_S)


@dataclass(slots=True, eq=False)
class _Waiting(Generic[C]):
    meta: Meta
    command: C
    answer: asyncio.Future[Recorded]

    def succeed(self, answer: Recorded) -> None:
        if not self.answer.done():  # Its caller may have gone away.
            self.answer.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class _Queue(Generic[C, S]):
    """The commands of one domain from callers who see the same branches: a transaction is limited to these."""

    def __init__(self, store: Store, domain: Domain[C, S], branches: Branches) -> None:
        self._store = store
        self._domain = domain
        self._branches = branches
        self._waiting: deque[_Waiting[C]] = deque()
        self._lines: set[asyncio.Task[None]] = set()
        self._next_at = 0.0
        self._crowded = 0  # Transactions that may still wait for others, since one had more commands than one.

    @property
    def idle(self) -> bool:
        return not self._lines

    async def join(self, meta: Meta, command: C) -> Recorded:
        one = _Waiting(meta, command, asyncio.get_running_loop().create_future())
        self._waiting.append(one)
        if len(self._lines) < _LINES_MAX:
            self._lines.add(asyncio.create_task(self._serve()))
        return await one.answer

    async def _serve(self) -> None:
        line = asyncio.current_task()
        assert line is not None
        try:
            while self._waiting:
                if not await self._worth_it():
                    continue
                batch = [self._waiting.popleft() for _ in range(min(TOGETHER_MAX, len(self._waiting)))]
                self._crowded = _CROWDED if len(batch) > 1 else self._crowded - 1
                try:
                    await self._carry_out(batch)
                except BaseException as error:
                    for one in batch:
                        one.fail(error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            # Here and not when the task is found done: whoever joins in between would wait for a line that has ended.
            self._lines.discard(line)

    async def _worth_it(self) -> bool:
        """Let a few be joined by others, if a transaction began just before. Answers whether any still wait then.

        Who sends a command after the other, and is alone, waits for nobody.
        """
        clock = asyncio.get_running_loop().time
        if self._crowded > 0 and len(self._waiting) < _ENOUGH and (early_s := self._next_at - clock()) > 0:
            await asyncio.sleep(early_s)
        self._next_at = clock() + _PACE_S
        return bool(self._waiting)

    async def _carry_out(self, batch: Sequence[_Waiting[C]]) -> None:
        """Carry out commands together. Where that fails for what may be the fault of one, each by itself."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                again = await self._in_one_transaction(batch)
            except (VersionConflict, asyncpg.DeadlockDetectedError):
                again = list(batch)
            except Exception as error:
                if len(batch) == 1 or is_transient(error):
                    raise _told(error) from error
                break
            if not again:
                return
            CONFLICTS.inc()
            batch = again
            if attempt < ATTEMPTS_MAX:
                await part_rivals(attempt)
        if len(batch) == 1:
            raise Busy("it keeps changing; send the same request again")
        for one in batch:
            try:
                await self._carry_out([one])
            except Exception as error:
                one.fail(error)

    async def _in_one_transaction(self, batch: Sequence[_Waiting[C]]) -> list[_Waiting[C]]:
        """Answer each command, but for those that are to be tried again, which are returned.

        Errors   VersionConflict, with nothing done; whatever else Postgres or a domain raises.
        """
        async with self._store.pool.acquire(timeout=ACQUIRE_S_MAX) as conn, conn.transaction():
            streams = Streams(conn, self._branches, self._store.index)
            told = list(zip(batch, await streams.earlier([one.meta for one in batch]), strict=True))
            fresh = [one for one, earlier in told if earlier is None]
            metas = [one.meta for one in fresh]
            work = Batch(self._domain, streams)
            taken = list(zip(fresh, await work.take_all([one.command for one in fresh], metas), strict=True))
            refused = [(one, outcome.refused) for one, outcome in taken if outcome.refused is not None]
            # The same command may have been answered just after we looked, and what it did may be what refuses it now.
            late = await streams.answered([one.meta for one, _ in refused])
            answers = [outcome.answer for _, outcome in taken]
            positions = await streams.append_all(work.changes(), metas, answers)
        for one, earlier in told:
            if isinstance(earlier, Refused):
                one.fail(earlier)
            elif earlier is not None:
                one.succeed(earlier)
        for one, answer, position in zip(fresh, answers, positions, strict=True):
            if answer is not None:
                one.succeed(msgspec.structs.replace(answer, position=position))
        for (one, refusal), is_answered in zip(refused, late, strict=True):
            if not is_answered:
                one.fail(refusal)
        return [one for (one, _), is_answered in zip(refused, late, strict=True) if is_answered]


def _told(error: Exception) -> Exception:
    """Row-level security is the guard behind our own."""
    return Forbidden("not in your branches") if isinstance(error, asyncpg.InsufficientPrivilegeError) else error


_QUEUES: Final[WeakKeyDictionary[Store, dict[tuple[int, str], _Queue[Any, Any]]]] = WeakKeyDictionary()


def _queue(store: Store, domain: Domain[C, S], branches: Branches) -> _Queue[C, S]:
    queues = _QUEUES.setdefault(store, {})
    key = id(domain), branches.setting
    if (queue := queues.get(key)) is None:
        if len(queues) >= TOGETHER_MAX:  # Sets of branches that nobody has asked with for a while.
            for idle in [key for key, queue in queues.items() if queue.idle]:
                del queues[idle]
        queue = queues[key] = _Queue(store, domain, branches)
    return queue
