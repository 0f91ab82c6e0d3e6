"""Read models of a firm with a past, made by Postgres itself: open items and settled ones over skewed branches.

Every settled invoice has what a real one leaves behind: its item, its receipt's, and four movements. The last year is
made first; the years before it are added to the same tables, so that both histories have the same present.
"""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from services.kernel.meta import EVERY_BRANCH
from services.kernel.store import open_pool
from services.projections.models.balance import EIGHT, EIGHT_SUMS
from services.projections.snapshots import build_missing

# What the questions read that are asked here. The other indexes and the keys cost as much time and disk again, and
# change none of the plans.
_READ: Final = (
    "movement_by_day",
    "open_item_open",
    "open_item_unapplied",
    "open_item_withheld",
    "open_item_of_account",
)
_FACTS: Final = ("open_item", "movement")
_AT_ONCE: Final = 1_000  # Days of snapshots that one call builds: all there are.


class Firm(NamedTuple):
    """`settled` invoices are spread over `years`; the open ones are young, with a long tail."""

    open: int
    settled: int
    years: int
    branches: int
    accounts: int

    @property
    def earlier(self) -> int:
        """Invoices settled before the last year. Invoices are numbered by age: these first, the open ones last."""
        return self.settled - self.settled // self.years


async def found(url: str, firm: Firm, today: date) -> None:
    """Fill the empty read models at `url` with what is open and the last year, and build its snapshots.

    What a user would have instead lies in `public.ledger`.
    """
    conn = await _connect(url)
    try:
        for table in _FACTS:
            await conn.execute(f"ALTER TABLE live.{table} SET UNLOGGED")  # It is read the same.
        await conn.execute("SELECT setseed(0.42)")
        await conn.execute(_BRANCHES, firm.branches)
        await conn.execute(_ACCOUNTS, firm.accounts, firm.branches)
        await conn.execute(_LEDGER)
        await _settled(conn, firm, today, firm.earlier + 1, firm.settled)
        await conn.execute(_OPEN, firm.settled, firm.open, min(firm.years * 365, 365) - 1, today, firm.accounts)
        await conn.execute(_BALANCES)
    finally:
        await conn.close()
    await _vacuum(url, "branch_balance", "account")
    await _derive(url, firm.earlier + 1, firm.settled + firm.open)


async def grow(url: str, firm: Firm, today: date) -> None:
    """Add the years before the last one."""
    conn = await _connect(url)
    try:
        await _settled(conn, firm, today, 1, firm.earlier)
    finally:
        await conn.close()
    await _derive(url, 1, firm.earlier)


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


async def _connect(url: str) -> asyncpg.Connection:
    conn = await asyncpg.connect(url, server_settings={"search_path": "live, public", "openitem.branches": "*"})
    await conn.execute("SET maintenance_work_mem = '512MB'; SET work_mem = '128MB'; SET synchronous_commit = off")
    return conn


async def _settled(conn: asyncpg.Connection, firm: Firm, today: date, frm: int, to: int) -> None:
    await conn.execute(_SETTLED, firm.settled, firm.years * 365 - 30, today, firm.accounts, frm, to)


async def _derive(url: str, frm: int, to: int) -> None:
    """The read models of the invoices `frm` to `to`, on three connections, and then what depends on all of them."""
    indexes = {table: await _without_indexes(url, table) for table in _FACTS}
    middle = (frm + to) // 2
    await asyncio.gather(
        _run(url, (_ITEMS, frm, to), (_RECEIPTS, frm, to), *indexes["open_item"]),
        _run(url, (_MOVEMENTS, frm, middle)),
        _run(url, (_MOVEMENTS, middle + 1, to)),
    )
    await _run(url, *indexes["movement"], (_FORGET,), (_CONTROL,), (_FIRST_DAYS,))
    await asyncio.gather(*(_vacuum(url, table) for table in (*_FACTS, "branch", "control")))
    pool = await open_pool(url, size_max=2, branches=EVERY_BRANCH)
    try:
        while await build_missing(pool, at_most=_AT_ONCE):
            pass
    finally:
        pool.terminate()
    await _vacuum(url, "branch_snapshot", "item_snapshot", "snapshot")


async def _without_indexes(url: str, table: str) -> list[tuple[str]]:
    """Drop indexes and keys; answers what makes those again that are read. Rows come in several times as fast."""
    conn = await _connect(url)
    try:
        for (name,) in await conn.fetch(_KEYS, table):
            await conn.execute(f"ALTER TABLE live.{table} DROP CONSTRAINT {name}")
        indexes = await conn.fetch(_INDEXES, table)
        for name, _definition in indexes:
            await conn.execute(f"DROP INDEX live.{name}")
        return [(definition,) for name, definition in indexes if name in _READ]
    finally:
        await conn.close()


async def _run(url: str, *statements: tuple[object, ...]) -> None:
    conn = await _connect(url)
    try:
        for statement, *arguments in statements:
            await conn.execute(str(statement), *arguments)
    finally:
        await conn.close()


async def _vacuum(url: str, *tables: str) -> None:
    """What autovacuum will have done to tables that were not made in a minute."""
    await _run(url, *((f"VACUUM (ANALYZE) live.{table}",) for table in tables))


_FORGET: Final = "TRUNCATE live.control, live.snapshot, live.branch_snapshot, live.item_snapshot"
_KEYS: Final = "SELECT conname FROM pg_constraint WHERE conrelid = ('live.' || $1)::regclass AND contype IN ('p', 'u')"
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
CREATE UNLOGGED TABLE public.ledger (
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
    FROM generate_series($5::bigint, $6::bigint) n
) i JOIN (SELECT substr(number, 2)::int AS account, * FROM account) a USING (account)
"""
_OPEN: Final = """
INSERT INTO public.ledger
SELECT i.n, a.branch, a.account_id, i.issued_on, i.issued_on + 30, NULL, 5000 + floor(900000 * power(random(), 3))::int
FROM (
    SELECT $1 + n AS n, 1 + floor($5 * power(random(), 1.3))::int AS account,
           $4::date - least($3::int, floor(-ln(1 - random()) * 50)::int) AS issued_on
    FROM generate_series(1, $2::int) n
) i JOIN (SELECT substr(number, 2)::int AS account, * FROM account) a USING (account)
"""
_ITEMS: Final = """
INSERT INTO open_item (item_id, kind, invoice_id, branch, account_id, number, currency, issued_on, due_on, total_minor,
                       open_minor, paid_minor, changed_at)
SELECT id, 'invoice', id, branch, account_id, 'I' || n, 'USD', issued_on, due_on,
       minor, CASE WHEN paid_on IS NULL THEN minor ELSE 0 END, CASE WHEN paid_on IS NULL THEN 0 ELSE minor END,
       coalesce(paid_on, issued_on)
FROM (SELECT md5('i' || n)::uuid AS id, * FROM public.ledger WHERE n BETWEEN $1 AND $2 OFFSET 0) l
"""
_RECEIPTS: Final = """
INSERT INTO open_item (item_id, kind, branch, account_id, method, currency, issued_on, due_on, total_minor, paid_minor,
                       changed_at)
SELECT md5('r' || n)::uuid, 'receipt', branch, account_id, 'check', 'USD', paid_on, paid_on, -minor, -minor, paid_on
FROM public.ledger WHERE paid_on IS NOT NULL AND n BETWEEN $1 AND $2
"""
_MOVEMENTS: Final = """
INSERT INTO movement (stream, stream_version, line, kind, cause, item_id, receipt_id, branch, account_id, currency,
                      issued_on, due_on, effective_on, recorded_at, amount_minor)
SELECT m.stream, m.version, m.line, m.kind, m.cause, m.item_id, m.receipt_id, l.branch, l.account_id, 'USD',
       m.issued_on, m.due_on, m.on_, m.on_ + interval '20 hours', m.minor
FROM (
    SELECT md5('i' || n)::uuid AS item, md5('r' || n)::uuid AS receipt, * FROM public.ledger
    WHERE n BETWEEN $1 AND $2 OFFSET 0
) l
CROSS JOIN LATERAL (VALUES
    ('invoice-' || item, 1, 1, 'open', 'issued', item, NULL::uuid, issued_on, due_on, issued_on, minor),
    ('receipt-' || receipt, 1, 1, 'unapplied', 'received', NULL, receipt, paid_on, paid_on, paid_on, -minor),
    ('receipt-' || receipt, 2, 1, 'unapplied', 'applied', NULL, receipt, paid_on, paid_on, paid_on, minor),
    ('receipt-' || receipt, 2, 2, 'open', 'applied', item, receipt, issued_on, due_on, paid_on, -minor)
) AS m(stream, version, line, kind, cause, item_id, receipt_id, issued_on, due_on, on_, minor)
WHERE m.on_ IS NOT NULL
"""
_BALANCES: Final = f"""
INSERT INTO branch_balance (anchor, branch, currency, kind, begins_on, {", ".join(EIGHT)})
SELECT anchor, branch, 'USD', 'open', anchored_on - day, {EIGHT_SUMS}
FROM (SELECT a.*, day_of_eight(anchored_on) AS day, l.branch, l.minor AS amount_minor FROM public.ledger l
      CROSS JOIN LATERAL (VALUES ('due', due_on), ('invoice', issued_on)) AS a(anchor, anchored_on)
      WHERE l.paid_on IS NULL) o
GROUP BY 1, 2, 5
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
