"""Money is exact: what is printed reads back, and arithmetic is that of integers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.money import MINOR_MAX, Money, NotMoney, decimal_text, digits_of
from tests.support.strategies import CURRENCIES, amounts, currencies

minors = st.integers(-MINOR_MAX, MINOR_MAX)


@pytest.mark.parametrize(("currency", "digits"), [("JPY", 0), ("USD", 2), ("KWD", 3), ("CLF", 4), ("ZZZ", 2)])
def test_a_currency_has_the_digits_of_iso_4217(currency: str, digits: int) -> None:
    assert digits_of(currency) == digits


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (120_450, "USD", "1204.50"),
        (-5, "USD", "-0.05"),
        (0, "USD", "0.00"),
        (120_450, "JPY", "120450"),
        (-120_450, "KWD", "-120.450"),
        (7, "CLF", "0.0007"),
    ],
)
def test_an_amount_is_printed_with_all_digits_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert str(Money(minor, currency)) == decimal_text(minor, currency) == text
    assert Money.parse(text, currency) == Money(minor, currency)


@given(amounts)
def test_what_is_printed_reads_back(amount: Money) -> None:
    assert Money.parse(str(amount), amount.currency) == amount


@given(amounts)
def test_what_is_printed_is_worth_what_is_stored(amount: Money) -> None:
    assert Decimal(str(amount)).scaleb(digits_of(amount.currency)) == amount.minor


@pytest.mark.parametrize("currency", CURRENCIES)
def test_one_digit_too_many_is_refused_even_where_rounding_would_be_small(currency: str) -> None:
    text = "1." + "0" * digits_of(currency) + "1"
    with pytest.raises(NotMoney, match="more digits"):
        Money.parse(text, currency)


@pytest.mark.parametrize("text", ["1.5", "1.50", "1.500", "1.5E0", "+1.5", "0001.50"])
def test_digits_that_are_only_zeros_do_no_harm(text: str) -> None:
    assert Money.parse(text, "USD") == Money(150, "USD")


@pytest.mark.parametrize("text", ["", " ", "abc", "1,204.50", "$5", "NaN", "Infinity", "-Infinity", "1.2.3", "--1"])
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(NotMoney):
        Money.parse(text, "USD")


@pytest.mark.parametrize("text", ["90071992547409.92", "-90071992547409.92", "1E400", "1E30"])
def test_what_no_column_holds_is_refused(text: str) -> None:
    with pytest.raises(NotMoney, match="out of range"):
        Money.parse(text, "USD")


@given(minors, minors, minors, currencies)
def test_addition_is_that_of_integers(a: int, b: int, c: int, currency: str) -> None:
    x, y, z = (Money(minor, currency) for minor in (a, b, c))
    assert x + y == y + x == Money(a + b, currency)
    assert (x + y) + z == x + (y + z)
    assert x - y == x + (-y)
    assert x - x == Money.zero(currency) == x + (-x)


def test_currencies_never_mix() -> None:
    with pytest.raises(AssertionError):
        Money(1, "USD") + Money(1, "CAD")
    with pytest.raises(AssertionError):
        Money(1, "USD") - Money(1, "CAD")
    assert Money(1, "USD") != Money(1, "CAD")
