"""One record of a topic as `openitem tail` shows it. What cannot be read is shown too, as just that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec
from rich.text import Text

from events import codec
from events.envelope import Envelope
from events.money import decimal_text
from events.registry import PREFIX, Unreadable

_COLOURS: Final = {"invoice": "cyan", "payment": "green", "contact": "magenta", "escalation": "yellow"}
_ENVELOPED: Final = frozenset({"branch", "effective_on"})  # Shown at the head of the line already.
_WIDTH_MAX: Final = 60  # Of one value; the JSON has it whole.


@dataclass(frozen=True, slots=True)
class Seen:
    """A record: `envelope` and `data` are absent where it cannot be read, and `problem` says why."""

    topic: str
    partition: int
    offset: int
    envelope: Envelope | None
    data: dict[str, Any]
    problem: str | None = None

    @property
    def order(self) -> tuple[float, int]:
        """Sorts records of several partitions as they were recorded."""
        return (self.envelope.recorded_at.timestamp(), self.envelope.seq) if self.envelope else (0.0, self.offset)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to show. Each that is given must fit; of the values of one, any."""

    types: Sequence[str] = ()
    branches: Sequence[str] = ()
    accounts: Sequence[str] = ()
    streams: Sequence[str] = ()

    def fits(self, seen: Seen) -> bool:
        """Whether to show it. What cannot be read is shown unless something was asked for."""
        envelope = seen.envelope
        if envelope is None:
            return not (self.types or self.branches or self.accounts or self.streams)
        name = envelope.type.removeprefix(f"{PREFIX}.")
        return (
            (
                not self.types
                or any(fnmatchcase(n, t) for t in self.types for n in (name, _unversioned(name), envelope.type))
            )
            and (not self.branches or envelope.branch in self.branches)
            and (not self.streams or any(fnmatchcase(envelope.stream, s) for s in self.streams))
            and (not self.accounts or not set(self.accounts).isdisjoint(_accounts(seen.data)))
        )


def read(topic: str, partition: int, offset: int, headers: Sequence[tuple[str, bytes]], value: bytes) -> Seen:
    """A record as it came."""
    try:
        envelope = codec.envelope_of(headers)
        data = msgspec.json.decode(value, type=dict[str, Any])
    except (Unreadable, msgspec.DecodeError, UnicodeDecodeError) as error:
        return Seen(topic, partition, offset, None, {}, str(error))
    return Seen(topic, partition, offset, envelope, data)


def as_json(seen: Seen) -> str:
    """One line with everything: where it stands, its envelope, its data."""
    where = {"topic": seen.topic, "partition": seen.partition, "offset": seen.offset}
    if seen.envelope is None:
        return msgspec.json.encode({**where, "problem": seen.problem}).decode()
    return msgspec.json.encode({**where, **msgspec.to_builtins(seen.envelope), "data": seen.data}).decode()


def as_line(seen: Seen) -> Text:
    """One line for people: when, what, where, by whom, and the figures."""
    if seen.envelope is None:
        return Text(f"{seen.topic}[{seen.partition}]@{seen.offset} cannot be read: {seen.problem}", "bold red")
    envelope = seen.envelope
    name = envelope.type.removeprefix(f"{PREFIX}.")
    line = Text()
    line.append(f"{envelope.recorded_at.astimezone():%H:%M:%S.%f}"[:-3], "dim")
    line.append(f" {name:<32}", _COLOURS.get(name.partition(".")[0], "white"))
    line.append(f" {envelope.branch:<6}", "bold")
    line.append(f" {seen.data.get('effective_on', '')}")
    line.append(f" {envelope.stream}@{envelope.stream_version}", "blue")
    line.append(f" #{envelope.seq} {envelope.actor}", "dim")
    for field, value in _figures(seen.data):
        line.append(f" {field}=", "dim")
        line.append(value)
    return line


def _figures(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields of a fact worth a place on its line: amounts, texts and counts, but not ids."""
    for field, value in data.items():
        if field in _ENVELOPED or field.endswith(("_id", "_ids")) or value is None:
            continue
        match value:
            case {"minor": int(minor), "currency": str(currency)}:
                yield field, f"{decimal_text(minor, currency)} {currency}"
            case {"item_id": _, "due_on": due_on}:
                yield field, f"due {due_on}"
            case list():
                if value:
                    yield field, str(len(value))
            case dict():
                continue
            case _:
                text = str(value)
                yield field, text if len(text) <= _WIDTH_MAX else f"{text[:_WIDTH_MAX]}…"


def _accounts(value: Any) -> Iterator[str]:
    """Every account that data names, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "account_id" and isinstance(inner, str):
                yield inner
            else:
                yield from _accounts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _accounts(inner)


def _unversioned(name: str) -> str:
    return name.rpartition(".v")[0]
