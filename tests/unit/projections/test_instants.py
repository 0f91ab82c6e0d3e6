"""Instants reach Postgres as they are, whatever zone they are told in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.projections.instants import _counted, _instant

CENTURY_US = 100 * 365 * 86_400 * 1_000_000
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=5, minutes=45))])


@given(st.integers(-CENTURY_US, CENTURY_US), ZONES)
def test_an_instant_is_written_as_it_was_read_in_any_zone(counted: int, zone: timezone) -> None:
    assert _counted(_instant((counted,)).astimezone(zone)) == (counted,)


def test_microseconds_are_counted_from_the_year_2000() -> None:
    assert _counted(datetime(2000, 1, 2, 0, 0, 1, 7, tzinfo=UTC)) == (86_401_000_007,)
    assert _counted(datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == (-1,)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError):
        _counted(datetime(2026, 1, 1))  # noqa: DTZ001 - the point of it
