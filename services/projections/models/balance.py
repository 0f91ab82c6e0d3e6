"""What stands open now, by branch and day: the sums of movements that aging begins from."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from typing import Final

from services.projections.deltas import Deltas, Model
from services.projections.models.movement import MOVEMENT
from services.projections.table import Row, Table

# The eight days of a row, and their sums over lines whose day of the eight is `day`.
EIGHT: Final = tuple(f"minor_{day}" for day in range(8))
EIGHT_SUMS: Final = ", ".join(f"minor_sum(amount_minor) FILTER (WHERE day = {day})" for day in range(8))


class BalanceRow(Row):
    branch: str
    begins_on: date
    kind: str
    currency: str
    anchor: str
    minor_0: int = 0
    minor_1: int = 0
    minor_2: int = 0
    minor_3: int = 0
    minor_4: int = 0
    minor_5: int = 0
    minor_6: int = 0
    minor_7: int = 0


BALANCE: Final = Table("branch_balance", BalanceRow, ["branch", "begins_on", "kind", "currency", "anchor"])
BALANCES: Final = Model("balance", (BALANCE,), {})  # No fact changes a balance but by its movements.


def add_up(out: Deltas) -> None:
    """The balances that the movements of a batch change, and from which day on, by branch. What came and went within
    the batch, as most unapplied cash does, changes no balance.
    """
    moved: defaultdict[tuple[str, str, str, date, date], int] = defaultdict(int)
    since = out.since
    for row in out.rows(MOVEMENT):
        moved[row.branch, row.kind, row.currency, row.due_on, row.issued_on] += row.amount_minor
        known = since.get(row.branch)
        if known is None or row.effective_on < known:
            since[row.branch] = row.effective_on
    for (branch, kind, currency, due_on, issued_on), minor in moved.items():
        if minor:
            for anchor, on in (("due", due_on), ("invoice", issued_on)):
                number = on.toordinal()
                day = (number - 1) % 8  # As `day_of_eight` counts: from 0001-01-01.
                balance = out.at(BALANCE, branch, date.fromordinal(number - day), kind, currency, anchor)
                setattr(balance, EIGHT[day], getattr(balance, EIGHT[day]) + minor)
