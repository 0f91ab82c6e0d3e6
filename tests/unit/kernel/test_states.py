"""States of a batch: folded when somebody looks, and then as though they always had been."""

from __future__ import annotations

from datetime import date

import pytest

from events.envelope import Fact
from events.invoice import BranchRegistered
from services.kernel.states import Unfolding


def fact(name: str) -> Fact:
    return BranchRegistered(branch="B010", effective_on=date(2026, 7, 1), name=name)


class Folding:
    """Folds names into a text, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, state: str, fact: Fact) -> str:
        assert isinstance(fact, BranchRegistered)
        self.asked += 1
        return state + fact.name


def test_who_looks_sees_every_fact_in_order() -> None:
    states = Unfolding(Folding())
    states.load([("a", "-"), ("b", "-")])
    states.follow("a", [fact("1"), fact("2")])
    states.follow("a", [fact("3")])
    assert (states["a"], states["b"]) == ("-123", "-")
    states.follow("a", [fact("4")])
    assert states.get("a") == "-1234"
    assert dict(states) == {"a": "-1234", "b": "-"}


def test_nothing_is_folded_before_somebody_looks_nor_twice() -> None:
    folding = Folding()
    states = Unfolding(folding)
    states.load([("a", "-")])
    states.follow("a", [fact("1")])
    assert folding.asked == 0
    assert states["a"] == states["a"] == "-1"
    assert folding.asked == 1


def test_a_stream_that_was_not_loaded_has_no_state() -> None:
    states = Unfolding(Folding())
    assert states.get("a") is None
    with pytest.raises(KeyError):
        states["a"]
    with pytest.raises(AssertionError, match="not loaded"):
        states.follow("a", [fact("1")])


def test_it_is_known_whether_anybody_looked_even_in_vain() -> None:
    states = Unfolding(Folding())
    assert not states.looked
    assert "a" not in states
    assert states.looked
    states.looked = False
    assert len(states) == 0
    assert states.looked
