"""Amounts at the rim: decimal strings with a currency beside them, as bodies, imports and answers write them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Annotated, Final

from pydantic import Field

from events.money import MINOR_MAX, Money, NotMoney, digits_of
from services.kernel.errors import Kind, Refused

# The patterns mirror events.envelope.Branch and events.money.Currency; a test holds them together.
AmountText = Annotated[
    str,
    Field(
        pattern=r"^-?[0-9]{1,16}(\.[0-9]{1,4})?$",
        description="Decimal amount in units of the currency: no grouping, a point.",
        examples=["1204.50"],
    ),
]
CurrencyText = Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217 code.", examples=["USD"])]
BranchText = Annotated[
    str, Field(pattern="^[A-Z0-9][A-Z0-9-]{0,15}$", description="Branch code, as the ERP writes it.", examples=["B010"])
]


# Decimal() also takes exponents, underscores and other scripts' digits; the rim does not.
_PLAIN: Final = re.compile(r"-?[0-9]{1,16}(\.[0-9]{1,4})?", re.ASCII)

_WHOLE_MAX: Final = 16
_POWERS: Final = [10**digits for digits in range(5)]  # No currency has more digits.
_CURRENCY: Final = re.compile("[A-Z]{3}")


class AmountInvalid(Refused):
    """The text is no amount of that currency."""

    code = "amount_invalid"
    kind = Kind.INVALID


def money(amount: str, currency: str, field: str = "amount") -> Money:
    """Read an amount as the rim writes it. Errors: AmountInvalid, naming `field`.

    Whether it may be zero or negative is for the domain to say.
    """
    digits = _digits_of(currency)
    if digits is not None:
        # Nearly all, read at once. Rows leave out what is nothing, or write it as `0`.
        if amount == "0":
            return _nothing(currency)
        whole, point, rest = amount.partition(".")
        missing = digits - len(rest)
        if (
            missing >= 0
            and len(whole) <= _WHOLE_MAX
            and amount.isascii()
            and whole.isdigit()
            and (rest.isdigit() or not point)
            and (minor := int(whole + rest) * _POWERS[missing]) <= MINOR_MAX
        ):
            return Money(minor, currency)
    if not _PLAIN.fullmatch(amount):
        raise AmountInvalid("write it as a plain decimal, such as 1204.50", field=field)
    if digits is None:
        raise AmountInvalid("the currency is a code of three capital letters, such as USD", field="currency")
    try:
        return Money.parse(amount, currency)
    except NotMoney as error:
        raise AmountInvalid(str(error), field=field) from None


@lru_cache(maxsize=256)
def _digits_of(currency: str) -> int | None:
    """Digits after the point; None where it is no currency."""
    return digits_of(currency) if _CURRENCY.fullmatch(currency) else None


@lru_cache(maxsize=256)
def _nothing(currency: str) -> Money:
    return Money.zero(currency)


def amount_text(value: Money) -> str:
    """How the rim writes an amount; the inverse of `money`."""
    return str(value)
