"""Snapshots: what stood open when past weeks and half years began. Reports are the same without them, only slower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import asyncpg

from services.kernel.meta import ALL
from services.kernel.store import Conn, Pool
from services.projections import metrics
from services.projections.models.balance import EIGHT, EIGHT_SUMS
from services.projections.project import WRITERS
from services.projections.schema import LIVE

# A week's start is left alone until its late facts have come in; until then the balances of now are as near.
SETTLED_AFTER_DAYS: Final = 4
# Every week by branch: a firm has many movements in a week. Every half year by item: there are many more rows, and one
# branch has few movements in three months.
_MISSING: Final = """
SELECT g.grain, d.taken_on, array_agg(b.branch ORDER BY b.branch) AS branches
FROM branch b
CROSS JOIN (VALUES ('branch', interval '1 week'), ('item', interval '6 months')) AS g(grain, step)
CROSS JOIN LATERAL (
    SELECT t::date AS taken_on
    FROM generate_series(date_trunc(CASE g.grain WHEN 'item' THEN 'year' ELSE 'week' END, b.first_on::timestamp),
                         (current_date - $1::int)::timestamp, g.step) AS t
    WHERE t > b.first_on
) d
LEFT JOIN snapshot s ON s.branch = b.branch AND s.grain = g.grain AND s.taken_on = d.taken_on
WHERE s.state IS DISTINCT FROM 'ready'
GROUP BY 1, 2 ORDER BY 2, 1 DESC
"""
_ANNOUNCE: Final = """
INSERT INTO snapshot (grain, branch, taken_on, state)
SELECT $1, b, $2, 'building' FROM unnest($3::text[]) AS b ORDER BY b
ON CONFLICT (branch, taken_on, grain) DO UPDATE SET state = 'building'
"""
_LINES: Final = "SELECT aging_lines($1, $2, $3::date - 1, NULL, $4, NULL, $5::text[])"
_EIGHTS: Final = """branch, currency, kind, anchored_on - day_of_eight(anchored_on) AS begins_on,
                    day_of_eight(anchored_on) AS day, amount_minor"""
_BRANCH_ROWS: Final = f"""
INSERT INTO branch_snapshot (taken_on, anchor, branch, currency, kind, begins_on, {", ".join(EIGHT)})
SELECT $1, $2, branch, currency, kind, begins_on, {EIGHT_SUMS} FROM ({{lines}}) l GROUP BY 3, 4, 5, 6
HAVING ({EIGHT_SUMS}) <> ({", ".join("0" * 8)}) ORDER BY 3
"""  # noqa: S608 - only words of this module
_ITEM_ROWS: Final = """
INSERT INTO item_snapshot (taken_on, branch, kind, item_id, account_id, job_id, currency, issued_on, due_on,
                           amount_minor)
SELECT $1, branch, kind, item_id, account_id, job_id, currency, issued_on, due_on, minor_sum(amount_minor)
FROM ({lines}) l GROUP BY 2, 3, 4, 5, 6, 7, 8, 9 HAVING minor_sum(amount_minor) <> 0 ORDER BY 2
"""
_PRUNE: Final = f"DELETE FROM branch_balance WHERE {' AND '.join(f'{day} = 0' for day in EIGHT)}"  # noqa: S608 - as above
_READY: Final = """
UPDATE snapshot SET state = 'ready'
WHERE grain = $1 AND taken_on = $2 AND branch = ANY ($3) AND state = 'building'
"""
_MEMORY: Final = "64MB"  # Of one build at a time: the items of a large firm's half year are otherwise grouped on disk.
_BUILDERS: Final = 5_201_732  # One builder at a time. Any constant will do.


async def build_missing(pool: Pool, *, settled_after_days: int = SETTLED_AFTER_DAYS, at_most: int = 60) -> int:
    """Build the snapshots that are missing or no longer hold, the oldest first; answers how many are still missing.

    Shapes   `at_most` days per call, each for all branches that lack it.
    Holds    a back-dated fact that comes while a snapshot is built leaves it stale, never wrong.
    """
    async with pool.acquire() as conn:
        if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _BUILDERS):
            return 0  # Another worker is at it.
        try:
            async with conn.transaction():
                await _see_all(conn)
                missing = await conn.fetch(_MISSING, settled_after_days)
            wanted = missing[:at_most]
            if wanted:
                await _announce(conn, wanted)
            for grain, taken_on, branches in wanted:
                await _build(conn, grain, taken_on, branches)
            left = len(missing[at_most:])
            metrics.SNAPSHOTS_MISSING.set(left)
            return left
        finally:
            await conn.execute("SELECT pg_advisory_unlock($1)", _BUILDERS)


async def prune(pool: Pool) -> None:
    """Remove balances of nothing, which settled items leave behind."""
    async with pool.acquire() as conn, conn.transaction():
        await _see_all(conn)
        await conn.execute(_PRUNE)


async def _announce(conn: Conn, wanted: Sequence[asyncpg.Record]) -> None:
    async with conn.transaction():
        await _see_all(conn)
        for grain, taken_on, branches in wanted:
            await conn.execute(_ANNOUNCE, grain, taken_on, branches)
    # Whoever began to write before the announcement may not have seen it, and could leave a back-dated movement that we
    # do not see either. So all of them are waited for, once; later ones see it, and mark it stale.
    await conn.execute("SELECT pg_advisory_lock($1)", WRITERS)
    await conn.execute("SELECT pg_advisory_unlock($1)", WRITERS)


async def _build(conn: Conn, grain: str, taken_on: object, branches: list[str]) -> None:
    table = "branch_snapshot" if grain == "branch" else "item_snapshot"
    async with conn.transaction():
        await _see_all(conn)
        await conn.execute("SELECT set_config('work_mem', $1, true)", _MEMORY)
        await conn.execute(f"DELETE FROM {table} WHERE taken_on = $1 AND branch = ANY ($2)", taken_on, branches)  # noqa: S608 - one of two names
        await (_add_branches if grain == "branch" else _add_items)(conn, taken_on, branches)
        await conn.execute(_READY, grain, taken_on, branches)


async def _add_branches(conn: Conn, taken_on: object, branches: list[str]) -> None:
    for anchor in ("due", "invoice"):
        lines = await conn.fetchval(_LINES, _EIGHTS, "branch", taken_on, anchor, branches)
        await conn.execute(_BRANCH_ROWS.format(lines=lines), taken_on, anchor)


async def _add_items(conn: Conn, taken_on: object, branches: list[str]) -> None:
    columns = "branch, kind, item_id, account_id, job_id, currency, issued_on, due_on, amount_minor"
    lines = await conn.fetchval(_LINES, columns, "item", taken_on, "due", branches)
    await conn.execute(_ITEM_ROWS.format(lines=lines), taken_on)


async def _see_all(conn: Conn) -> None:
    await conn.execute(
        "SELECT set_config('openitem.branches', $1, true), set_config('search_path', $2, true)", ALL, f"{LIVE}, public"
    )
