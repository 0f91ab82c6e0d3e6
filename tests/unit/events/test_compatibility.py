"""The guard of published schemas: additive changes pass, everything else is named."""

from typing import Annotated, Any, Literal

import msgspec
import pytest

from events.compatibility import breaks
from events.envelope import Fact
from events.money import Money
from events.registry import Registered
from events.schemas import schema_of


def fact(doc: str = "A crane lifted a load.", /, **fields: object) -> dict[str, Any]:
    """The schema of a fact with these fields: a type, or a type and a default."""
    listed = [(name, *f) if isinstance(f, tuple) else (name, f) for name, f in fields.items()]
    cls: Any = msgspec.defstruct("Lifted", listed, bases=(Fact,), frozen=True, kw_only=True, namespace={"__doc__": doc})
    return schema_of(Registered("crane.lifted", 1, cls, msgspec.json.Decoder(cls)))


def load(**fields: object) -> Any:
    return msgspec.defstruct("Load", list(fields.items()), frozen=True, kw_only=True)


LOAD: Any = load(kg=int)
PUBLISHED = fact(
    kg=int, by=str, tone=Literal["calm", "loud"], cost=Money, notes=(tuple[str, ...], ()), at=(int | None, None)
)


def proposed(**changes: object) -> dict[str, Any]:
    fields: dict[str, object] = {
        "kg": int,
        "by": str,
        "tone": Literal["calm", "loud"],
        "cost": Money,
        "notes": (tuple[str, ...], ()),
        "at": (int | None, None),
    }
    fields.update(changes)
    return fact(**{name: field for name, field in fields.items() if field is not None})


class TestAdditive:
    def test_no_change(self) -> None:
        assert breaks(PUBLISHED, proposed()) == []

    @pytest.mark.parametrize("added", [(int | None, None), (str, ""), (tuple[Money, ...], ()), (Literal["a"], "a")])
    def test_an_optional_field(self, added: object) -> None:
        assert breaks(PUBLISHED, proposed(added=added)) == []

    def test_other_words(self) -> None:
        other = fact("A load went up.", kg=int)
        assert breaks(fact("A crane lifted a load.", kg=int), other) == []

    def test_an_optional_field_deep_inside(self) -> None:
        before, after = fact(loads=tuple[LOAD, ...]), fact(loads=tuple[LOAD, ...])
        after["$defs"]["Load"]["properties"]["colour"] = {"type": "string", "default": "red"}
        assert breaks(before, after) == []

    def test_a_struct_by_another_name(self) -> None:
        renamed = msgspec.defstruct("Burden", [("kg", int)], frozen=True, kw_only=True)
        assert breaks(fact(load=load(kg=int)), fact(load=renamed)) == []


class TestBreaking:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"kg": None}, "/kg: removed or renamed"),
            ({"kg": None, "kilograms": int}, "/kg: removed or renamed"),
            ({"added": int}, "/added: added without a default"),
            ({"kg": str}, "/kg: was integer, would be string"),
            ({"kg": float}, "/kg: was integer, would be number"),
            ({"kg": int | None}, "/kg: was integer, would be integer or null"),
            ({"kg": (int, 0)}, "/kg: was always there, could now be absent"),
            ({"at": int | None}, "/at: could be absent, would now be required"),
            ({"at": (int | None, 5)}, "/at: default was None, would be 5"),
            ({"notes": (tuple[int, ...], ())}, "/notes[]: was string, would be integer"),
            ({"tone": Literal["calm", "loud", "shrill"]}, "/tone: enum was"),
            ({"tone": Literal["calm"]}, "/tone: enum was"),
            ({"tone": str}, "/tone: was an enumeration, would be string"),
            ({"cost": int}, "/cost: was object, would be integer"),
            ({"cost": load(minor=int)}, "/cost/currency: removed or renamed"),
            ({"cost": load(minor=str, currency=str)}, "/cost/minor: was integer, would be string"),
        ],
    )
    def test_is_named(self, changes: dict[str, object], said: str) -> None:
        found = breaks(PUBLISHED, proposed(**changes))
        assert any(line.startswith(said) for line in found), found

    def test_a_narrower_pattern(self) -> None:
        code = msgspec.Meta(pattern="^[A-Z]{3}$")
        assert breaks(fact(code=str), fact(code=Annotated[str, code])) == [
            "/code: pattern was None, would be '^[A-Z]{3}$'"
        ]

    def test_every_break_is_told_at_once(self) -> None:
        assert len(breaks(PUBLISHED, proposed(kg=None, by=int, added=str))) == 3
