"""Amounts as the rim writes them."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from events.envelope import Branch
from events.money import MINOR_MAX, Currency, Money
from services.kernel.rim import AmountInvalid, AmountText, BranchText, CurrencyText, amount_text, money


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [("1204.50", "USD", 120450), ("-0.01", "USD", -1), ("7", "JPY", 7), ("1.234", "KWD", 1234), ("3", "USD", 300)],
)
def test_an_amount_is_read_in_minor_units(text: str, currency: str, minor: int) -> None:
    assert money(text, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1,000.00", "1e3", "1_000", "+1", ".5", "1.", "NaN", "Infinity", "0x1", "１", "1.005", "1\n", "9" * 17],
)
def test_what_is_no_plain_amount_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(AmountInvalid) as refused:
        money(text, "USD", field="lines.0.amount")
    assert (refused.value.code, refused.value.field) == ("amount_invalid", "lines.0.amount")


def test_an_amount_above_what_is_safe_is_refused() -> None:
    with pytest.raises(AmountInvalid):
        money("9007199254740993", "JPY")


@pytest.mark.parametrize("currency", ["usd", "US", "USDX", "", "U$D"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    with pytest.raises(AmountInvalid) as refused:
        money("1", currency)
    assert refused.value.field == "currency"


@given(st.integers(-MINOR_MAX, MINOR_MAX), st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_an_amount_reads_back_as_it_was_written(minor: int, currency: str) -> None:
    value = Money(minor, currency)
    assert money(amount_text(value), currency) == value
    assert TypeAdapter(AmountText).validate_python(amount_text(value)) == amount_text(value)


@given(st.from_regex(r"[A-Za-z0-9-]{0,18}", fullmatch=True))
def test_the_rim_and_the_facts_agree_on_branches_and_currencies(text: str) -> None:
    for rim, fact in ((BranchText, Branch), (CurrencyText, Currency)):
        assert _takes(TypeAdapter(rim).validate_python, text) == _takes(lambda t, f=fact: msgspec.convert(t, f), text)


def test_a_pattern_ends_where_the_text_does() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(CurrencyText).validate_python("USD\n")
    assert re.fullmatch("[A-Z]{3}", "USD")


def _takes(check: object, text: str) -> bool:
    try:
        check(text)  # type: ignore[operator]
    except (ValidationError, msgspec.ValidationError):
        return False
    return True
