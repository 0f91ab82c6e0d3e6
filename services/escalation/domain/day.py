"""The date a command is true on: the one it gives, or the branch's own today."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import ClassVar, Final
from zoneinfo import ZoneInfo

import msgspec

from services.kernel.errors import Kind, Refused

# Outside of these a date is a slip of the keyboard, and reports would carry empty decades.
FIRST_DAY: Final = date(1970, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)
# Until the branch's own fact has arrived here.
_ZONE_UNKNOWN: Final = "UTC"


class DateOutOfRange(Refused):
    """The date is no date a ledger has."""

    code = "escalation_date_out_of_range"
    kind: ClassVar[Kind] = Kind.INVALID


class Dated(msgspec.Struct, frozen=True, kw_only=True):
    """Base of commands that may leave their date out.

    `now` is the instant of the request and `zones` the time zone of each branch: they arrive in the command, so that
    deciding reads no clock. `zones` is filled in only where the date is left out.
    """

    on: date | None = None
    now: datetime
    zones: Mapping[str, str] = {}

    def day_at(self, branch: str) -> date:
        """An evening in Chicago is tomorrow in UTC already, and would age a day too soon. Errors: DateOutOfRange."""
        if self.on is None:
            return self.now.astimezone(ZoneInfo(self.zones.get(branch, _ZONE_UNKNOWN))).date()
        return ledger_day(self.on, "on")


def ledger_day(day: date, field: str) -> date:
    """The day itself. Errors: DateOutOfRange."""
    if not FIRST_DAY <= day <= LAST_DAY:
        raise DateOutOfRange(f"dates are from {FIRST_DAY} to {LAST_DAY}", field=field)
    return day
