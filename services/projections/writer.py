"""Applies the rows of a batch: one statement per table, in one order, rows sorted by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.kernel.store import Conn
from services.projections.deltas import Deltas
from services.projections.fold import TABLES
from services.projections.models.movement import MOVEMENT
from services.projections.table import Table

# Movements carry their sums along: the balance of now, the day a branch's history begins, and which snapshots no longer
# hold because something came in from before them.
_MOVEMENT: Final = f"""
WITH moved AS (
    {MOVEMENT.insert()}
    RETURNING branch, currency, kind, issued_on, due_on, effective_on, amount_minor
), days AS (
    SELECT branch, min(effective_on) AS day FROM moved GROUP BY branch
), begun AS (
    INSERT INTO branch AS b (branch, first_on) SELECT branch, day FROM days ORDER BY branch
    ON CONFLICT (branch) DO UPDATE SET first_on = excluded.first_on
    WHERE b.first_on IS NULL OR b.first_on > excluded.first_on
), stale AS (
    UPDATE snapshot s SET state = 'stale' FROM days d
    WHERE s.branch = d.branch AND s.taken_on > d.day AND s.state <> 'stale'
)
INSERT INTO branch_balance AS t (anchor, branch, currency, kind, anchored_on, amount_minor)
SELECT a.anchor, m.branch, m.currency, m.kind, a.anchored_on, sum(m.amount_minor)
FROM moved m CROSS JOIN LATERAL (VALUES ('due', m.due_on), ('invoice', m.issued_on)) AS a(anchor, anchored_on)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (anchor, branch, currency, kind, anchored_on)
    DO UPDATE SET amount_minor = t.amount_minor + excluded.amount_minor
"""  # noqa: S608 - a statement of our own within a statement of our own


async def write(conn: Conn, deltas: Deltas) -> None:
    """Apply the rows, in a transaction of the caller's that may see every branch.

    Errors   23505 where a movement is there already: a fact was folded twice, which is a bug and never a transient.
    """
    for table in TABLES:
        if rows := deltas.rows(table):
            statement = _MOVEMENT if table is MOVEMENT else table.statement
            await conn.execute(statement, *_columns(table, rows))


def _columns(table: Table[Any], rows: Sequence[msgspec.Struct]) -> list[tuple[Any, ...]]:
    """One sequence per column, as `unnest` takes them."""
    assert rows, table.name
    return list(zip(*map(msgspec.structs.astuple, rows), strict=True))
