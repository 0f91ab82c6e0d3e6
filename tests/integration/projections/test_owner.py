"""The worker writes as whoever owns the tables: no superuser, but one whom row-level security does not bind."""

from __future__ import annotations

from datetime import date, timedelta
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from services.kernel.meta import EVERY_BRANCH
from services.kernel.migrate import create_database, migrate
from services.kernel.store import open_pool
from services.projections.project import handler
from services.projections.writer import STAGED_MIN
from tests.conftest import MakeDatabase
from tests.support.books import Books

DAY = date(2025, 3, 3)


async def test_an_owner_without_other_rights_folds_few_rows_and_many(make_database: MakeDatabase) -> None:
    # Given a login that may make databases and roles and act as the role of requests, and nothing else
    server = await make_database("projections")
    name = f"owner_{uuid4().hex[:8]}"
    admin = await asyncpg.connect(server)
    await admin.execute(f"CREATE ROLE {name} LOGIN CREATEDB CREATEROLE; GRANT openitem_app TO {name}")
    parts = urlsplit(server)
    url = urlunsplit(parts._replace(netloc=f"{name}@{parts.hostname}:{parts.port}", path=f"/{name}"))
    try:
        await create_database(url)
        await migrate(url, "projections")
        # When its worker's pool folds a batch of a few facts, and one of many
        books = Books()
        for number in range(2 * STAGED_MIN):
            books.issue(f"{number}", f"B{number % 3}", "acme", 100, DAY + timedelta(days=number))
        async with await open_pool(url, size_max=1, branches=EVERY_BRANCH) as pool:
            for batch in (books.log[:5], books.log[5:]):
                async with pool.acquire() as conn, conn.transaction():
                    await handler(conn, batch)
            # Then all is there, and outside of its transactions the role of requests is bound as ever
            assert await pool.fetchval("SELECT count(*) FROM live.movement") == 2 * STAGED_MIN
            assert await pool.fetchval("SELECT sum(minor_0 + minor_7) IS NOT NULL FROM live.branch_balance")
            async with pool.acquire() as conn, conn.transaction():
                assert await conn.fetchval("SELECT current_user") == "openitem_app"
                await conn.execute("SELECT set_config('openitem.branches', 'B1', true)")
                assert await conn.fetchval("SELECT count(DISTINCT branch) FROM live.movement") == 1
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute(f"DROP ROLE {name}")
        await admin.close()
