"""Applies the rows of a batch: one statement per table, in one order, rows sorted by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from services.kernel.store import Conn
from services.projections.deltas import Deltas
from services.projections.fold import TABLES
from services.projections.models.movement import MOVEMENT
from services.projections.table import Row, Table

# The eight days of a row of balances, and their sums over lines whose day of the eight is `day`.
EIGHT: Final = tuple(f"minor_{day}" for day in range(8))
EIGHT_SUMS: Final = ", ".join(f"minor_sum(amount_minor) FILTER (WHERE day = {day})" for day in range(8))
# What follows from movements: the balance of now, and which snapshots no longer hold because something came in from
# before them. What came and went within the batch, as most unapplied cash does, moves no balance.
_SUMS: Final = """
WITH moved AS (
    SELECT u.branch, u.currency, u.kind, u.issued_on, u.due_on, u.effective_on, u.amount_minor FROM {source}
), days AS (
    SELECT branch, min(effective_on) AS day FROM moved GROUP BY branch
), stale AS (
    UPDATE snapshot s SET state = 'stale' FROM days d
    WHERE s.branch = d.branch AND s.taken_on > d.day AND s.state <> 'stale'
), daily AS (
    SELECT a.anchor, m.branch, m.currency, m.kind, a.anchored_on, minor_sum(m.amount_minor) AS amount_minor
    FROM moved m CROSS JOIN LATERAL (VALUES ('due', m.due_on), ('invoice', m.issued_on)) AS a(anchor, anchored_on)
    GROUP BY 1, 2, 3, 4, 5 HAVING minor_sum(m.amount_minor) <> 0
)
INSERT INTO branch_balance AS t (anchor, branch, currency, kind, begins_on, {days})
SELECT anchor, branch, currency, kind, anchored_on - day AS begins_on, {sums}
FROM (SELECT *, day_of_eight(anchored_on) AS day FROM daily) d
GROUP BY 1, 2, 3, 4, 5 ORDER BY branch, begins_on, kind, anchor, currency
ON CONFLICT (anchor, branch, currency, kind, begins_on) DO UPDATE SET {added}
"""


def _sums_of(source: str) -> str:
    added = ", ".join(f"{day} = t.{day} + excluded.{day}" for day in EIGHT)
    return _SUMS.format(source=source, days=", ".join(EIGHT), sums=EIGHT_SUMS, added=added)


_SUMS_OF: Final = {staged: _sums_of(MOVEMENT.source(staged=staged)) for staged in (False, True)}
_SUMS_OF_ALL: Final = _sums_of("movement AS u")
STAGED_MIN = 100  # Rows of a table; below it the round trip of copying costs more than it saves.
_STAGES: Final = """
SELECT relname, pg_relation_size(oid) > 0 AS used
FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname LIKE 'fold\\_%' AND relkind = 'r'
"""


async def write(conn: Conn, deltas: Deltas, *, fresh: bool = False) -> None:
    """Apply the rows, in a transaction of the caller's that may see every branch.

    Into tables that are `fresh`, rows that are only ever added are copied straight, which takes their owner: where
    row-level security binds, Postgres copies nothing in. What follows from movements is left to `sum_up`.

    Errors   23505 where a movement is there already: a fact was folded twice, which is a bug and never a transient.
    """
    stages: dict[str, bool] | None = None
    for table in TABLES:
        rows = deltas.rows(table)
        if not rows:
            continue
        if fresh and not table.key:
            await _copy(conn, table, rows, table.name)
        elif len(rows) >= STAGED_MIN:
            if stages is None:
                stages = {row["relname"]: row["used"] for row in await conn.fetch(_STAGES)}
            await _stage(conn, table, rows, used=stages.get(table.stage))
            await conn.execute(table.of_staged)
        else:
            await conn.execute(table.of_arrays, *_columns(rows))
    moved = deltas.rows(MOVEMENT)
    if moved and not fresh:
        staged = len(moved) >= STAGED_MIN
        await conn.execute(_SUMS_OF[staged], *([] if staged else _columns(moved)))


async def sum_up(conn: Conn) -> None:
    """What follows from all movements there are, where nothing was derived from any of them yet."""
    await conn.execute(_SUMS_OF_ALL)


async def _stage(conn: Conn, table: Table[Any], rows: Sequence[Row], *, used: bool | None) -> None:
    """Copy the rows to the session's table: there is none yet, or another batch of the transaction left rows in it."""
    if used is None:
        await conn.execute(table.staging)
    elif used:
        await conn.execute(f"TRUNCATE pg_temp.{table.stage}")
    await _copy(conn, table, rows, table.stage, "pg_temp")


async def _copy(conn: Conn, table: Table[Any], rows: Sequence[Row], into: str, schema: str | None = None) -> None:
    records = map(msgspec.structs.astuple, rows)
    await conn.copy_records_to_table(into, schema_name=schema, records=records, columns=table.columns)


def _columns(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """One sequence per column, as `unnest` takes them."""
    return list(zip(*map(msgspec.structs.astuple, rows), strict=True))
