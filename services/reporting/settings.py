"""What reporting is told at its start, beyond what every process is."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from services.kernel.errors import Refused
from services.kernel.settings import Settings
from services.reporting.aging import BUCKETS_DEFAULT, Buckets
from services.reporting.allowance import parse_rates


def _zone(name: str) -> str:
    ZoneInfo(name)  # Raises where there is no such zone.
    return name


def _rates(text: str) -> str:
    try:
        parse_rates(text, len(Buckets.parse(BUCKETS_DEFAULT).labels))
    except Refused as error:
        raise ValueError(error.message) from error
    return text


class ReportingSettings(Settings):
    """`timezone` says which day it is where `as_of` is not given: aging by UTC would run ahead every evening.

    `allowance_rates` are the expected losses per bucket in percent, current first, the last for all older ones.
    """

    service: str = "reporting"
    timezone: Annotated[str, AfterValidator(_zone)] = "America/New_York"
    allowance_rates: Annotated[str, AfterValidator(_rates)] = "1,4,8,16,30"
