"""Card numbers and security codes in what people type: seen, or taken out of free text before it is kept anywhere.

Better a number too many than one too few: what looks like a card number and passes its check digit is taken for one,
whatever it was. Source: PCI DSS 3.2 and 3.3.1, a number that is never stored cannot be stolen; domain 6.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

REMOVED: Final = "[card number removed]"
CODE_REMOVED: Final = "[security code removed]"
_DIGITS_MIN: Final = 13
_DIGITS_MAX: Final = 19
# Digits as people type card numbers: in one piece, or in groups parted by a blank, a dash or a dot. Zero-width blanks
# come with text copied from web pages.
_RUN: Final = re.compile(r"\d(?:[\s\-–—._\u200b-\u200d\u2060\ufeff]{0,3}\d)+")
_CODE: Final = re.compile(
    r"\b(?:cvv2?|cvc2?|csc|cid|security\s+code)\b(?:\s+(?:is|was))?[\s:=#.-]{0,3}\d{3,4}(?!\d)", re.IGNORECASE
)
# First digits and lengths of the brands. Source: ISO/IEC 7812, published ranges of the card brands.
_BRANDS: Final = re.compile(
    r"""
      4(?:\d{12}|\d{15}|\d{18})                                 # Visa
    | (?:5[1-5]\d{2}|222[1-9]|22[3-9]\d|2[3-6]\d{2}|27[01]\d|2720)\d{12}   # Mastercard
    | 3[47]\d{13}                                               # American Express
    | 3(?:0[0-5]|[689]\d)\d{11,16}                              # Diners Club
    | 35\d{14,17}                                               # JCB
    | (?:6\d|50|5[6-8])\d{11,17}                                # Discover, UnionPay, Maestro, RuPay
    """,
    re.VERBOSE,
)


def holds_card_number(text: str) -> bool:
    """Whether digits in `text`, together or in groups of any size, make a card number."""
    # Nearly every reference of a receipt is too short, and every one is asked about.
    return len(text) >= _DIGITS_MIN and next(_card_numbers(text), None) is not None


def scrub(text: str) -> str:
    """The text without card numbers and security codes. Scrubbing again changes nothing."""
    # What is left of a run of digits is a run of its own: look again. Every round takes digits away, so it ends.
    while (scrubbed := _without_card_numbers(text)) != text:
        text = scrubbed
    return _CODE.sub(CODE_REMOVED, text)


def _without_card_numbers(text: str) -> str:
    pieces: list[str] = []
    at = 0
    for start, end in _card_numbers(text):
        pieces += (text[at:start], REMOVED)
        at = end
    return "".join([*pieces, text[at:]])


def _card_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Where card numbers stand, from first to last, never overlapping."""
    for run in _RUN.finditer(text):
        if run.end() - run.start() < _DIGITS_MIN:
            continue
        places = [at for at in range(run.start(), run.end()) if text[at].isdecimal()]
        digits = "".join(str(int(text[at])) for at in places)
        starts = _starts(places)
        at = 0
        while at <= len(digits) - _DIGITS_MIN:
            length = _length_at(digits, at) if at in starts else 0
            if length:
                yield places[at], places[at + length - 1] + 1
            at += length or 1


def _starts(places: Sequence[int]) -> set[int]:
    """Where a card number may begin: with a group of digits, or within one that is long enough to hold it.

    Elsewhere too, and every list of dates or telephone numbers would have one.
    """
    begins = [at for at, place in enumerate(places) if at == 0 or places[at - 1] + 1 != place]
    starts = set(begins)
    for begin, end in pairwise([*begins, len(places)]):
        if end - begin >= _DIGITS_MIN:
            starts.update(range(begin, end))
    return starts


def _length_at(digits: str, at: int) -> int:
    """How many digits from `at` on are a card number, at most; 0 where none are."""
    for length in range(min(_DIGITS_MAX, len(digits) - at), _DIGITS_MIN - 1, -1):
        window = digits[at : at + length]
        # A whole run of that length that passes the check is taken for one of whatever brand.
        if (length == len(digits) or _BRANDS.fullmatch(window)) and luhn(window):
            return length
    return 0


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of those before it. Source: ISO/IEC 7812-1, annex B."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
