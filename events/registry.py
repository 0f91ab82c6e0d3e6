"""Wire name and version to class and back, and the steps that lift an old version to today's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from events.envelope import Fact

F = TypeVar("F", bound=type[Fact])
Upcast = Callable[[dict[str, Any]], dict[str, Any]]
PREFIX: Final = "openitem"


class Unreadable(Exception):
    """A fact that cannot be decoded. `code` says why and is stable: a parked fact carries it."""

    code = "fact_unreadable"


class UnknownType(Unreadable):
    code = "fact_unknown_type"


class UnknownVersion(Unreadable):
    code = "fact_unknown_version"


class Malformed(Unreadable):
    code = "fact_malformed"


class Registered(msgspec.Struct, frozen=True):
    """One fact type: `name` is `invoice.issued`, `wire` is `openitem.invoice.issued.v1`."""

    name: str
    version: int
    cls: type[Fact]
    decoder: msgspec.json.Decoder[Fact]

    @property
    def wire(self) -> str:
        return f"{PREFIX}.{self.name}.v{self.version}"

    @property
    def service(self) -> str:
        return self.name.partition(".")[0]


class Registry:
    """All fact types of one contract. The module-level `REGISTRY` is Openitem's own; tests make others."""

    def __init__(self) -> None:
        self._by_wire: dict[str, Registered] = {}
        self._by_class: dict[type[Fact], Registered] = {}
        self._current: dict[str, Registered] = {}
        self._upcasts: dict[tuple[str, int], Upcast] = {}

    def event(self, name: str, *, version: int) -> Callable[[F], F]:
        """Class decorator: publish this struct as `name`, at `version`, the newest there is."""

        def register(cls: F) -> F:
            assert name not in self._current, f"{name} is registered twice"
            known = Registered(name, version, cls, msgspec.json.Decoder(cls))
            self._by_wire[known.wire] = self._by_class[cls] = self._current[name] = known
            return cls

        return register

    def upcast(self, name: str, *, frm: int) -> Callable[[Upcast], Upcast]:
        """Function decorator: lift the data of `name` from version `frm` to `frm + 1`. One function per step."""

        def register(step: Upcast) -> Upcast:
            assert (name, frm) not in self._upcasts, f"{name} v{frm} is upcast twice"
            self._upcasts[name, frm] = step
            return step

        return register

    def of(self, cls: type[Fact]) -> Registered:
        return self._by_class[cls]

    def all(self) -> list[Registered]:
        """Every current fact type, by wire name."""
        return sorted(self._current.values(), key=lambda r: r.wire)

    def reads(self, wire: str) -> bool:
        """Whether facts of this type and version can be decoded: it is today's, or the steps lead there."""
        name, version = split_wire(wire)
        current = self._current.get(name)
        if current is None or version > current.version:
            return False
        return all((name, step) in self._upcasts for step in range(version, current.version))

    def decode(self, wire: str, data: bytes | str) -> Fact:
        """Read the data of one fact, lifted to the newest version.

        Errors   UnknownType, UnknownVersion (newer than ours, or with no step from it), Malformed.
        """
        known = self._by_wire.get(wire)
        try:
            if known is not None:
                return known.decoder.decode(data)
            return self._lift(wire, data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed(f"{wire}: {error}") from None

    def _lift(self, wire: str, data: bytes | str) -> Fact:
        name, version = split_wire(wire)
        current = self._current.get(name)
        if current is None:
            raise UnknownType(f"{wire} is not a fact this contract knows")
        if version > current.version:
            raise UnknownVersion(f"{wire} is newer than v{current.version}")
        raw = msgspec.json.decode(data)
        if not isinstance(raw, dict):
            raise Malformed(f"{wire}: expected an object")
        for step in range(version, current.version):
            lift = self._upcasts.get((name, step))
            if lift is None:
                raise UnknownVersion(f"{wire} has no step from v{step}")
            try:
                raw = lift(raw)
            except (LookupError, TypeError, ValueError) as error:  # The data is not what its version promised.
                raise Malformed(f"{wire}: cannot be lifted from v{step}: {error!r}") from None
        return msgspec.convert(raw, current.cls)


def split_wire(wire: str) -> tuple[str, int]:
    """`openitem.invoice.issued.v1` gives `("invoice.issued", 1)`. Errors: UnknownType."""
    prefix, _, rest = wire.partition(".")
    name, _, version = rest.rpartition(".v")
    if prefix != PREFIX or not name or not version.isdecimal():
        raise UnknownType(f"{wire!r} is not a fact type")
    return name, int(version)


REGISTRY: Final = Registry()
event = REGISTRY.event
upcast = REGISTRY.upcast
