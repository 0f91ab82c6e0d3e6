"""The event store: load streams, append facts to them, remember the answer to a command.

A command runs in one transaction: look for an earlier answer, load, decide, append. Appending is one call of the SQL
function `append` (migrations/0001), which compares and sets every stream's version.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import asyncpg
import msgspec

from events import codec
from events.envelope import Fact
from services.kernel import tracing
from services.kernel.change import Change, Columns, FactTooLarge
from services.kernel.errors import (
    Busy,
    Forbidden,
    KeyInProgress,
    KeyReused,
    Refused,
    Unknown,
    VersionConflict,
    VersionMismatch,
)
from services.kernel.meta import Meta
from services.kernel.metrics import CONFLICTS
from services.kernel.pool import Conn, Pool, open_pool

__all__ = [
    "Arriving",
    "Change",
    "Conn",
    "Decide",
    "Decision",
    "FactTooLarge",
    "Index",
    "Loaded",
    "Pool",
    "Recorded",
    "Store",
    "Streams",
    "open_pool",
    "versions_text",
]
ATTEMPTS_MAX: Final = 3  # A fourth conflict means a hot stream: shed load, do not spin.
_ARRIVAL_POLL_S: Final = 0.05  # How often a command that may wait looks again for what it needs.
_ACQUIRE_S_MAX: Final = 10.0  # For a connection of the pool: past it the service is overloaded, and should say so.
_BACKOFF_S: Final = 0.01  # Before a retry, times the attempt and a random share, so that rivals part.

S = TypeVar("S")
Evolve = Callable[[S, Fact], S]


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A stream's state and version; version 0 is a stream that does not exist yet."""

    state: S
    version: int


class Recorded(msgspec.Struct, frozen=True):
    """The answer to a command: the versions that the streams it touched have now, and which of them it was about.

    `position` is that of the last fact in the service's event store; None when everything was on record already.
    """

    versions: dict[str, int]
    subject: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a command leads to. `subject` is the stream whose version is answered as the ETag."""

    changes: Sequence[Change]
    subject: str | None = None


class Arriving(Refused):
    """Base of refusals that name something another service may be about to make known here.

    A command whose `Meta.wait_s` allows it waits for that instead of being refused at once.
    """


Index = Callable[[Conn, Sequence[Fact]], Awaitable[None]]


class Streams:
    """The streams of one service within one transaction."""

    def __init__(self, conn: Conn, meta: Meta, index: Index | None = None, subject: str | None = None) -> None:
        self.conn = conn
        self.meta = meta
        self._index = index
        self._subject = subject
        self.hidden: set[str] = set()  # Streams that are there, and of which the caller may see nothing.

    async def load(self, stream: str, evolve: Evolve[S], initial: S) -> Loaded[S]:
        """Fold one stream. Errors: as `load_many`."""
        return (await self.load_many([stream], evolve, initial))[stream]

    async def load_many(self, names: Iterable[str], evolve: Evolve[S], initial: S) -> dict[str, Loaded[S]]:
        """Fold many streams in one query. A stream that does not exist is `initial` at version 0.

        So is one that the caller may not see: the rules then refuse it in the same words, and he cannot tell the two.
        Errors   Unknown where the caller may see a part of a stream only; VersionMismatch against If-Match.
        """
        wanted = sorted(set(names))
        states: dict[str, Loaded[S]] = dict.fromkeys(wanted, Loaded(initial, 0))
        rows = await self.conn.fetch(_LOAD, wanted)
        versions: dict[str, int] = {}
        folded: dict[str, S] = {}
        seen: dict[str, int] = {}
        for stream, version, wire, data in rows:
            versions[stream] = version
            if wire is not None:
                folded[stream] = evolve(folded.get(stream, initial), codec.decode(wire, data))
                seen[stream] = seen.get(stream, 0) + 1
        for stream, version in versions.items():
            if stream not in seen:
                self.hidden.add(stream)
                continue
            if seen[stream] != version:  # Row-level security hid some of it.
                raise Unknown("no such thing, or not in your branches")
            states[stream] = Loaded(folded[stream], version)
        expected = self.meta.if_match
        if expected is not None and self._subject in states and states[self._subject].version != expected:
            raise VersionMismatch("it changed since you read it", version=states[self._subject].version)
        return states

    async def append(self, decision: Decision) -> Recorded:
        """Append the facts of a decision and remember its answer, all or nothing.

        Errors   Unknown (what would be new is there, hidden from the caller), Forbidden (a fact of a branch he has no
                 part in), FactTooLarge, VersionConflict (try again).
        """
        changes = sorted((c for c in decision.changes if c.facts), key=lambda c: c.stream)
        if not self.hidden.isdisjoint(c.stream for c in changes):
            raise Unknown("no such thing, or not in your branches")
        assert len({c.stream for c in changes}) == len(changes), "a decision names each stream once"
        versions = {c.stream: c.expected for c in decision.changes if c.stream == decision.subject}
        versions.update((c.stream, c.expected + len(c.facts)) for c in changes)
        recorded = Recorded(versions, decision.subject)
        meta = self.meta
        if not changes and meta.key is None:
            return recorded
        columns = Columns.of(changes, meta)
        try:
            position = await self.conn.fetchval(
                _APPEND,
                [c.stream for c in changes],
                [c.expected for c in changes],
                columns.stream,
                columns.version,
                columns.type,
                columns.branch,
                columns.effective_on,
                columns.data,
                columns.correlation_id,
                columns.causation_id,
                columns.traceparent,
                meta.actor,
                meta.key,
                meta.request,
                _ANSWER.encode(recorded).decode(),
            )
            if self._index is not None and changes:
                await self._index(self.conn, [fact for change in changes for fact in change.facts])
        except asyncpg.PostgresError as error:
            # A unique row of the index, too: somebody else took the number, and the next attempt will see that.
            if error.sqlstate in _CONFLICTS:
                raise VersionConflict(str(error)) from None
            raise
        return msgspec.structs.replace(recorded, position=position)

    async def earlier(self) -> Recorded | None:
        """The stored answer to this command, where there is one. Limits the transaction to the caller's branches.

        Errors   KeyInProgress (the same command is running elsewhere), KeyReused (another request had this key).
        """
        meta = self.meta
        if meta.key is None:
            await self.conn.execute("SELECT set_config('openitem.branches', $1, true)", meta.branches.setting)
            return None
        row = await self.conn.fetchrow(_EARLIER, meta.branches.setting, meta.actor, meta.key)
        assert row is not None
        if not row["free"]:
            raise KeyInProgress("the same command is being carried out")
        if row["answer"] is None:
            return None
        if row["request"] != meta.request:
            raise KeyReused("the key was used before, with another request", field="Idempotency-Key")
        return _ANSWER_DECODER.decode(row["answer"])

    async def answered(self) -> bool:
        """Whether this command has an answer by now."""
        meta = self.meta
        if meta.key is None:
            return False
        query = "SELECT EXISTS (SELECT FROM commands WHERE actor = $1 AND key = $2)"
        return bool(await self.conn.fetchval(query, meta.actor, meta.key))


Decide = Callable[[Streams], Awaitable[Decision]]


class Store:
    """Runs commands against one service's database.

    `index` keeps the service's look-up tables (a promise by its invoice, …) in step: it is called with the facts of
    every append, within its transaction.
    """

    def __init__(self, pool: Pool, index: Index | None = None) -> None:
        self.pool = pool
        self.index = index

    async def execute(self, meta: Meta, decide: Decide, *, subject: str | None = None) -> Recorded:
        """Carry out one command: `decide` loads what it needs and answers what follows from it.

        Errors   what `decide` refuses; KeyInProgress; KeyReused; VersionMismatch; Busy after ATTEMPTS_MAX conflicts.
                 TimeoutError, a transient, when no connection became free.
        Holds    either all facts of the decision and its answer are stored, or nothing is.
        """
        deadline = asyncio.get_running_loop().time() + meta.wait_s
        attempt = 1
        while True:
            try:
                with tracing.span("decide and append", attempt=attempt):
                    async with self.pool.acquire(timeout=_ACQUIRE_S_MAX) as conn, conn.transaction():
                        return await self.run(conn, meta, decide, subject=subject)
            except Arriving:
                if asyncio.get_running_loop().time() >= deadline:
                    raise
                await asyncio.sleep(_ARRIVAL_POLL_S)
            except (VersionConflict, asyncpg.DeadlockDetectedError) as conflict:
                CONFLICTS.inc()
                if attempt == ATTEMPTS_MAX:
                    raise Busy("it keeps changing; send the same request again") from conflict
                await asyncio.sleep(_BACKOFF_S * attempt * random.random())  # noqa: S311 - only to part rivals
                attempt += 1
            except asyncpg.InsufficientPrivilegeError as error:  # Row-level security: the guard behind our own.
                raise Forbidden("not in your branches") from error

    async def run(self, conn: Conn, meta: Meta, decide: Decide, *, subject: str | None = None) -> Recorded:
        """The same within a transaction of the caller's: a consumer's, which also moves its position.

        Errors   as `execute`, but VersionConflict is the caller's to retry.
        """
        streams = Streams(conn, meta, self.index, subject)
        earlier = await streams.earlier()
        if earlier is not None:
            return earlier
        try:
            decision = await decide(streams)
        except Refused:
            # The same command may have been answered just after we looked, and what it did may be what refuses us now.
            if await streams.answered():
                raise VersionConflict("answered meanwhile") from None
            raise
        return await streams.append(decision)


def versions_text(versions: Mapping[str, int]) -> str:
    """`invoice-1@3,item-1@2`: what a reader hands back to wait for his own write."""
    return ",".join(f"{stream}@{version}" for stream, version in versions.items())


_ANSWER: Final = msgspec.json.Encoder()
_ANSWER_DECODER: Final = msgspec.json.Decoder(Recorded)
_CONFLICTS: Final = {"OI001", "OI002", "23505", "40001"}
_LOAD: Final = """
SELECT s.stream, s.version, e.type, e.data
FROM streams s LEFT JOIN events e ON e.stream = s.stream
WHERE s.stream = ANY ($1::text[])
ORDER BY s.stream, e.stream_version
"""
_APPEND: Final = "SELECT append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"
# The lock is taken before the answer is looked up. Should the other's commit fall between our snapshot and our lock,
# the append finds the key taken, and the retry reads the answer.
_EARLIER: Final = """
SELECT l.free, c.request, c.answer
FROM (SELECT set_config('openitem.branches', $1, true),
             pg_try_advisory_xact_lock(hashtextextended($2 || ' ' || $3, 0)) AS free) l
LEFT JOIN commands c ON c.actor = $2 AND c.key = $3
"""
