"""Card numbers are seen however they are written; what is none is let through."""

import pytest

from services.payment.domain.card import holds_card_number


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "378282246310005",
        "card 5555555555554444 exp 12/27",
        "1234 4111 1111 1111 1111",  # After the number of an order.
        "4222222222222",
        "6304000000000000000",
    ],
)
def test_a_card_number_is_seen(text: str) -> None:
    assert holds_card_number(text)


@pytest.mark.parametrize(
    "text", ["", "1001", "4111111111111112", "CHK 20250411-77", "123456789012", "99999999999999999999999"]
)
def test_what_is_no_card_number_is_let_through(text: str) -> None:
    assert not holds_card_number(text)
