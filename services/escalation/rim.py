"""What bodies and imported rows have in common: limits of text, and the present instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from pydantic import Field

ITEMS_MAX: Final = 500  # Of one placement; the body's limit is far above.
_AGENCY_MAX: Final = 80
_PERSON: Final = r"^[\x21-\x7e]{1,200}$"  # As tokens name people.

Agency = Annotated[str, Field(min_length=1, max_length=_AGENCY_MAX)]
RowAgency = Annotated[str, msgspec.Meta(min_length=1, max_length=_AGENCY_MAX)]
RowPerson = Annotated[str, msgspec.Meta(pattern=_PERSON)]


def now() -> datetime:
    return datetime.now(UTC)
