"""What bodies and imported rows of payment have in common: their limits, and the ids that are made."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from services.kernel.meta import Meta

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


class Body(BaseModel):
    """A request body. A member that the route does not know is refused: it may be a misspelt one that matters."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def made_id(meta: Meta, given: UUID | None) -> UUID:
    """The id the client gave, or one that follows from his key: sent again, the command makes the same one."""
    return given or uuid5(NAMESPACE_URL, f"openitem:{meta.actor} {meta.key}")
