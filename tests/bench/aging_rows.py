"""Read models of a firm with a past, made by Postgres itself: open items and settled ones over skewed branches.

Every settled invoice has what a real one leaves behind: its item, its receipt's, and four movements.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from services.kernel.meta import EVERY_BRANCH
from services.kernel.store import open_pool
from services.projections.snapshots import build_missing


class Firm(NamedTuple):
    """`settled` invoices are spread over `years`; the open ones are young, with a long tail."""

    open: int
    settled: int
    years: int
    branches: int
    accounts: int


async def fill(url: str, firm: Firm, today: date) -> None:
    """Fill the empty read models at `url`, with snapshots. What a user would have instead lies in `public.ledger`."""
    conn = await asyncpg.connect(url, server_settings={"search_path": "live, public", "openitem.branches": "*"})
    try:
        await conn.execute("SET maintenance_work_mem = '512MB'; SET work_mem = '128MB'; SET synchronous_commit = off")
        await conn.execute("SELECT setseed(0.42)")
        await conn.execute(_BRANCHES, firm.branches)
        await conn.execute(_ACCOUNTS, firm.accounts, firm.branches)
        await conn.execute(_LEDGER)
        await conn.execute(_SETTLED, firm.settled, firm.years * 365 - 30, today, firm.accounts)
        await conn.execute(_OPEN, firm.settled, firm.open, firm.years * 365 - 1, today, firm.accounts)
        async with _without_indexes(conn, "open_item", "movement"):
            for statement in (_ITEMS, _RECEIPTS, _MOVEMENTS):
                await conn.execute(statement)
        for statement in (_BALANCES, _CONTROL, _FIRST_DAYS):
            await conn.execute(statement)
        await _vacuum(conn, "open_item", "movement", "branch_balance", "account", "branch", "control")
    finally:
        await conn.close()
    pool = await open_pool(url, size_max=2, branches=EVERY_BRANCH)
    try:
        while await build_missing(pool, at_most=1_000):
            pass
    finally:
        pool.terminate()
    conn = await asyncpg.connect(url)
    try:
        await _vacuum(conn, "branch_snapshot", "item_snapshot", "snapshot")
    finally:
        await conn.close()


async def to_file(url: str, path: Path) -> None:
    """The ledger as the file that people keep."""
    conn = await asyncpg.connect(url)
    try:
        await conn.copy_from_query(_FILE, output=path, format="csv", header=True)
    finally:
        await conn.close()


async def index_ledger(url: str) -> None:
    """The indexes that somebody gives a table of invoices who reports from it."""
    conn = await asyncpg.connect(url)
    try:
        for columns in ("(branch) WHERE paid_on IS NULL", "(due_on) WHERE paid_on IS NULL", "(issued_on, paid_on)"):
            await conn.execute(f"CREATE INDEX ON public.ledger {columns}")
        await conn.execute("VACUUM (ANALYZE) public.ledger")
    finally:
        await conn.close()


async def _vacuum(conn: asyncpg.Connection, *tables: str) -> None:
    """What autovacuum will have done to tables that were not made in a minute."""
    for table in tables:
        await conn.execute(f"VACUUM (ANALYZE) live.{table}")


@asynccontextmanager
async def _without_indexes(conn: asyncpg.Connection, *tables: str) -> AsyncIterator[None]:
    """Rows come in without the tables' indexes and keys, which are made again afterwards: several times as fast."""
    again: list[str] = []
    for table in tables:
        for name, definition in await conn.fetch(_CONSTRAINTS, table):
            await conn.execute(f"ALTER TABLE live.{table} DROP CONSTRAINT {name}")
            again.append(f"ALTER TABLE live.{table} ADD CONSTRAINT {name} {definition}")
        for name, definition in await conn.fetch(_INDEXES, table):
            await conn.execute(f"DROP INDEX live.{name}")
            again.append(definition)
    yield
    for statement in again:
        await conn.execute(statement)


_CONSTRAINTS: Final = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = ('live.' || $1)::regclass AND contype IN ('p', 'u')
"""
_INDEXES: Final = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'live' AND tablename = $1"
_BRANCHES: Final = """
INSERT INTO branch (branch, name) SELECT 'B' || lpad(n::text, 3, '0'), 'Branch ' || n FROM generate_series(1, $1::int) n
"""
# The first branches have most of the accounts: a fifth of them has about half.
_ACCOUNTS: Final = """
INSERT INTO account (account_id, branch, number, name, currency, terms_days)
SELECT md5('a' || n)::uuid, 'B' || lpad((1 + floor($2 * power(random(), 2.2)))::text, 3, '0'),
       'C' || lpad(n::text, 6, '0'), 'Customer ' || n, 'USD', 30
FROM generate_series(1, $1::int) n
"""
_LEDGER: Final = """
CREATE TABLE public.ledger (
    n bigint, branch text, account_id uuid, issued_on date, due_on date, paid_on date, minor bigint
)
"""
_SETTLED: Final = """
INSERT INTO public.ledger
SELECT i.n, a.branch, a.account_id, i.issued_on, i.issued_on + 30,
       least($3::date - 1, i.issued_on + 20 + floor(60 * random())::int), 5000 + floor(900000 * power(random(), 3))::int
FROM (
    SELECT n, 1 + floor($4 * power(random(), 1.3))::int AS account,
           ($3::date - 30 - ($2::bigint * ($1 - n) / $1)::int) AS issued_on
    FROM generate_series(1, $1::int) n
) i JOIN account a ON a.number = 'C' || lpad(i.account::text, 6, '0')
ORDER BY i.n
"""
_OPEN: Final = """
INSERT INTO public.ledger
SELECT i.n, a.branch, a.account_id, i.issued_on, i.issued_on + 30, NULL, 5000 + floor(900000 * power(random(), 3))::int
FROM (
    SELECT $1 + n AS n, 1 + floor($5 * power(random(), 1.3))::int AS account,
           $4::date - least($3::int, floor(-ln(1 - random()) * 50)::int) AS issued_on
    FROM generate_series(1, $2::int) n
) i JOIN account a ON a.number = 'C' || lpad(i.account::text, 6, '0')
ORDER BY i.issued_on
"""
_ITEMS: Final = """
INSERT INTO open_item (item_id, kind, invoice_id, branch, account_id, number, currency, issued_on, due_on, total_minor,
                       open_minor, paid_minor, changed_at)
SELECT md5('i' || n)::uuid, 'invoice', md5('i' || n)::uuid, branch, account_id, 'I' || n, 'USD', issued_on, due_on,
       minor, CASE WHEN paid_on IS NULL THEN minor ELSE 0 END, CASE WHEN paid_on IS NULL THEN 0 ELSE minor END,
       coalesce(paid_on, issued_on)
FROM public.ledger ORDER BY issued_on
"""
_RECEIPTS: Final = """
INSERT INTO open_item (item_id, kind, branch, account_id, method, currency, issued_on, due_on, total_minor, paid_minor,
                       changed_at)
SELECT md5('r' || n)::uuid, 'receipt', branch, account_id, 'check', 'USD', paid_on, paid_on, -minor, -minor, paid_on
FROM public.ledger WHERE paid_on IS NOT NULL ORDER BY paid_on
"""
_MOVEMENTS: Final = """
INSERT INTO movement (stream, stream_version, line, kind, cause, item_id, receipt_id, branch, account_id, currency,
                      issued_on, due_on, effective_on, recorded_at, amount_minor)
SELECT m.stream, m.version, m.line, m.kind, m.cause, m.item_id, m.receipt_id, l.branch, l.account_id, 'USD',
       m.issued_on, m.due_on, m.on_, m.on_ + interval '20 hours', m.minor
FROM public.ledger l
CROSS JOIN LATERAL (VALUES
    ('invoice-' || md5('i' || n)::uuid, 1, 1, 'open', 'issued', md5('i' || n)::uuid, NULL::uuid, issued_on, due_on,
     issued_on, minor),
    ('receipt-' || md5('r' || n)::uuid, 1, 1, 'unapplied', 'received', NULL, md5('r' || n)::uuid, paid_on, paid_on,
     paid_on, -minor),
    ('receipt-' || md5('r' || n)::uuid, 2, 1, 'open', 'applied', md5('i' || n)::uuid, md5('r' || n)::uuid, issued_on,
     due_on, paid_on, -minor),
    ('receipt-' || md5('r' || n)::uuid, 2, 2, 'unapplied', 'applied', NULL, md5('r' || n)::uuid, paid_on, paid_on,
     paid_on, minor)
) AS m(stream, version, line, kind, cause, item_id, receipt_id, issued_on, due_on, on_, minor)
WHERE m.on_ IS NOT NULL
ORDER BY m.on_
"""
_BALANCES: Final = """
INSERT INTO branch_balance (anchor, branch, currency, kind, anchored_on, amount_minor)
SELECT a.anchor, l.branch, 'USD', 'open', a.on_, sum(l.minor)
FROM public.ledger l CROSS JOIN LATERAL (VALUES ('due', due_on), ('invoice', issued_on)) AS a(anchor, on_)
WHERE l.paid_on IS NULL GROUP BY 1, 2, 5
"""
_CONTROL: Final = """
INSERT INTO control (branch, currency, invoiced_minor, received_minor, applied_minor)
SELECT branch, 'USD', sum(minor), coalesce(sum(minor) FILTER (WHERE paid_on IS NOT NULL), 0),
       coalesce(sum(minor) FILTER (WHERE paid_on IS NOT NULL), 0)
FROM public.ledger GROUP BY 1
"""
_FIRST_DAYS: Final = """
UPDATE branch b SET first_on = f.day FROM (SELECT branch, min(issued_on) AS day FROM public.ledger GROUP BY 1) f
WHERE b.branch = f.branch
"""
_FILE: Final = """
SELECT n AS invoice, branch, account_id AS account, issued_on, due_on, paid_on,
       (minor / 100.0)::numeric(14, 2) AS amount
FROM public.ledger
"""
