"""What reports have in common as questions: as of when, known when, and about whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, Query, Request
from pydantic import BeforeValidator, Field

from services.kernel.errors import Forbidden, Kind, Refused
from services.kernel.meta import Branches
from services.kernel.rim import BranchText, CurrencyText
from services.reporting.reading import Reading, reading

# The days that facts may speak of. Beyond them Postgres' infinite dates begin to stand for the calendar's ends.
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)


def _written_as_a_day(value: Any) -> Any:
    # Otherwise 20240131 would be read as seconds since 1970, and answered with a report as of that August.
    return date.fromisoformat(value) if isinstance(value, str) else value


Day = Annotated[
    date,
    BeforeValidator(_written_as_a_day),
    Field(ge=FIRST_DAY, le=LAST_DAY, description="A day, such as 2026-10-31."),
]


class KnownAtInvalid(Refused):
    """`known_at` is neither a day nor an instant."""

    code = "known_at_invalid"
    kind = Kind.INVALID


@dataclass(frozen=True, slots=True)
class AsOf:
    """`on`: what was true in the business by the end of that day. `known_at`: as far as we had learned by then.

    `known_at` None means all we know now.
    """

    on: date
    known_at: datetime | None

    def answered(self, read: Reading) -> dict[str, object]:
        """How the answer names them."""
        return {"as_of": self.on, "known_at": self.known_at or read.now, "freshness": read.freshness.model_dump()}


@dataclass(frozen=True, slots=True)
class Filters:
    """Whom a report is about; None means everybody the caller may see."""

    branches: list[str] | None
    accounts: list[UUID] | None
    currencies: list[str] | None
    collectors: list[str] | None

    @property
    def arguments(self) -> tuple[list[str] | None, list[UUID] | None, list[str] | None, list[str] | None]:
        """In the order that `aging_by` takes them."""
        return self.branches, self.accounts, self.currencies, self.collectors


async def as_of(
    request: Request,
    read: Annotated[Reading, Depends(reading)],
    as_of: Annotated[Day | None, Query(description="The business day; today where it is not given.")] = None,
    known_at: Annotated[
        str | None,
        Query(
            description="Report as far as was recorded by then: an instant (RFC 3339), or a day, meaning its end.",
            examples=["2026-10-31", "2026-10-31T17:00:00Z"],
            max_length=40,
        ),
    ] = None,
) -> AsOf:
    """Errors: KnownAtInvalid."""
    zone = ZoneInfo(request.app.state.settings.timezone)
    return AsOf(as_of or read.today, instant_of(known_at, zone) if known_at is not None else None)


def instant_of(text: str, zone: ZoneInfo) -> datetime:
    """An instant, or the end of a day in `zone`. Errors: KnownAtInvalid."""
    refusal = KnownAtInvalid("write a day, or an instant with its zone", field="known_at")
    try:
        if len(text) == len("2026-10-31"):
            moment = datetime.combine(date.fromisoformat(text), time.max, zone)
        else:  # A plus in a query string arrives as a space.
            moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise refusal from None
    if moment.tzinfo is None or not FIRST_DAY.year <= moment.year <= LAST_DAY.year:
        raise refusal
    return moment


async def filters(
    read: Annotated[Reading, Depends(reading)],
    branch: Annotated[
        list[BranchText] | None, Query(max_length=500, description="May be given more than once.")
    ] = None,
    account: Annotated[list[UUID] | None, Query(max_length=100, description="May be given more than once.")] = None,
    currency: Annotated[list[CurrencyText] | None, Query(max_length=50)] = None,
    collector: Annotated[
        list[Annotated[str, Query(max_length=100)]] | None, Query(max_length=100, description="Who chases the account.")
    ] = None,
) -> Filters:
    """Errors: Forbidden where a branch is asked for that the caller may not see."""
    return Filters(branches_asked(read.caller.branches, branch), account or None, currency or None, collector or None)


def branches_asked(allowed: Branches, asked: list[str] | None) -> list[str] | None:
    """The branches to look at: those asked for, all the caller's, or None for every branch there is."""
    if not asked:
        return None if allowed.every else sorted(allowed.codes)
    for branch in asked:
        if branch not in allowed:
            raise Forbidden("not in your branches", field="branch")
    return asked
