"""What is to be appended: facts by stream, and the same as the columns that the SQL function `append` takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Final, NamedTuple

from events import codec
from events.envelope import Fact
from services.kernel.errors import Kind, Refused, ValueUnstorable

# Refused here, where somebody is told: in the outbox it would stop the log. Leaves room for headers below 1 MiB, what
# Kafka brokers and clients take unless they are told otherwise.
FACT_BYTES_MAX: Final = 900_000


class Change(NamedTuple):
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
    """The streams and the facts of some changes, as `append` takes them: each column one text, a value a line.

    Texts and no arrays: asyncpg spends as much on one element of an array as all of this does on a fact.
    `stream` and `command` count from 1; `last` is of each command the last fact that follows from it, None where none
    does.
    """

    names: str
    expected: str
    reached: str
    stream: str
    version: str
    command: str
    type: str
    branch: str
    effective_on: str
    data: str
    last: Sequence[int | None]

    @classmethod
    def of(cls, changes: Sequence[Change], commands: int) -> Columns:
        """Errors: FactTooLarge; ValueUnstorable where a stream or a branch is more than a line."""
        facts = [fact for change in changes for fact in change.facts]
        of_commands = [at for change in changes for at in change.commands or repeat(0, len(change.facts))]
        assert len(of_commands) == len(facts), "each fact follows from a command"
        return cls(
            names=lines([change.stream for change in changes]),
            expected=_numbers([change.expected for change in changes]),
            reached=_numbers([change.reached for change in changes]),
            stream=_numbers([at for at, change in enumerate(changes, start=1) for _ in change.facts]),
            version=_numbers([v for c in changes for v in range(c.expected + 1, c.reached + 1)]),
            command=_numbers([at + 1 for at in of_commands]) if commands > 1 else "1\n" * (len(facts) - 1) + "1",
            type="\n".join([codec.wire_of(fact) for fact in facts]),
            branch=lines([fact.branch for fact in facts]),
            effective_on="\n".join([fact.effective_on.isoformat() for fact in facts]),
            data=_data(facts),
            last=_last(of_commands, commands),
        )


def _numbers(column: Iterable[int]) -> str:
    return "\n".join(map(str, column))


def lines(column: Sequence[str]) -> str:
    """The values in a text, one a line. Errors: ValueUnstorable where one of them has a line break."""
    text = "\n".join(column)
    if column and text.count("\n") != len(column) - 1:
        raise ValueUnstorable("a name has one line")
    return text


def _data(facts: Sequence[Fact]) -> str:
    """What is published of each fact: JSON, which has no line break of its own."""
    data = codec.encode_lines(facts)
    if len(data) > FACT_BYTES_MAX:  # Seldom: all of them together.
        largest = max(map(len, data.split(b"\n")))
        if largest > FACT_BYTES_MAX:
            raise FactTooLarge("too large to be published", bytes=largest, bytes_max=FACT_BYTES_MAX)
    return data.decode()


def _last(of_commands: Sequence[int], commands: int) -> list[int | None]:
    last: list[int | None] = [None] * commands
    for at, command in enumerate(of_commands, start=1):
        last[command] = at
    return last
