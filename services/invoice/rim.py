"""What bodies and imported rows have in common: limits of text, time zones, and the present instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import msgspec
from pydantic import Field

from services.invoice.domain.branch import TimezoneUnknown

NUMBER_MAX: Final = 40  # Longer than any ERP's document numbers, short enough for a statement's column.
NAME_MAX: Final = 120
TERMS_DAYS_MAX: Final = 365

Number = Annotated[str, Field(min_length=1, max_length=NUMBER_MAX, pattern=r"^\S(.*\S)?$")]
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]
TermsDays = Annotated[int, Field(ge=0, le=TERMS_DAYS_MAX)]
# The same for rows, which msgspec reads.
RowNumber = Annotated[str, msgspec.Meta(min_length=1, max_length=NUMBER_MAX, pattern=r"^\S(.*\S)?$")]
RowName = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MAX)]
RowTermsDays = Annotated[int, msgspec.Meta(ge=0, le=TERMS_DAYS_MAX)]


def now() -> datetime:
    return datetime.now(UTC)


def known_timezone(name: str) -> str:
    """A name of the IANA database. Errors: TimezoneUnknown."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # Not found, no such path, or a directory of the database.
        raise TimezoneUnknown("use an IANA name such as America/Chicago", field="timezone") from None
    return name
