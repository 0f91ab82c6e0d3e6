"""How many processes rebuild."""

from __future__ import annotations

import os

import pytest

from services.projections.parts import worth


@pytest.mark.parametrize(
    ("cores", "facts", "processes"),
    [
        (2, 0, 1),
        (2, 30_000, 1),
        (2, 50_000, 2),
        (2, 10_000_000, 2),
        (64, 70_000, 3),
        (64, 10_000_000, 4),
        (None, 50_000, 1),
    ],
)
def test_one_for_each_core_as_far_as_that_is_worth_it(
    cores: int | None, facts: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert worth(facts) == processes
