"""What is to be appended: facts by stream, and the same as the arrays that the SQL function `append` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import repeat
from typing import Final, NamedTuple

from events import codec
from events.envelope import Fact
from services.kernel.errors import Kind, Refused

# Refused here, where somebody is told: in the outbox it would stop the log. Leaves room for headers below 1 MiB, what
# Kafka brokers and clients take unless they are told otherwise.
FACT_BYTES_MAX: Final = 900_000


@dataclass(frozen=True, slots=True)
class Change:
    """Facts to append to one stream that was loaded at version `expected`.

    `commands` says of each fact which command it follows from, counted from 0; None: all of them from the first.
    """

    stream: str
    expected: int
    facts: Sequence[Fact]
    commands: Sequence[int] | None = None

    @property
    def reached(self) -> int:
        """The version that the stream gets."""
        return self.expected + len(self.facts)


class FactTooLarge(Refused):
    """A fact has more bytes than one Kafka record can carry to every subscriber. Nothing was recorded."""

    code = "fact_too_large"
    kind = Kind.TOO_LARGE


class Columns(NamedTuple):
    """The facts of some changes as the arrays that `append` takes; `stream` and `command` count from 1."""

    stream: Sequence[int]
    version: Sequence[int]
    command: Sequence[int]
    type: Sequence[str]
    branch: Sequence[str]
    effective_on: Sequence[date]
    data: Sequence[str]

    @classmethod
    def of(cls, changes: Sequence[Change]) -> Columns:
        """Errors: FactTooLarge."""
        rows: list[tuple[int, int, int, str, str, date, str]] = []  # Turned at the end: an append per fact, not seven.
        for at, change in enumerate(changes, start=1):
            version = change.expected
            commands = repeat(0, len(change.facts)) if change.commands is None else change.commands
            for fact, command in zip(change.facts, commands, strict=True):
                version += 1
                data = codec.encode(fact)
                if len(data) > FACT_BYTES_MAX:
                    raise FactTooLarge("too large to be published", bytes=len(data), bytes_max=FACT_BYTES_MAX)
                rows.append(
                    (at, version, command + 1, codec.wire_of(fact), fact.branch, fact.effective_on, data.decode())
                )
        return cls(*zip(*rows, strict=True)) if rows else cls(*[()] * len(cls._fields))

    def last_of(self, commands: int) -> list[int | None]:
        """Of each of so many commands the last fact that follows from it, counted from 1; None where none does."""
        last: list[int | None] = [None] * commands
        for at, command in enumerate(self.command, start=1):
            last[command - 1] = at
        return last
