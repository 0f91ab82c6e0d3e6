"""Indexes, keys and statistics made once the rows are there: to keep them while millions come in costs several times as
much. Statistics are the live table's, which holds much the same, where it has some of every column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from services.kernel.store import Conn
from services.projections.fold import TABLES
from services.projections.schema import LIVE


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
            if not await conn.fetchval(_TAKEN_OVER, LIVE, schema, table):
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
# Answers whether there were any to take over. Expressions that are indexed have some, too, under the index's name. What
# is taken is counted: to ask whether there is any would stop at the first.
_TAKEN_OVER: Final = """
WITH one AS (
    SELECT format('%I.%I', $1::text, $3::text)::regclass AS live, format('%I.%I', $2::text, $3::text)::regclass AS ours
), taken AS MATERIALIZED (
    SELECT pg_restore_attribute_stats(
        'schemaname', $2::text, 'relname', s.tablename::text, 'attname', s.attname::text, 'inherited', false,
        'null_frac', s.null_frac, 'avg_width', s.avg_width, 'n_distinct', s.n_distinct, 'correlation', s.correlation,
        'most_common_vals', s.most_common_vals::text, 'most_common_freqs', s.most_common_freqs,
        'histogram_bounds', s.histogram_bounds::text, 'most_common_elems', s.most_common_elems::text,
        'most_common_elem_freqs', s.most_common_elem_freqs, 'elem_count_histogram', s.elem_count_histogram
    )
    FROM pg_stats s
    WHERE s.schemaname = $1::text AND NOT s.inherited AND s.tablename IN (
        SELECT $3::text
        UNION ALL
        SELECT c.relname FROM one JOIN pg_index i ON i.indrelid = one.ours JOIN pg_class c ON c.oid = i.indexrelid
    ) AND NOT EXISTS (
        SELECT FROM one JOIN pg_attribute a ON a.attrelid = one.ours AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_stats l ON (l.schemaname, l.tablename, l.attname) = ($1::text, $3::text, a.attname)
        WHERE l.attname IS NULL
    )
), sized AS MATERIALIZED (
    SELECT pg_restore_relation_stats(
        'schemaname', $2::text, 'relname', $3::text,
        'reltuples', l.reltuples, 'relpages', (pg_relation_size(one.ours) / 8192)::int
    )
    FROM one JOIN pg_class l ON l.oid = one.live WHERE (SELECT count(*) FROM taken) > 0
)
SELECT count(*) > 0 FROM sized
"""
