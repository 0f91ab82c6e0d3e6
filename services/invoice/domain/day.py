"""The date a command is true on: the one it gives, or the branch's own today."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec

from services.invoice.domain.state import Branch


class Dated(msgspec.Struct, frozen=True, kw_only=True):
    """Base of commands that may leave their date out.

    `now` is the instant of the request. It arrives in the command, so that deciding reads no clock.
    """

    on: date | None = None
    now: datetime

    def day_at(self, branch: Branch) -> date:
        """An evening in Chicago is tomorrow in UTC already, and would age a day too soon."""
        return self.on or self.now.astimezone(ZoneInfo(branch.registered.timezone)).date()
