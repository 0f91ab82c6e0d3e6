"""Card numbers, to be refused wherever a person may type one.

Source   PCI DSS 3.2: a number that is never stored cannot be stolen. ISO/IEC 7812: 13 to 19 digits, the last a check.
"""

from __future__ import annotations

import re
from typing import Final

_DIGITS_MIN: Final = 13
_DIGITS_MAX: Final = 19
_GROUPS: Final = re.compile(r"\d+(?:[ .\-]?\d+)*")
_TRACE_DIGITS: Final = 15
_AMEX: Final = ("34", "37")


def holds_card_number(text: str) -> bool:
    """Whether digits in `text`, together or in groups of any size, make a card number."""
    if sum(map(str.isdigit, text)) < _DIGITS_MIN:
        return False
    for found in _GROUPS.finditer(text):
        groups = re.split(r"\D", found.group())
        for first in range(len(groups)):
            digits = ""
            for group in groups[first:]:
                digits += group
                if _DIGITS_MIN <= len(digits) <= _DIGITS_MAX and _luhn(digits):
                    return True
    return False


def is_trace_number(text: str) -> bool:
    """Whether it has the form of an ACH trace number, one in ten of which passes for a card number.

    Its 15 digits begin with a bank's routing number. Cards of 15 digits begin with 34 or 37, routing numbers never do.
    """
    return len(text) == _TRACE_DIGITS and text.isdecimal() and not text.startswith(_AMEX)


def _luhn(digits: str) -> bool:
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if at % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
