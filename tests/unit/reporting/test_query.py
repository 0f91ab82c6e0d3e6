"""What a question may say: days, instants, ranges, months, and branches."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from services.kernel.errors import Forbidden
from services.kernel.meta import EVERY_BRANCH, Branches
from services.reporting.bad_debt import MonthInvalid, month_of
from services.reporting.cash_flow import DAYS_MAX, RangeInvalid, range_of
from services.reporting.query import AsOf, Day, KnownAtInvalid, branches_asked, instant_of

CHICAGO = ZoneInfo("America/Chicago")
DAY: TypeAdapter[date] = TypeAdapter(Day)
WHEN = AsOf(date(2026, 3, 15), None)


class TestDays:
    def test_a_day_is_written_as_iso_8601_has_it(self) -> None:
        assert DAY.validate_python("2026-10-31") == date(2026, 10, 31)
        assert DAY.validate_python("20261031") == date(2026, 10, 31)

    @pytest.mark.parametrize(
        "text",
        ["", "0", "1704067200", "31.10.2026", "10/31/2026", "2026-02-30", "1969-12-31", "2100-01-01", "9999-12-31"],
    )
    def test_what_is_no_day_of_a_ledger_is_refused(self, text: str) -> None:
        with pytest.raises(ValidationError):
            DAY.validate_python(text)


class TestKnownAt:
    def test_a_day_means_its_end_where_the_business_is(self) -> None:
        assert instant_of("2026-10-31", CHICAGO) == datetime(2026, 11, 1, 4, 59, 59, 999_999, tzinfo=UTC)

    @pytest.mark.parametrize(
        "text", ["2026-10-31T17:00:00Z", "2026-10-31T12:00:00-05:00", "2026-10-31T18:00:00 01:00", "20261031T170000Z"]
    )
    def test_an_instant_is_taken_with_its_zone(self, text: str) -> None:
        assert instant_of(text, CHICAGO) == datetime(2026, 10, 31, 17, tzinfo=UTC)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "x",
            "2026-10-31T17:00:00",
            "2026-13-01",
            "0001-01-01",
            "9999-12-31",
            "9999-12-31T23:59:59-12:00",
            "10-31-2026",
        ],
    )
    def test_without_a_zone_or_a_calendar_it_is_refused(self, text: str) -> None:
        with pytest.raises(KnownAtInvalid) as refused:
            instant_of(text, CHICAGO)
        assert refused.value.field == "known_at"

    @given(st.text(max_size=40))
    def test_no_text_is_more_than_refused(self, text: str) -> None:
        with suppress(KnownAtInvalid):
            assert instant_of(text, CHICAGO).tzinfo is not None


class TestBranches:
    some = Branches(frozenset({"DAL", "CHI"}))

    def test_who_may_see_all_and_asks_for_none_gets_all(self) -> None:
        assert branches_asked(EVERY_BRANCH, None) is None
        assert branches_asked(EVERY_BRANCH, []) is None

    def test_who_may_see_some_and_asks_for_none_gets_those(self) -> None:
        assert branches_asked(self.some, None) == ["CHI", "DAL"]

    def test_branches_may_be_asked_for_within_what_one_may_see(self) -> None:
        assert branches_asked(self.some, ["DAL"]) == ["DAL"]
        assert branches_asked(EVERY_BRANCH, ["HOU", "DAL"]) == ["HOU", "DAL"]

    @pytest.mark.parametrize("asked", [["HOU"], ["DAL", "HOU"]])
    def test_another_branch_is_forbidden(self, asked: list[str]) -> None:
        with pytest.raises(Forbidden) as refused:
            branches_asked(self.some, asked)
        assert "HOU" not in refused.value.message


class TestRanges:
    def test_without_a_range_it_is_four_weeks_either_way(self) -> None:
        first, last = range_of(WHEN, None, None)
        assert (WHEN.on - first).days + 1 == 28
        assert (last - WHEN.on).days == 28

    def test_one_day_is_a_range(self) -> None:
        assert range_of(WHEN, WHEN.on, WHEN.on) == (WHEN.on, WHEN.on)

    @pytest.mark.parametrize("days", [-1, DAYS_MAX])
    def test_an_empty_or_endless_range_is_refused(self, days: int) -> None:
        with pytest.raises(RangeInvalid):
            range_of(WHEN, WHEN.on, WHEN.on + timedelta(days=days))

    def test_the_longest_range_is_taken(self) -> None:
        first, last = range_of(WHEN, WHEN.on, WHEN.on + timedelta(days=DAYS_MAX - 1))
        assert (last - first).days + 1 == DAYS_MAX


class TestMonths:
    @pytest.mark.parametrize(
        ("text", "first", "last"),
        [
            ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
            ("2026-12", date(2026, 12, 1), date(2026, 12, 31)),
            (None, date(2026, 3, 1), date(2026, 3, 31)),
        ],
    )
    def test_a_month_has_its_days(self, text: str | None, first: date, last: date) -> None:
        assert month_of(text, WHEN) == (first, last)

    @pytest.mark.parametrize("text", ["2026-13", "2026-00", "0000-01", "0001-01", "9999-12", "2026-1"])
    def test_what_is_no_month_is_refused(self, text: str) -> None:
        with pytest.raises(MonthInvalid):
            month_of(text, WHEN)
