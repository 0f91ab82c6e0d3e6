"""What bodies and imported rows of contact have in common: limits, and the present day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, ClassVar, Final
from uuid import UUID

import msgspec
from pydantic import AfterValidator, Field

from services.contact.notes import NOTE_MAX
from services.kernel.errors import Kind, Refused

ITEMS_MAX: Final = 500  # Of one promise, attempt or follow-up: a statement to a large customer has some hundred lines.
OWNER: Final = r"^[\x21-\x7e]{1,200}$"  # A user's id, as tokens have it in `sub`: never a person's name.
# East of us it is tomorrow already. What lies further ahead is a slip of the pen, and would distort every report.
_AHEAD: Final = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


def today() -> date:
    return now().date()


class DateAhead(Refused):
    """Nothing that lies in the future has happened."""

    code = "contact_date_ahead"
    kind: ClassVar[Kind] = Kind.INVALID


def _is_ahead(on: date) -> bool:
    return on > today() + _AHEAD


def _not_ahead(on: date) -> date:
    if _is_ahead(on):
        raise ValueError("lies in the future")
    return on


def happened(on: date, field: str) -> date:
    """The day an imported row names. Errors: DateAhead."""
    if _is_ahead(on):
        raise DateAhead("lies in the future", field=field)
    return on


HappenedOn = Annotated[date, AfterValidator(_not_ahead), Field(description="The day it happened; today where absent.")]
Owner = Annotated[str, Field(pattern=OWNER, description="A user's id, as tokens have it in `sub`.", examples=["maria"])]
RowOwner = Annotated[str, msgspec.Meta(pattern=OWNER)]
NoteText = Annotated[
    str,
    Field(
        min_length=1,
        max_length=NOTE_MAX,
        description="Free text. Kept beside the facts, without card numbers, and can be forgotten.",
    ),
]
ItemIds = Annotated[list[UUID], Field(max_length=ITEMS_MAX)]
