"""Indexes that are made once the rows are there: to keep them while millions come in costs several times as much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.kernel.store import Conn


async def put_off(conn: Conn, schema: str) -> list[str]:
    """Drop the indexes of `schema` that guard nothing; answers the statements that make them again."""
    found = await conn.fetch(_PLAIN, schema)
    for row in found:
        await conn.execute(f"DROP INDEX {row['name']}")
    return [row["definition"] for row in found]


async def make(conn: Conn, definitions: Sequence[str]) -> None:
    """Make the indexes, each with one sort of what is there by now."""
    async with conn.transaction():
        await conn.execute("SELECT set_config('maintenance_work_mem', $1, true)", _MEMORY)
        for definition in definitions:
            await conn.execute(definition)


_MEMORY: Final = "256MB"  # Of one rebuild at a time; Postgres's own default makes it sort on disk.
# Keys stay: they are what rows are merged by, and what finds a fact folded twice.
_PLAIN: Final = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relnamespace = $1::regnamespace AND NOT i.indisunique AND c.relkind = 'i' AND NOT c.relispartition
ORDER BY c.relname
"""
