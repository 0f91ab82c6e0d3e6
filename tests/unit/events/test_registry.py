"""Old versions are lifted step by step; what cannot be lifted is named as what it is."""

from datetime import date
from typing import Any

import pytest

from events.envelope import Fact
from events.registry import Malformed, Registry, UnknownType, UnknownVersion, split_wire

V3 = "openitem.crane.lifted.v3"
THIRD = b'{"branch":"CHI","effective_on":"2026-03-02","kilograms":1500,"by":"crew 7"}'


class Lifted(Fact, frozen=True, kw_only=True):
    """The newest version: kilograms, and who did it."""

    kilograms: int
    by: str


def registry(*steps: int) -> Registry:
    """A contract with one fact at version 3, and the steps named: 1 from tonnes to kilograms, 2 adds who did it."""
    made = Registry()
    made.event("crane.lifted", version=3)(Lifted)

    def to_kilograms(data: dict[str, Any]) -> dict[str, Any]:
        return {**{k: v for k, v in data.items() if k != "tonnes"}, "kilograms": int(data["tonnes"] * 1000)}

    def names_the_crew(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "by": "unknown"}

    for frm, step in ((1, to_kilograms), (2, names_the_crew)):
        if frm in steps:
            made.upcast("crane.lifted", frm=frm)(step)
    return made


def lifted(kilograms: int, by: str) -> Lifted:
    return Lifted(branch="CHI", effective_on=date(2026, 3, 2), kilograms=kilograms, by=by)


def test_todays_version_needs_no_step() -> None:
    assert registry().decode(V3, THIRD) == lifted(1500, "crew 7")


def test_yesterdays_version_takes_one_step() -> None:
    data = b'{"branch":"CHI","effective_on":"2026-03-02","kilograms":1500}'
    assert registry(1, 2).decode("openitem.crane.lifted.v2", data) == lifted(1500, "unknown")


def test_the_first_version_takes_every_step_in_order() -> None:
    data = b'{"branch":"CHI","effective_on":"2026-03-02","tonnes":1.5}'
    assert registry(1, 2).decode("openitem.crane.lifted.v1", data) == lifted(1500, "unknown")


@pytest.mark.parametrize(("steps", "missing"), [((2,), "v1"), ((1,), "v2"), ((), "v1")])
def test_a_missing_step_is_named(steps: tuple[int, ...], missing: str) -> None:
    contract = registry(*steps)
    assert not contract.reads("openitem.crane.lifted.v1")
    with pytest.raises(UnknownVersion, match=f"no step from {missing}"):
        contract.decode("openitem.crane.lifted.v1", b'{"branch":"CHI","effective_on":"2026-03-02","tonnes":1.5}')


def test_a_contract_knows_what_it_reads() -> None:
    contract = registry(2)
    assert [contract.reads(f"openitem.crane.lifted.v{n}") for n in (1, 2, 3, 4)] == [False, True, True, False]
    assert not contract.reads("openitem.crane.dropped.v1")


def test_a_newer_version_is_unknown() -> None:
    with pytest.raises(UnknownVersion, match="newer than v3"):
        registry(1, 2).decode("openitem.crane.lifted.v4", THIRD)


def test_another_type_is_unknown() -> None:
    with pytest.raises(UnknownType):
        registry(1, 2).decode("openitem.crane.dropped.v1", THIRD)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[1]",
        b'"text"',
        b'{"branch":"CHI","effective_on":"2026-03-02"}',  # Nothing to lift.
        b'{"branch":"CHI","effective_on":"2026-03-02","tonnes":null}',  # The step itself fails.
        b'{"branch":"chi","effective_on":"2026-03-02","tonnes":1}',  # The result is not what today's version promises.
        b'{"effective_on":"2026-03-02","tonnes":1}',
    ],
)
def test_old_data_that_was_never_right_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match=r"crane\.lifted\.v1"):
        registry(1, 2).decode("openitem.crane.lifted.v1", data)


def test_a_name_and_a_step_are_registered_once() -> None:
    contract = registry(1)
    with pytest.raises(AssertionError, match="registered twice"):
        contract.event("crane.lifted", version=4)(Lifted)
    with pytest.raises(AssertionError, match="upcast twice"):
        contract.upcast("crane.lifted", frm=1)(lambda data: data)


@pytest.mark.parametrize("wire", ["", "a.b.v1", "openitem.v1", "openitem.crane.lifted", "openitem.crane.lifted.vx"])
def test_a_type_that_is_not_ours_is_unknown(wire: str) -> None:
    with pytest.raises(UnknownType):
        split_wire(wire)
