"""Who is taken to stand still, and who only waits."""

from __future__ import annotations

import pytest

from services.kernel.standstill import STALLED_S, Stalled, Standstill


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("services.kernel.standstill.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_facts_that_wait_for_a_minute_without_a_sign_are_a_standstill(clock: Clock) -> None:
    standstill = Standstill()
    clock.now += STALLED_S + 1
    with pytest.raises(Stalled, match="3 facts wait"):
        standstill.check(3)


def test_nothing_to_do_is_no_standstill(clock: Clock) -> None:
    standstill = Standstill()
    clock.now += STALLED_S + 1
    standstill.check(0)


def test_one_lane_that_hangs_is_found_though_another_commits(clock: Clock) -> None:
    standstill = Standstill()
    standstill.turn("lane 0")
    standstill.turn("lane 1")
    clock.now += STALLED_S + 1
    standstill.turn("lane 1")
    standstill.sign()
    with pytest.raises(Stalled, match="lane 0"):
        standstill.check(0)


def test_a_lane_that_ended_is_not_waited_for(clock: Clock) -> None:
    standstill = Standstill()
    standstill.turn("lane 0")
    standstill.ended("lane 0")
    clock.now += STALLED_S + 1
    standstill.check(0)
