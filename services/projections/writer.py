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

# The eight days of a row of balances, and their sums over lines whose day of the eight is `day`.
EIGHT: Final = tuple(f"minor_{day}" for day in range(8))
EIGHT_SUMS: Final = ", ".join(f"minor_sum(amount_minor) FILTER (WHERE day = {day})" for day in range(8))
# Movements carry their sums along: the balance of now, the day a branch's history begins, and which snapshots no longer
# hold because something came in from before them.
_WITH_SUMS: Final = """
WITH moved AS (
    {insert}
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
INSERT INTO branch_balance AS t (anchor, branch, currency, kind, begins_on, {days})
SELECT a.anchor, m.branch, m.currency, m.kind, a.begins_on, {sums}
FROM moved m CROSS JOIN LATERAL (VALUES
    ('due', m.due_on - day_of_eight(m.due_on), day_of_eight(m.due_on)),
    ('invoice', m.issued_on - day_of_eight(m.issued_on), day_of_eight(m.issued_on))
) AS a(anchor, begins_on, day)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
ON CONFLICT (anchor, branch, currency, kind, begins_on) DO UPDATE SET {added}
"""
_MOVEMENT: Final = {
    staged: _WITH_SUMS.format(
        insert=MOVEMENT.insert(staged=staged),
        days=", ".join(EIGHT),
        sums=EIGHT_SUMS,
        added=", ".join(f"{day} = t.{day} + excluded.{day}" for day in EIGHT),
    )
    for staged in (False, True)
}
_MANY: Final = 100  # Rows; below it the round trip of copying costs more than it saves.
_STAGES: Final = "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname LIKE 'fold\\_%'"


async def write(conn: Conn, deltas: Deltas) -> None:
    """Apply the rows, in a transaction of the caller's that may see every branch.

    Errors   23505 where a movement is there already: a fact was folded twice, which is a bug and never a transient.
    """
    stages: set[str] | None = None
    for table in TABLES:
        rows = deltas.rows(table)
        if not rows:
            continue
        staged = len(rows) >= _MANY
        if staged:
            if stages is None:
                stages = {row["relname"] for row in await conn.fetch(_STAGES)}
            await _stage(conn, table, rows, fresh=table.stage not in stages)
        statement = table.of_staged if staged else table.of_arrays
        if table is MOVEMENT:
            statement = _MOVEMENT[staged]
        await conn.execute(statement, *([] if staged else _columns(rows)))


async def _stage(conn: Conn, table: Table[Any], rows: Sequence[msgspec.Struct], *, fresh: bool) -> None:
    """Copy the rows to the session's table. Another batch of the same transaction may have left its own there."""
    await conn.execute(table.staging if fresh else f"TRUNCATE pg_temp.{table.stage}")
    records = map(msgspec.structs.astuple, rows)
    await conn.copy_records_to_table(table.stage, schema_name="pg_temp", records=records, columns=table.columns)


def _columns(rows: Sequence[msgspec.Struct]) -> list[tuple[Any, ...]]:
    """One sequence per column, as `unnest` takes them."""
    return list(zip(*map(msgspec.structs.astuple, rows), strict=True))
