"""The event store: load streams, append facts to them, remember the answer to a command.

A command runs in one transaction: look for an earlier answer, load, decide, append; commands that arrive together share
one (together.py). Appending is one call of the SQL function `append` (migrations/0001), which compares and sets every
stream's version.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

import asyncpg
import msgspec

from events import codec
from events.envelope import Fact
from services.kernel import tracing
from services.kernel.change import Change, Columns, FactTooLarge, lines
from services.kernel.errors import (
    Busy,
    Forbidden,
    KeyInProgress,
    KeyReused,
    Refused,
    Unknown,
    VersionConflict,
)
from services.kernel.meta import Branches, Meta
from services.kernel.metrics import CONFLICTS
from services.kernel.pool import Conn, Pool, Prepare, open_pool

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
    "Prepare",
    "Recorded",
    "Store",
    "Streams",
    "open_pool",
    "versions_text",
]
ATTEMPTS_MAX: Final = 3  # A fourth conflict means a hot stream: shed load, do not spin.
ARRIVAL_POLL_S: Final = 0.05  # How often a command that may wait looks again for what it needs.
# A batch waits twice as long each time, up to this: looking costs it half of what landing does, and takes that from
# whoever is to make known what it waits for.
_ARRIVAL_POLL_S_MAX: Final = 0.8
ACQUIRE_S_MAX: Final = 10.0  # For a connection of the pool: past it the service is overloaded, and should say so.
_BACKOFF_S: Final = 0.01  # Before a retry, times the attempt and a random share.

S = TypeVar("S")
Evolve = Callable[[S, Fact], S]


class Loaded(NamedTuple, Generic[S]):
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
    """The streams of one service within one transaction, as far as a caller of these branches may see them."""

    def __init__(self, conn: Conn, branches: Branches, index: Index | None = None) -> None:
        self.conn = conn
        self.branches = branches
        self._index = index
        self.hidden: set[str] = set()  # Streams that are there, and of which the caller may see nothing.

    async def load(self, stream: str, evolve: Evolve[S], initial: S) -> Loaded[S]:
        """Fold one stream. Errors: as `load_many`."""
        return (await self.load_many([stream], evolve, initial))[stream]

    async def load_many(self, names: Iterable[str], evolve: Evolve[S], initial: S) -> dict[str, Loaded[S]]:
        """Fold many streams in one query. A stream that does not exist is `initial` at version 0.

        So is one that the caller may not see: the rules then refuse it in the same words, and he cannot tell the two.
        Errors   Unknown where the caller may see a part of a stream only; ValueUnstorable for a name with a line break.
        """
        wanted = sorted(set(names))
        states: dict[str, Loaded[S]] = dict.fromkeys(wanted, Loaded(initial, 0))
        rows = await self.conn.fetch(_LOAD, lines(wanted))
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
        return states

    async def append(self, decision: Decision, meta: Meta) -> Recorded:
        """Append the facts of the decision over one command. Errors: as `append_all`."""
        versions = {c.stream: c.reached for c in decision.changes if c.facts or c.stream == decision.subject}
        answer = Recorded(versions, decision.subject)
        return msgspec.structs.replace(answer, position=(await self.append_all(decision.changes, [meta], [answer]))[0])

    async def append_all(
        self, changes: Iterable[Change], metas: Sequence[Meta], answers: Sequence[Recorded | None]
    ) -> list[int | None]:
        """Append the facts that follow from some commands, and remember the answer to each, all or nothing.

        Shapes   a meta for each command, and what it is answered or None; answers the position of each one's last fact.
        Errors   Unknown (what would be new is there, hidden from the caller), FactTooLarge, ValueUnstorable (a branch
                 with a line break), VersionConflict (again).
        """
        changes = sorted((c for c in changes if c.facts), key=lambda c: c.stream)
        if not self.hidden.isdisjoint(c.stream for c in changes):
            raise Unknown("no such thing, or not in your branches")
        assert len({c.stream for c in changes}) == len(changes), "a decision names each stream once"
        keys = [meta.key if answer is not None else None for meta, answer in zip(metas, answers, strict=True)]
        if not changes and not any(keys):
            return [None] * len(metas)
        columns = Columns.of(changes, len(metas))
        try:
            positions: list[int | None] = await self.conn.fetchval(
                _APPEND,
                *columns[:-1],
                [meta.actor for meta in metas],
                [meta.cause.correlation_id for meta in metas],
                [meta.cause.causation_id for meta in metas],
                [meta.cause.traceparent for meta in metas],
                columns.last,
                keys,
                [meta.request for meta in metas],
                [_without_position(answer) for answer in answers],
            )
            if self._index is not None and changes:
                await self._index(self.conn, [fact for change in changes for fact in change.facts])
        except asyncpg.PostgresError as error:
            # A unique row of the index, too: somebody else took the number, and the next attempt will see that.
            if error.sqlstate in _CONFLICTS:
                raise VersionConflict(str(error)) from None
            raise
        return positions

    async def earlier(self, metas: Sequence[Meta]) -> list[Recorded | Refused | None]:
        """The stored answer to each of these commands, where there is one. Limits the transaction to the branches.

        A refusal in its place is KeyInProgress (the same command is running, elsewhere or before this one among these)
        or KeyReused (another request had this key).
        """
        keyed = {(meta.actor, meta.key): None for meta in metas if meta.key is not None}
        found: dict[tuple[str, str | None], asyncpg.Record] = {}
        if keyed:
            actors, keys = zip(*keyed, strict=True)
            rows = await self.conn.fetch(_EARLIER, self.branches.setting, actors, keys)
            found = dict(zip(keyed, rows, strict=True))
        else:
            await self.conn.execute("SELECT set_config('openitem.branches', $1, true)", self.branches.setting)
        return [None if meta.key is None else _said(meta, found.pop((meta.actor, meta.key), None)) for meta in metas]

    async def answered(self, metas: Sequence[Meta]) -> list[bool]:
        """Of each of these commands whether it has an answer by now."""
        if all(meta.key is None for meta in metas):
            return [False] * len(metas)
        rows = await self.conn.fetch(_ANSWERED, [meta.actor for meta in metas], [meta.key for meta in metas])
        return [bool(row["answered"]) for row in rows]


def _said(meta: Meta, row: asyncpg.Record | None) -> Recorded | Refused | None:
    if row is None or not row["free"]:
        return KeyInProgress("the same command is being carried out")
    if row["answer"] is None:
        return None
    if row["request"] != meta.request:
        return KeyReused("the key was used before, with another request", field="Idempotency-Key")
    return _ANSWER_DECODER.decode(row["answer"])


def _without_position(answer: Recorded | None) -> str | None:
    """The answer up to its position, which is the last member, and which `append` fills in."""
    return None if answer is None else _ANSWER.encode(answer).decode().removesuffix("null}")


Decide = Callable[[Streams], Awaitable[Decision]]


class Store:
    """Runs commands against one service's database.

    `index` keeps the service's look-up tables (a promise by its invoice, …) in step: it is called with the facts of
    every append, within its transaction.
    """

    def __init__(self, pool: Pool, index: Index | None = None) -> None:
        self.pool = pool
        self.index = index

    async def execute(self, meta: Meta, decide: Decide) -> Recorded:
        """Carry out one command: `decide` loads what it needs and answers what follows from it.

        Errors   what `decide` refuses; KeyInProgress; KeyReused; Busy after ATTEMPTS_MAX conflicts.
                 TimeoutError, a transient, when no connection became free.
        Holds    either all facts of the decision and its answer are stored, or nothing is.
        """
        clock = asyncio.get_running_loop().time
        deadline, pause_s = clock() + meta.wait_s, ARRIVAL_POLL_S
        attempt = 1
        while True:
            try:
                with tracing.span("decide and append", attempt=attempt):
                    async with self.pool.acquire(timeout=ACQUIRE_S_MAX) as conn, conn.transaction():
                        return await self.run(conn, meta, decide)
            except Arriving:
                left_s = deadline - clock()
                if left_s <= 0:
                    raise
                await asyncio.sleep(min(pause_s, left_s))
                pause_s = min(2 * pause_s, _ARRIVAL_POLL_S_MAX)
            except (VersionConflict, asyncpg.DeadlockDetectedError) as conflict:
                CONFLICTS.inc()
                if attempt == ATTEMPTS_MAX:
                    raise Busy("it keeps changing; send the same request again") from conflict
                await part_rivals(attempt)
                attempt += 1
            except asyncpg.InsufficientPrivilegeError as error:  # Row-level security: the guard behind our own.
                raise Forbidden("not in your branches") from error

    async def run(self, conn: Conn, meta: Meta, decide: Decide) -> Recorded:
        """The same within a transaction of the caller's: a consumer's, which also moves its position.

        Errors   as `execute`, but VersionConflict is the caller's to retry.
        """
        streams = Streams(conn, meta.branches, self.index)
        [earlier] = await streams.earlier([meta])
        if isinstance(earlier, Refused):
            raise earlier
        if earlier is not None:
            return earlier
        try:
            decision = await decide(streams)
        except Refused:
            # The same command may have been answered just after we looked, and what it did may be what refuses us now.
            if any(await streams.answered([meta])):
                raise VersionConflict("answered meanwhile") from None
            raise
        return await streams.append(decision, meta)


async def part_rivals(attempt: int) -> None:
    """Wait a little after a conflict, at random, so that those who met do not meet again."""
    await asyncio.sleep(_BACKOFF_S * attempt * random.random())  # noqa: S311 - only to part rivals


def versions_text(versions: Mapping[str, int]) -> str:
    """`invoice-1@3,item-1@2`: what a reader hands back to wait for his own write."""
    return ",".join(f"{stream}@{version}" for stream, version in versions.items())


_ANSWER: Final = msgspec.json.Encoder()
_ANSWER_DECODER: Final = msgspec.json.Decoder(Recorded)
_CONFLICTS: Final = {"OI001", "OI002", "23505", "40001"}
_LOAD: Final = """
SELECT s.stream, s.version, e.type, e.data
FROM streams s LEFT JOIN events e ON e.stream = s.stream
WHERE s.stream = ANY (string_to_array($1, E'\\n'))
ORDER BY s.stream, e.stream_version
"""
_APPEND: Final = "SELECT append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
# A lock is taken before its answer is looked up. Should the other's commit fall between our snapshot and our lock, the
# append finds the key taken, and the retry reads the answer. Materialised, or Postgres might look first and lock after.
_EARLIER: Final = """
WITH locked AS MATERIALIZED (
    SELECT k.actor, k.key, k.i, pg_try_advisory_xact_lock(hashtextextended(k.actor || ' ' || k.key, 0)) AS free
    FROM (SELECT set_config('openitem.branches', $1, true)) s,
         unnest($2::text[], $3::text[]) WITH ORDINALITY AS k(actor, key, i)
)
SELECT l.free, c.request, c.answer
FROM locked l LEFT JOIN LATERAL (
    SELECT c.request, c.answer FROM commands c WHERE c.actor = l.actor AND c.key = l.key OFFSET 0
) c ON true
ORDER BY l.i
"""
_ANSWERED: Final = """
SELECT EXISTS (SELECT FROM commands c WHERE c.actor = k.actor AND c.key = k.key) AS answered
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(actor, key, i) ORDER BY k.i
"""
