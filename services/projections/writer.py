"""Applies the rows of a batch: one statement per table, in one order, rows sorted by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

from services.kernel.store import Conn
from services.projections.deltas import Deltas
from services.projections.fold import TABLES
from services.projections.table import Row, Table

# Which snapshots no longer hold because something came in from before them.
_STALE: Final = """
UPDATE snapshot s SET state = 'stale' FROM unnest($1::text[], $2::date[]) AS d(branch, day)
WHERE s.branch = d.branch AND s.taken_on > d.day AND s.state <> 'stale'
"""
Changed: TypeAlias = tuple[Table[Any], Sequence[Row]]
STAGED_MIN = 100  # Rows of some table; where none has as many, the round trips of copying cost more than they save.
_STAGES: Final = """
SELECT relname, pg_relation_size(oid) > 0 AS used
FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname LIKE 'fold\\_%' AND relkind = 'r'
"""


async def write(conn: Conn, deltas: Deltas) -> None:
    """Apply the rows, in a transaction of the tables' owner, who sees every branch: where row-level security binds,
    Postgres copies nothing in.

    Errors   23505 where a line of the timeline or of cash is there already: a fact was folded twice, which is a bug and
             never a transient.
    """
    changed = [(table, rows) for table in TABLES if (rows := deltas.rows(table))]
    if deltas.since:
        await conn.execute(_STALE, list(deltas.since), list(deltas.since.values()))
    if any(len(rows) >= STAGED_MIN for _, rows in changed):
        await _write_many(conn, changed)
    else:
        for table, rows in changed:
            await conn.execute(table.of_arrays, *_columns(rows))


async def _write_many(conn: Conn, changed: Sequence[Changed]) -> None:
    """First all that Postgres needs of us, then at one stroke what locks rows that other lanes want, too: in between it
    would wait for Python, and they for it.
    """
    stages = {row["relname"]: row["used"] for row in await conn.fetch(_STAGES)}
    for table, rows in changed:
        if table.key:
            await _stage(conn, table, rows, used=stages.get(table.stage))
        else:
            await _copy(conn, table, rows, table.name)
    await conn.execute(";".join(table.of_staged for table, _ in changed if table.key))


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
