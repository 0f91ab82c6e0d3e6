"""No card number and no security code survives in free text; what merely looks like one mostly does."""

import re

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from services.kernel.card_numbers import CODE_REMOVED, REMOVED, holds_card_number, luhn, scrub

# The card brands' own test numbers.
NUMBERS = [
    "4111111111111111",
    "4012888888881881",
    "4222222222222",
    "5555555555554444",
    "5105105105105100",
    "2223003122003222",
    "378282246310005",
    "371449635398431",
    "30569309025904",
    "38520000023237",
    "3530111333300000",
    "6011111111111117",
    "6011000990139424",
    "6200000000000005",
]


@pytest.mark.parametrize("number", NUMBERS)
def test_every_brand_goes_however_it_is_written(number: str) -> None:
    grouped = [number[at : at + 4] for at in range(0, len(number), 4)]
    for written in (
        number,
        " ".join(grouped),
        "-".join(grouped),
        ".".join(grouped),
        " - ".join(grouped),
        "\n".join(grouped),
    ):
        assert scrub(f"card {written}, thanks") == f"card {REMOVED}, thanks"


@pytest.mark.parametrize(
    "text",
    [
        *NUMBERS,
        "4111-1111-1111-1111",
        "card 5555555555554444 exp 12/27",
        "1234 4111 1111 1111 1111",  # After the number of an order.
        "6304000000000000000",
    ],
)
def test_a_card_number_is_seen(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text", ["", "1001", "4111111111111112", "CHK 20250411-77", "123456789012", "99999999999999999999999"]
)
def test_what_is_none_is_let_through(text: str) -> None:
    assert not holds_card_number(text)


def test_amex_goes_in_its_own_groups() -> None:
    assert scrub("3782 822463 10005") == REMOVED


def test_it_goes_with_what_is_typed_around_it() -> None:
    assert "4111" not in scrub("pay with 4111 1111 1111 1111 12/27 cvv 123 please")
    assert scrub("4111111111111111 12/27") == f"{REMOVED} 12/27"
    assert scrub("card#4111111111111111exp") == f"card#{REMOVED}exp"
    assert scrub("ref 99 4111111111111111") == f"ref 99 {REMOVED}"
    assert "4111111111111111" not in scrub("0004111111111111111")
    assert scrub("4111111111111111/5555555555554444") == f"{REMOVED}/{REMOVED}"
    assert scrub("4111111111111111 5555555555554444") == f"{REMOVED} {REMOVED}"


def test_invisible_blanks_and_other_digits_do_not_hide_it() -> None:
    assert scrub("4111\u200b1111\u00a01111\u20091111") == REMOVED
    assert scrub("".join(chr(0xFF10 + int(d)) for d in "4111111111111111")) == REMOVED
    assert scrub("".join(chr(0x0660 + int(d)) for d in "4111111111111111")) == REMOVED


@pytest.mark.parametrize("text", ["CVV 123", "cvc: 1234", "cvv2=123", "security code is 123", "Security Code: 4321"])
def test_security_codes_go(text: str) -> None:
    assert scrub(f"the {text}.") == f"the {CODE_REMOVED}."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Promised 1,450.00 by 2026-03-13, invoice 0000611365, PO 4500012345.",
        "Call 312-555-0142 or 312-555-0199 after 2:30.",
        "4111111111111112 fails its check digit",
        "Sent 2026-03-02 and 2026-03-09, check 1002.",
        "123456789012",
    ],
)
def test_what_people_write_of_invoices_and_telephones_stays(text: str) -> None:
    assert scrub(text) == text


def test_the_check_digit_is_checked_as_the_standard_says() -> None:
    assert luhn("79927398713")
    assert [luhn(f"7992739871{d}") for d in range(10)].count(True) == 1


@forall(st.text("0123456789 -.x/", max_size=60))
def test_scrubbing_again_changes_nothing(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)


@forall(st.sampled_from(NUMBERS), st.text("ab ,:;()\n", max_size=8), st.text("ab ,:;()\n", max_size=8))
def test_none_of_its_digits_are_left_between_words(number: str, before: str, after: str) -> None:
    assert not re.search(r"\d", scrub(f"{before}{number}{after}"))
