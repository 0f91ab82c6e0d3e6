"""Hypothesis strategies for facts and what surrounds them, made from the structs themselves."""

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

import events.codec  # noqa: F401 - the import registers the facts
from events.envelope import Envelope, Fact
from events.money import MINOR_MAX, Money
from events.registry import REGISTRY, Registered

CURRENCIES = ("USD", "CAD", "EUR", "JPY", "KWD", "CLF")  # 2, 2, 2, 0, 3 and 4 digits.
INT64 = 2**63 - 1
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9999, 12, 31)

# Header values and data are UTF-8; a lone surrogate has no encoding in it.
texts = st.text(st.characters(codec="utf-8"), max_size=40)
# An attribute of CloudEvents is never empty.
attributes = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
currencies = st.sampled_from(CURRENCIES)
amounts = st.builds(Money, st.integers(-MINOR_MAX, MINOR_MAX), currencies)
days = st.dates(FIRST_DAY, LAST_DAY)
instants = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
counts = st.integers(1, INT64)


def facts() -> st.SearchStrategy[Fact]:
    """Any fact of the contract."""
    return st.sampled_from(REGISTRY.all()).flatmap(facts_of)


def facts_of(known: Registered) -> st.SearchStrategy[Fact]:
    """Any fact of one type."""
    strategy: st.SearchStrategy[Fact] = _values(inspect.type_info(known.cls))
    return strategy


def envelopes(wires: st.SearchStrategy[str] | None = None) -> st.SearchStrategy[Envelope]:
    """Anything that a fact may be surrounded with."""
    return st.builds(
        Envelope,
        event_id=st.uuids(),
        type=st.sampled_from([known.wire for known in REGISTRY.all()]) if wires is None else wires,
        source=st.sampled_from(["/openitem/invoice", "/openitem/payment"]),
        stream=attributes,
        stream_version=counts,
        seq=counts,
        recorded_at=instants,
        actor=attributes,
        branch=st.from_regex(r"[A-Z0-9][A-Z0-9-]{0,15}", fullmatch=True),
        correlation_id=attributes,
        causation_id=st.none() | attributes,
        traceparent=st.none() | attributes,
    )


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Any value of a type that facts use. A new kind of type in a fact is named here once."""
    match kind:
        case inspect.Metadata(type=inner):
            return _values(inner)
        case inspect.StructType(cls=cls) if cls is Money:
            return amounts
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{f.name: _values(f.type) for f in fields})
        case inspect.UnionType(types=types):
            return st.one_of([_values(t) for t in types])
        case inspect.VarTupleType(item_type=inner):
            return st.lists(_values(inner), max_size=3).map(tuple)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.StrType(pattern=str(pattern)):
            return currencies if pattern == "^[A-Z]{3}$" else st.from_regex(pattern, fullmatch=True)
        case inspect.StrType():
            return texts
        case inspect.IntType():
            return st.integers(-INT64, INT64)
        case inspect.UUIDType():
            return st.uuids()
        case inspect.DateType():
            return days
        case inspect.NoneType():
            return st.none()
        case _:
            raise NotImplementedError(f"say what any {kind} is")
