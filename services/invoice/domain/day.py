"""The date a command is true on: the one it gives, or the branch's own today."""

from __future__ import annotations

from datetime import date, datetime
from typing import ClassVar, Final
from zoneinfo import ZoneInfo

import msgspec

from services.invoice.domain.state import Branch
from services.kernel.errors import Kind, Refused

# Outside of these a date is a slip of the keyboard, and reports would carry empty decades.
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)


class DateOutOfRange(Refused):
    """The date is no date a ledger has."""

    code = "date_out_of_range"
    kind: ClassVar[Kind] = Kind.INVALID


class Dated(msgspec.Struct, frozen=True, kw_only=True):
    """Base of commands that may leave their date out.

    `now` is the instant of the request. It arrives in the command, so that deciding reads no clock.
    """

    on: date | None = None
    now: datetime

    def day_at(self, branch: Branch) -> date:
        """The day at the branch. Errors: DateOutOfRange."""
        return self.day_in(branch.registered.timezone)

    def day_in(self, timezone: str) -> date:
        """An evening in Chicago is tomorrow in UTC already, and would age a day too soon. Errors: DateOutOfRange."""
        if self.on is not None:
            return ledger_day(self.on, "on")
        return self.now.astimezone(ZoneInfo(timezone)).date()


def ledger_day(day: date, field: str) -> date:
    """The day itself. Errors: DateOutOfRange."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise DateOutOfRange(f"dates are from {FIRST_DAY} to {LAST_DAY}", field=field)
    return day
