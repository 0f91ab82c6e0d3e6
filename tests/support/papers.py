"""What lies on a clerk's desk: items and receipts as his own books have them, and how days and amounts are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta


def days_ago(days: int) -> str:
    """A day that has begun in every branch."""
    return str(_today() - timedelta(days=days))


def _today() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def text(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


@dataclass
class Item:
    """An invoice. `raised` says that what is open went up once: who mirrors it may still believe less."""

    id: str
    branch: str
    open: int
    touched: bool = False
    raised: bool = False
    disputed: bool = False
    given_up: bool = False


@dataclass
class Receipt:
    id: str
    unapplied: int
    shares: dict[str, int] = field(default_factory=dict)
    reversed: bool = False


def lines_of(lines: dict[str, int]) -> dict[str, object]:
    return {"currency": "USD", "lines": [{"item_id": item, "amount": text(minor)} for item, minor in lines.items()]}
