"""Indexes, keys and statistics made once the rows are there: to keep them while millions come in costs several times as
much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from services.kernel.store import Conn
from services.projections.fold import TABLES


async def put_off(conn: Conn, schema: str) -> dict[str, list[str]]:
    """Drop what rows are not merged by; answers the statements that make it again, by table, of every table.

    Holds    keys are made last, so a fact that was folded twice is found then.
    """
    added = [table.name for table in TABLES if not table.key]
    again: dict[str, list[str]] = {table.name: [] for table in TABLES}
    for row in await conn.fetch(_FOUND, schema, added):
        await conn.execute(row["gone"])
        again.setdefault(row["relname"], []).append(row["again"])
    return again


async def make(conn: Conn, schema: str, waiting: Mapping[str, Sequence[str]]) -> None:
    """Make the indexes and keys of some tables, each with one sort of what is there by now, and their statistics."""
    async with conn.transaction():
        await conn.execute("SELECT set_config('maintenance_work_mem', $1, true)", _MEMORY)
        # One process each: what else there is of cores answers reports.
        await conn.execute("SET LOCAL max_parallel_maintenance_workers = 0")
        for table, statements in waiting.items():
            for statement in statements:
                await conn.execute(statement)
            # Autovacuum looks within a minute, and until then reports would be planned for tables of unknown contents.
            await conn.execute(f"ANALYZE {schema}.{table}")


_MEMORY: Final = "128MB"  # Of two that make indexes at a time; Postgres's own default makes them sort on disk.
_FOUND: Final = """
SELECT t.relname, format('DROP INDEX %I.%I', $1::text, c.relname) AS gone, pg_get_indexdef(i.indexrelid) AS again
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE c.relnamespace = $1::text::regnamespace AND NOT i.indisunique AND c.relkind = 'i' AND NOT c.relispartition
UNION ALL
SELECT t.relname, format('ALTER TABLE %I.%I DROP CONSTRAINT %I', $1::text, t.relname, k.conname),
       format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', $1::text, t.relname, k.conname, pg_get_constraintdef(k.oid))
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
WHERE k.contype = 'p' AND t.relnamespace = $1::text::regnamespace AND t.relname = ANY ($2::text[])
ORDER BY 1, 3
"""
