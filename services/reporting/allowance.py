"""The bad-debt allowance by aging class. Pure.

Source   ASC 326 pooled by age: required = sum(bucket x rate) x (1 + adjustment); the entry is what is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from services.kernel.errors import Kind, Refused

RATES: Final = r"^[0-9]{1,3}(\.[0-9]{1,4})?(,[0-9]{1,3}(\.[0-9]{1,4})?)*$"


class RatesInvalid(Refused):
    """The loss rates are no percentages, or more than there are buckets."""

    code = "rates_invalid"
    kind = Kind.INVALID


@dataclass(frozen=True, slots=True)
class Expected:
    """One bucket's expected loss. `minor` and `expected` in minor units, `rate` in percent."""

    minor: int
    rate: Decimal
    expected: int


def parse_rates(text: str, buckets: int) -> tuple[Decimal, ...]:
    """One rate in percent for each bucket; the last one given stands for all older. Errors: RatesInvalid."""
    try:
        rates = tuple(Decimal(part) for part in text.split(","))
    except ArithmeticError:
        raise RatesInvalid("write percentages, such as 1,4,8,16,30", field="rates") from None
    if len(rates) > buckets or not all(rate.is_finite() and 0 <= rate <= 100 for rate in rates):
        raise RatesInvalid(f"give up to {buckets} percentages from 0 to 100, one per bucket", field="rates")
    return rates + (rates[-1],) * (buckets - len(rates))


def expected_losses(minors: Sequence[int], rates: Sequence[Decimal]) -> list[Expected]:
    """What each bucket is expected to lose, rounded half to even to whole minor units."""
    return [Expected(minor, rate, _rounded(minor * rate / 100)) for minor, rate in zip(minors, rates, strict=True)]


def required(losses: Sequence[Expected], adjustment_pct: Decimal) -> int:
    """The allowance that should stand: the losses, raised or lowered by what current conditions call for."""
    return _rounded(sum(loss.expected for loss in losses) * (1 + adjustment_pct / 100))


def _rounded(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_EVEN))
