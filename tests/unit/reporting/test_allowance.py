"""The bad-debt allowance on the published worked examples, and its settings."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.reporting.allowance import RatesInvalid, expected_losses, parse_rates, required
from services.reporting.settings import ReportingSettings

NONE = Decimal(0)


def usd(*dollars: int) -> list[int]:
    return [each * 100 for each in dollars]


def needed(minors: list[int], rates: str, adjustment_pct: Decimal = NONE) -> int:
    return required(expected_losses(minors, parse_rates(rates, len(minors))), adjustment_pct)


class TestPublishedExamples:
    def test_psu_accounting_211(self) -> None:
        losses = expected_losses(usd(18_000, 5_000, 2_000, 200), parse_rates("1,1.5,5,50", 4))
        assert [loss.expected for loss in losses] == usd(180, 75, 100, 100)
        assert required(losses, NONE) == 455_00

    def test_tutorsglobe_abc(self) -> None:
        wanted = needed(usd(220_000, 90_000, 40_000, 10_000, 15_000), "1,4,8,16,30")
        assert wanted == 15_100_00
        assert wanted - -1_000_00 == 16_100_00  # A debit of 1,000 stands in the allowance.
        assert wanted - 2_500_00 == 12_600_00  # A credit of 2,500 does.

    def test_an_adjustment_raises_or_lowers_the_whole(self) -> None:
        assert needed(usd(18_000, 5_000, 2_000, 200), "1,1.5,5,50", Decimal(10)) == 500_50
        assert needed(usd(18_000, 5_000, 2_000, 200), "1,1.5,5,50", Decimal("-100")) == 0


class TestRates:
    def test_the_last_rate_stands_for_all_older_buckets(self) -> None:
        assert parse_rates("1,30", 4) == (Decimal(1), Decimal(30), Decimal(30), Decimal(30))

    @pytest.mark.parametrize("text", ["", "a", "1,,2", "-1", "101", "NaN", "Infinity", "1,2,3,4,5,6,7"])
    def test_what_is_no_percentage_is_refused(self, text: str) -> None:
        with pytest.raises(RatesInvalid) as refused:
            parse_rates(text, 6)
        assert refused.value.field == "rates"

    @pytest.mark.parametrize("rates", ["101", "1,2,3,4,5,6,7", "x"])
    def test_rates_that_cannot_be_are_found_at_start(self, rates: str) -> None:
        with pytest.raises(ValidationError):
            _settings(allowance_rates=rates)

    def test_a_zone_that_is_none_is_found_at_start(self) -> None:
        with pytest.raises((ValidationError, LookupError)):
            _settings(timezone="Mars/Olympus")


@given(st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=13), st.integers(0, 1_000_000))
def test_the_allowance_is_between_nothing_and_all_of_it(minors: list[int], rate: int) -> None:
    losses = expected_losses(minors, (Decimal(rate) / 10_000,) * len(minors))
    assert 0 <= required(losses, NONE) <= sum(minors)


def _settings(**values: str) -> ReportingSettings:
    return ReportingSettings(postgres="postgresql://x", kafka="x:1", jwks="x", issuer="x", **values)
