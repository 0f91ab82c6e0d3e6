"""The read models under test: apply facts to a database, and say what its tables hold so that it can be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from itertools import islice

import asyncpg

from services.kernel.delivery import Delivered
from services.projections.models.balance import EIGHT
from services.projections.project import handler
from tests.support.books import Books

# Kept for speed alone: what they say is checked by asking the same question with and without them.
DERIVED = frozenset({"snapshot", "branch_snapshot", "item_snapshot"})
BOUNDS = [1, 31, 61, 91, 121]
DIMENSIONS = {
    "total": (),
    "branch": ("branch",),
    "account": ("account_id",),
    "job": ("account_id", "job_id"),
    "item": ("branch", "account_id", "job_id", "item_id"),
}
_ALL = ("branch", "account_id", "job_id", "item_id")

Aging = dict[tuple[object, ...], int]


@asynccontextmanager
async def reader(url: str, branches: str = "*") -> AsyncIterator[asyncpg.Connection]:
    """A connection as a report has it: the role that row-level security binds, limited to `branches`."""
    settings = {"role": "openitem_app", "search_path": "live, public", "openitem.branches": branches}
    conn = await asyncpg.connect(url, server_settings=settings)
    try:
        yield conn
    finally:
        await conn.close()


async def absorb(conn: asyncpg.Connection, log: Iterable[Delivered], size: int = 500) -> None:
    """Fold facts in batches of `size`, a transaction each."""
    rest = iter(log)
    while batch := list(islice(rest, size)):
        async with conn.transaction():
            await handler(conn, batch)


async def dump(conn: asyncpg.Connection, schema: str = "live") -> dict[str, list[str]]:
    """Every table as text, a line per row, sorted. Two databases that dump the same answer every question the same."""
    names = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1", schema)
    told: dict[str, list[str]] = {}
    for (name,) in names:
        if name not in DERIVED:
            # A balance of nothing says nothing; when it is removed depends on a timer.
            where = f"WHERE ({', '.join(EIGHT)}) <> ({', '.join('0' * 8)})" if name.startswith("branch_balance") else ""
            rows = await conn.fetch(f"SELECT t::text AS line FROM {schema}.{name} t {where} ORDER BY 1")
            told[name] = [row["line"] for row in rows]
    return told


async def aging(
    conn: asyncpg.Connection,
    by: str,
    as_of: date,
    known_at: datetime | None = None,
    anchor: str = "due",
    bounds: Sequence[int] = BOUNDS,
    **filters: object,
) -> Aging:
    """What the database says, by (dimensions…, currency, kind, bucket)."""
    named = {"branches": None, "accounts": None, "currencies": None, "collectors": None} | filters
    rows = await conn.fetch(
        "SELECT * FROM aging_by($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        by,
        as_of,
        known_at,
        anchor,
        list(bounds),
        *named.values(),
    )
    dims = DIMENSIONS[by]
    found = {(*(r[d] for d in dims), r["currency"], r["kind"], r["bucket"]): r["amount_minor"] for r in rows}
    assert len(found) == len(rows), "a row per key"
    assert all(row[d] is None for row in rows for d in _ALL if d not in dims)
    return found


def expected_aging(books: Books, by: str, as_of: date, known_at: datetime | None = None, anchor: str = "due") -> Aging:
    """The same from the books."""
    sums: Aging = defaultdict(int)
    for posting in books.open_on(as_of, known_at):
        past = (as_of - (posting.due_on if anchor == "due" else posting.issued_on)).days
        bucket = sum(past >= bound for bound in BOUNDS)
        key = (*(getattr(posting, d) for d in DIMENSIONS[by]), posting.currency, posting.kind, bucket)
        sums[key] += posting.minor
    return {key: minor for key, minor in sums.items() if minor}
