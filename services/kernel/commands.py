"""Carry out commands against pure domains: load what a command needs, let the domain decide, append what follows.

One command, those of many callers (together.py) and a batch of thousands take the same path. In a batch each command
sees the effect of those before it, a refused one leaves the others alone, and everything that lands does so in one
append.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import msgspec

from events.envelope import Fact
from services.kernel.errors import Forbidden, Refused, Unknown, VersionMismatch
from services.kernel.meta import Cause, Meta
from services.kernel.states import Unfolding
from services.kernel.store import Arriving, Change, Conn, Decision, Loaded, Recorded, Store, Streams

C = TypeVar("C")
S = TypeVar("S")
States = Mapping[str, S]
Facts = Mapping[str, Sequence[Fact]]


@dataclass(frozen=True, slots=True)
class Domain(Generic[C, S]):
    """A service's rules, as values: nothing here reads a clock, a database or a network.

    `subject`   the stream a command is about: its version is the ETag, and what If-Match is held against.
    `needs`     the streams a command must see, given those loaded so far: a receipt names the items it paid only once
                it is loaded. Asked again until it names nothing new.
    `decide`    the facts that follow, by stream, in order; or a refusal. No facts: everything is on record already.
    `evolve`    folds one recorded fact into the state of its stream; it never refuses.
    `prepare`   reads what the rules need to know of things that are no streams here, into the commands. Optional.
    """

    initial: S
    subject: Callable[[C], str]
    needs: Callable[[C, States[S]], Collection[str]]
    decide: Callable[[C, States[S]], Facts]
    evolve: Callable[[S, Fact], S]
    prepare: Callable[[Conn, Sequence[C]], Awaitable[Sequence[C]]] | None = None


class Outcome(NamedTuple):
    """What became of one command of a batch: `refused`, or so many facts (0: on record already).

    `answer` is there where callers differ, and each is told of his own.
    """

    facts: int
    refused: Refused | None = None
    answer: Recorded | None = None


def decider(domain: Domain[C, S], command: C, if_match: int | None = None) -> Callable[[Streams], Awaitable[Decision]]:
    """The decision over one command, for `Store.execute` and `Store.run`."""

    async def decide(streams: Streams) -> Decision:
        batch = Batch(domain, streams)
        [prepared] = await batch.prepare([command])
        await batch.load([prepared])
        batch.take(prepared, if_match=if_match)
        return Decision(batch.changes(), subject=domain.subject(prepared))

    return decide


async def carry_out_many(store: Store, meta: Meta, domain: Domain[C, S], commands: Sequence[C]) -> list[Outcome]:
    """Carry out commands of one caller in order, in one transaction; the answer has one outcome for each.

    Errors   Busy when other writers keep interfering. Refusals are outcomes, not errors.
    Holds    a command that is refused leaves no trace; all others land, or none does.
    """
    outcomes: list[Outcome] = []
    deadline = asyncio.get_running_loop().time() + meta.wait_s

    async def decide(streams: Streams) -> Decision:
        nonlocal outcomes
        may_wait = asyncio.get_running_loop().time() < deadline
        batch = Batch(domain, streams)
        outcomes = await batch.take_all(commands, may_wait=may_wait)
        return Decision(batch.changes())

    # When the wait is over only `decide` says. Were both to look at the clock, a wait that ends between the two looks
    # would refuse the whole batch for what one command lacks.
    await store.execute(msgspec.structs.replace(meta, wait_s=math.inf), decide)
    return outcomes


async def carry_out_in(
    conn: Conn, store: Store, meta: Meta, domain: Domain[C, S], commands: Sequence[C], causes: Sequence[Cause]
) -> list[Outcome]:
    """The same in a transaction of the caller's, who retries the whole of it on VersionConflict.

    Shapes   a cause for each command. `meta` has no key: what was carried out before, the domain knows by the cause.
    """
    streams = Streams(conn, meta.branches, store.index)
    await streams.earlier([])  # Limits the transaction to what the caller may see.
    metas = [msgspec.structs.replace(meta, cause=cause) for cause in causes]
    batch = Batch(domain, streams)
    outcomes = await batch.take_all(commands, metas)
    await streams.append_all(batch.changes(), metas, [outcome.answer for outcome in outcomes])
    return outcomes


class Batch(Generic[C, S]):
    """The streams of a batch as they stand after the commands taken so far, and the facts that led there."""

    def __init__(self, domain: Domain[C, S], streams: Streams) -> None:
        self._domain = domain
        self._streams = streams
        self._loaded: dict[str, Loaded[S]] = {}
        self._states = Unfolding(domain.evolve)
        self._facts: dict[str, list[Fact]] = {}
        self._commands: dict[str, list[int]] = {}  # Which command each of the facts follows from.

    async def prepare(self, commands: Sequence[C]) -> Sequence[C]:
        if self._domain.prepare is None:
            return commands
        return await self._domain.prepare(self._streams.conn, commands)

    async def load(self, commands: Sequence[C]) -> list[Collection[str]]:
        """Load whatever the commands need and have not yet, in as few queries as the needs have steps.

        Shapes   answers the streams that each command needs, in the order of the commands.
        """
        needed: list[Collection[str]] = [()] * len(commands)
        asking: Sequence[int] = range(len(commands))
        while asking:
            missing: set[str] = set()
            again: list[int] = []  # Only who looked, and was told something new, can name more.
            for at in asking:
                self._states.looked = False
                named = needed[at] = self._domain.needs(commands[at], self._states)
                unknown = [name for name in named if name not in self._loaded]
                if unknown:
                    missing.update(unknown)
                    if self._states.looked:
                        again.append(at)
            if missing:
                loaded = await self._streams.load_many(missing, self._domain.evolve, self._domain.initial)
                self._loaded.update(loaded)
                self._states.load((name, stream.state) for name, stream in loaded.items())
            asking = again
        return needed

    async def take_all(
        self, commands: Sequence[C], metas: Sequence[Meta] | None = None, *, may_wait: bool = False
    ) -> list[Outcome]:
        """Prepare, load and take commands in order; each has its outcome. `metas` where callers or causes differ.

        Errors   an Arriving, when the caller may wait for it.
        """
        prepared = await self.prepare(commands)
        # All at once where that goes. Where the caller may not see one of the streams, each finds out for itself.
        needed: list[Collection[str]] | None = None
        with contextlib.suppress(Refused):
            needed = await self.load(prepared)
        outcomes: list[Outcome] = []
        for at, command in enumerate(prepared):
            try:
                # A command before this one may have changed what it needs to see.
                if needed is None or self._changed(needed[at]):
                    await self.load([command])
                if metas is None:
                    decided, answer = self.take(command, None), None
                else:
                    decided = self.take(command, at, metas[at].if_match)
                    answer = self._answer(command, decided)
                outcomes.append(Outcome(sum(map(len, decided.values())), answer=answer))
            except Refused as refusal:
                if may_wait and isinstance(refusal, Arriving):
                    raise
                outcomes.append(Outcome(0, refusal))
        return outcomes

    def take(self, command: C, at: int | None = 0, if_match: int | None = None) -> Facts:
        """Decide one command and keep the facts, which are answered.

        Shapes   `at` counts the commands, from 0; None where it need not be known which of them a fact follows from.
        Errors   Unknown (what it leads to, or would make, is there and hidden from the caller); VersionMismatch; what
                 the domain refuses; Forbidden (a fact of a branch the caller has no part in).
        Holds    a command that is refused has left no trace here.
        """
        if self._streams.hidden:
            self._check_hidden(self._led_to(command))
        if if_match is not None:
            self._check_version(self._domain.subject(command), if_match)
        decided = self._domain.decide(command, self._states)
        if self._streams.hidden:
            self._check_hidden(stream for stream, facts in decided.items() if facts)
        if not self._streams.branches.every:
            self._check_branches(decided)
        for stream, facts in decided.items():
            if not facts:
                continue
            self._states.follow(stream, facts)
            if (earlier := self._facts.get(stream)) is None:
                self._facts[stream] = list(facts)
            else:
                earlier.extend(facts)
            if at is not None:
                self._commands.setdefault(stream, []).extend([at] * len(facts))
        return decided

    def changes(self) -> list[Change]:
        return [
            Change(name, loaded.version, self._facts.get(name, ()), self._commands.get(name))
            for name, loaded in self._loaded.items()
        ]

    def _answer(self, command: C, decided: Facts) -> Recorded:
        """To a command that was just taken: the versions of what it touched, and of what it was about."""
        subject = self._domain.subject(command)
        touched = {stream for stream, facts in decided.items() if facts}
        if subject in self._loaded:
            touched.add(subject)
        return Recorded({stream: self._version(stream) for stream in sorted(touched)}, subject)

    def _version(self, stream: str) -> int:
        return self._loaded[stream].version + len(self._facts.get(stream, ()))

    def _changed(self, names: Collection[str]) -> bool:
        """Whether a command taken so far has touched one of these streams."""
        return not self._facts.keys().isdisjoint(names)

    def _led_to(self, command: C) -> Collection[str]:
        """The streams that a command does not name itself, but what is on record does.

        The rules take a hidden stream for one that does not exist, and may rely on it that these do.
        """
        return set(self._domain.needs(command, self._states)).difference(self._domain.needs(command, {}))

    def _check_branches(self, decided: Facts) -> None:
        for facts in decided.values():
            for fact in facts:
                if fact.branch not in self._streams.branches:
                    raise Forbidden("not in your branches", branch=fact.branch)

    def _check_hidden(self, streams: Iterable[str]) -> None:
        if not self._streams.hidden.isdisjoint(streams):
            raise Unknown("no such thing, or not in your branches")

    def _check_version(self, subject: str, if_match: int) -> None:
        if subject in self._loaded and self._version(subject) != if_match:
            raise VersionMismatch("it changed since you read it", version=self._version(subject))
