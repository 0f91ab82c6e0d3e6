"""The laws that hold between the read models, whatever happened and in whichever order it was learned.

Each fact moves both sides of a law in one transaction, so facts in flight do not break one. The exception is `stated`,
which compares two services' words: it looks at items that have been quiet for a while, and speaks the truth only where
projections is not behind (see its lag).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import msgspec

from services.kernel.store import Conn

QUIET: Final = timedelta(minutes=5)  # Longer than a fact should ever need from one service through another to here.


class Law(msgspec.Struct, frozen=True):
    """One law in one currency: two figures that must be equal in every branch.

    Units  minor units. `difference_minor` adds up what each branch is off, whichever way: two branches that are wrong
           in opposite directions do not make a right.
    """

    name: str
    currency: str
    left: str
    right: str
    left_minor: int
    right_minor: int
    difference_minor: int

    @property
    def holds(self) -> bool:
        return self.difference_minor == 0


async def laws(conn: Conn, *, thorough: bool = False, quiet: timedelta = QUIET) -> list[Law]:
    """Every law, for the branches that the transaction may see.

    Shapes   by name, then currency; none where there are no figures. `thorough` adds what reads every movement and
             every item ever, and what holds for all branches together only: not for who sees some of them.
    """
    found = [Law(*row) for row in await conn.fetch(_LAWS, quiet)]
    if thorough:
        found += [Law(*row) for row in await conn.fetch(_THOROUGH)]
    return sorted(found, key=lambda law: (law.name, law.currency))


# Each law is a pair of sums by branch and currency; the frame around them compares branch by branch.
_FRAME: Final = """
SELECT s.law, s.currency, n.left_name, n.right_name, sum(s.l)::bigint, sum(s.r)::bigint, sum(abs(s.l - s.r))::bigint
FROM (
    SELECT law, branch, currency, sum(l) AS l, sum(r) AS r FROM sides GROUP BY law, branch, currency
) s JOIN (VALUES {names}) AS n(law, left_name, right_name) USING (law)
GROUP BY 1, 2, 3, 4
"""
_LAWS: Final = """
WITH balance AS (
    SELECT branch, currency, kind, sum(amount_minor) AS minor FROM branch_balance
    WHERE anchor = 'due' AND amount_minor <> 0 GROUP BY 1, 2, 3
), items AS (
    SELECT branch, currency, sum(open_minor) AS minor FROM open_item
    WHERE open_minor <> 0 AND kind IS DISTINCT FROM 'receipt' GROUP BY 1, 2
    UNION ALL
    SELECT branch, currency, sum(open_minor) FROM open_item WHERE open_minor <> 0 AND kind = 'receipt' GROUP BY 1, 2
    UNION ALL
    SELECT branch, currency, sum(retainage_minor) FROM open_item WHERE retainage_minor <> 0 GROUP BY 1, 2
), sides (law, branch, currency, l, r) AS (
    SELECT 'control', branch, currency, minor, 0 FROM balance
    UNION ALL SELECT 'control', branch, currency, 0, amount_minor FROM control_balance
    UNION ALL SELECT 'receipts', branch, currency, received_minor, applied_minor + reversed_minor + refunded_minor
              FROM control
    UNION ALL SELECT 'receipts', branch, currency, 0, -minor FROM balance WHERE kind = 'unapplied'
    UNION ALL SELECT 'items', branch, currency, minor, 0 FROM items
    UNION ALL SELECT 'items', branch, currency, 0, minor FROM balance
    UNION ALL SELECT 'anchors', branch, currency, amount_minor, 0 FROM branch_balance WHERE anchor = 'due'
    UNION ALL SELECT 'anchors', branch, currency, 0, amount_minor FROM branch_balance WHERE anchor = 'invoice'
    UNION ALL SELECT 'cash', branch, currency, received_minor - reversed_minor - refunded_minor, 0 FROM control
    UNION ALL SELECT 'cash', branch, currency, 0, received_minor - reversed_minor - refunded_minor
              FROM cash_receipt_day
    UNION ALL SELECT 'stated', branch, currency, open_minor, stated_minor FROM open_item
              WHERE stated_minor <> open_minor AND changed_at < clock_timestamp() - $1::interval
)""" + _FRAME.format(  # noqa: S608 - the frame is our own
    names="""
    ('control', 'buckets + retainage + unapplied', 'invoiced - credited - voided - cash - written off'),
    ('receipts', 'received', 'applied + unapplied + reversed + refunded'),
    ('items', 'open items', 'balances by day'),
    ('anchors', 'balances by due date', 'balances by invoice date'),
    ('cash', 'received - reversed - refunded', 'the same by day and method'),
    ('stated', 'open as folded', 'open as payment says')"""
)
_THOROUGH: Final = """
WITH sides (law, branch, currency, l, r) AS (
    SELECT 'movements', branch, currency, amount_minor, 0 FROM movement
    UNION ALL SELECT 'movements', branch, currency, 0, amount_minor FROM branch_balance WHERE anchor = 'due'
    UNION ALL SELECT 'cash_movements', branch, currency, amount_minor, 0 FROM cash_movement
    UNION ALL SELECT 'cash_movements', branch, currency, 0, received_minor - reversed_minor - refunded_minor
              FROM cash_receipt_day
    UNION ALL SELECT 'written_off', branch, currency, -amount_minor, 0 FROM movement
              WHERE cause IN ('written_off', 'write_off_reversed')
    UNION ALL SELECT 'written_off', branch, currency, 0, written_off_minor FROM control
    UNION ALL SELECT 'written_off_items', branch, currency, written_off_minor, 0 FROM open_item
              WHERE written_off_minor <> 0
    UNION ALL SELECT 'written_off_items', branch, currency, 0, written_off_minor FROM control
    UNION ALL SELECT 'settled', NULL, currency, paid_minor, 0 FROM open_item WHERE kind <> 'receipt'
    UNION ALL SELECT 'settled', NULL, currency, 0, -paid_minor FROM open_item WHERE kind = 'receipt'
)""" + _FRAME.format(  # noqa: S608 - the frame is our own
    names="""
    ('movements', 'sum of all movements', 'balances by day'),
    ('cash_movements', 'sum of cash movements', 'the same by day and method'),
    ('written_off', 'movements written off', 'control'),
    ('written_off_items', 'items written off', 'control'),
    ('settled', 'paid on items', 'applied of receipts')"""
)
