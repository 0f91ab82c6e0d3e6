"""What reporting is told at its start, beyond what every process is."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from services.kernel.settings import Settings


def _zone(name: str) -> str:
    ZoneInfo(name)  # Raises where there is no such zone.
    return name


class ReportingSettings(Settings):
    """`timezone` says which day it is where `as_of` is not given: aging by UTC would run ahead every evening.

    `allowance_rates` are the expected losses per bucket in percent, current first, the last for all older ones.
    """

    service: str = "reporting"
    timezone: Annotated[str, AfterValidator(_zone)] = "America/New_York"
    allowance_rates: str = Field(default="1,4,8,16,30", pattern=r"^\d{1,3}(\.\d{1,4})?(,\d{1,3}(\.\d{1,4})?)*$")
