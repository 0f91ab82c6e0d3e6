"""What bodies and imported rows of payment have in common: how long they may be."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from pydantic import Field

REFERENCE_MAX: Final = 80  # A wire's reference has 35 characters, the longest remittance id we know 70.
# One check pays this many invoices at most. A decision holds a row lock per line, so it needs an end.
LINES_MAX: Final = 2_000
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+$"

Reference = Annotated[
    str,
    Field(
        min_length=1,
        max_length=REFERENCE_MAX,
        pattern=_PRINTABLE,
        description="Check, trace or wire number. Never a card number: that is refused.",
        examples=["1002"],
    ),
]
# The same for rows, which msgspec reads.
RowReference = Annotated[str, msgspec.Meta(min_length=1, max_length=REFERENCE_MAX, pattern=_PRINTABLE)]
