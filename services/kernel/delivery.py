"""What a consumer hands to a handler, and what a worker is made of: the words that services declare themselves with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import msgspec

from events.envelope import Envelope, Fact, Origin
from services.kernel.settings import Settings
from services.kernel.store import Conn, Store


class Known(msgspec.Struct, frozen=True, gc=False):
    """A fact, and where it stands in its stream and in its publisher's log."""

    envelope: Origin
    fact: Fact


class Delivered(Known, frozen=True, gc=False):
    """One fact from a topic, with its whole envelope."""

    envelope: Envelope


# Applies a batch within the transaction that also stores the consumer's position.
#   Shapes  facts of one stream in order, without repeats and without holes; topics mixed. At least one, unless the
#           consumer ignores all that came: their streams move on with the commit, which somebody may wait to be told
#   Errors  Refused, or what Postgres says against the data, parks the fact at fault (found by bisecting, so a handler
#           sees facts again after a rollback) and holds back its stream. `Arriving` is tried again by itself, later.
#           Transient errors retry the batch. Anything else stops the process.
#   Holds   a handler keeps nothing in memory that a rollback should undo
Handler = Callable[[Conn, Sequence[Delivered]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ConsumerSpec:
    """A consumer of one service: `topics` names publishers ("invoice", "payment"), `name` is kept for life.

    The position, the streams' versions and whatever is parked are stored under `name`: renaming it reads all again.
    """

    name: str
    topics: Sequence[str]
    handler: Handler
    batch_max: int = 2_000  # Facts in one transaction: more no longer pays, and holds row locks for longer.
    gather_s: float = 0.2  # How long Kafka lets a few facts become more: each batch costs a transaction, however small.
    # Wire names of facts that the handler has no use for. It never gets them, and their data is not looked at; their
    # envelope is, and the version of their stream moves on.
    ignored: Set[str] = frozenset()
    lanes: int = 1  # Transactions at a time, of different partitions: one is folded while Postgres works on another.


@dataclass(frozen=True, slots=True)
class Running:
    """What timers and signal handlers of a worker work with. `store.pool` has the connections."""

    settings: Settings
    store: Store
    signal: Callable[[Signal], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Signal:
    """Work to look at, spread over the service's workers by `key`. It may be lost or doubled: rows drive it."""

    kind: str
    key: str
    body: Mapping[str, Any] = field(default_factory=dict)


SignalHandler = Callable[[Running, Signal], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Timer:
    """Runs `run` every so many seconds in every worker of the service, the first time at start.

    Several workers run it at once: it takes what it works on with row locks, or under an advisory lock. A transient
    error is logged and waits for the next time; anything else stops the process.
    """

    name: str
    every_s: float
    run: Callable[[Running], Awaitable[None]]
