"""The state of a stream that has no facts yet, whatever it will be about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing is on record."""


ABSENT: Final = Absent()
