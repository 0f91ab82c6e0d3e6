"""Puts a service's database back: into another name first, brought up to what Kafka has, and only then in its place.

A restored store must never be worked on before it has back what Kafka has beyond it: the relay would give numbers again
that others have read facts under. So no database has a service's name before that is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from services.cli.backups.manifest import Dump
from services.cli.backups.programs import program, run_program
from services.cli.backups.take import count_rows
from services.cli.screen import Stop
from services.contact import lookups as contact
from services.escalation import lookups as escalation
from services.invoice import claims as invoice
from services.kernel.migrate import MigrationChanged, create_database, migrate
from services.kernel.store import Index
from services.payment import laws

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

INDEXES: Final[Mapping[str, Index]] = {
    "invoice": invoice.index,
    "contact": contact.index,
    "escalation": escalation.index,
}
_ROLE: Final = """
DO $$ BEGIN
    CREATE ROLE openitem_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$
"""


def beside(url: str) -> str:
    """The database that is prepared beside the one at `url`."""
    return _renamed(url, f"{_name(url)}_restoring")


async def check_place(url: str, *, force: bool) -> None:
    """See that the place of a database is free, or may be taken.

    Errors   Stop where somebody works on it, or it holds something and `force` does not say to set it aside.
    """
    async with _server(url) as admin:
        others = await admin.fetch(_OTHERS, _name(url))
    if others:
        raise Stop(
            f"{_name(url)} is in use ({', '.join(row['who'] for row in others)}): stop the service's app and worker,"
            " and whoever else works on it"
        )
    if not force and await _holds_something(url):
        raise Stop(f"{_name(url)} is not empty. With --force it is set aside under another name, and kept.")


async def fill(url: str, dump: Dump, directory: Path) -> None:
    """Restore a dump beside the place it is for, hold the result against the manifest, and bring it up to date.

    Errors   Stop: a program is missing or failed, or what came out is not what went in.
    """
    await create_beside(url)
    async with _server(url) as admin:
        await admin.execute(_ROLE)
        major = admin.get_server_version().major
    path = directory / Path(dump.file).name
    restore = program("pg_restore", max(dump.server_major, major))
    options = ["--exit-on-error", "--no-owner", f"--dbname={_name(beside(url))}", str(path)]
    await asyncio.to_thread(run_program, restore, beside(url), *options)
    conn = await asyncpg.connect(beside(url))
    try:
        rows = await count_rows(conn)
        await conn.execute("ANALYZE")
    finally:
        await conn.close()
    if rows != dump.rows:
        off = sorted(table for table in rows.keys() | dump.rows.keys() if rows.get(table) != dump.rows.get(table))
        raise Stop(f"{dump.service}: after restoring, {', '.join(off)} have other rows than the backup's manifest says")
    # What follows, and whoever works on it then, is of this program's version, which may be newer.
    try:
        await migrate(beside(url), dump.service)
    except MigrationChanged as error:
        raise Stop(f"{dump.service}: the backup is of another version of the program: {error}") from None


async def create_beside(url: str) -> None:
    """An empty database beside the place; one that an earlier try left there goes."""
    await drop_beside(url)
    await create_database(beside(url))


async def make_anew(url: str, service: str) -> None:
    """The tables of a database that can be built again from the facts, empty."""
    await create_beside(url)
    await migrate(beside(url), service)


async def drop_beside(url: str) -> None:
    async with _server(url) as admin:
        await admin.execute(f'DROP DATABASE IF EXISTS "{_name(beside(url))}" WITH (FORCE)')


async def broken_by(conn: Any, service: str, after: int) -> list[tuple[str, str]]:
    """The laws that facts above position `after` break, and the streams that do.

    A decision's facts go to several partitions, and the relay may have died between them: of the very last decision
    Kafka may have one side only. Nothing but the laws of the books can tell.
    """
    if service != "payment":
        return []
    async with conn.transaction(readonly=True):
        last = await conn.fetchval("SELECT coalesce(max(position), 0) FROM events")
        return [(found.law, found.stream) for found in await laws.check(conn, after, last, [])]


async def swap(url: str, *, force: bool) -> str | None:
    """Put what was prepared in its place; answers the name under which the one before is kept, if it held anything.

    Errors   those of `check_place`, again.
    """
    await check_place(url, force=force)
    name, kept = _name(url), None
    holds = await _holds_something(url)
    async with _server(url) as admin:
        if await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            if holds:
                kept = f"{name}_replaced_{datetime.now(UTC):%Y%m%d%H%M%S}"
                await admin.execute(f'ALTER DATABASE "{name}" RENAME TO "{kept}"')
            else:
                await admin.execute(f'DROP DATABASE "{name}"')
        await admin.execute(f'ALTER DATABASE "{_name(beside(url))}" RENAME TO "{name}"')
    return kept


async def _holds_something(url: str) -> bool:
    """Whether facts or a consumer's progress are in the database; one that does not exist holds nothing."""
    try:
        conn = await asyncpg.connect(url)
    except asyncpg.InvalidCatalogNameError:
        return False
    try:
        rows = await count_rows(conn)
    finally:
        await conn.close()
    return any(rows.get(f"public.{table}") for table in ("events", "commands", "consumer_stream")) or (
        bool(rows) and "public.events" not in rows  # Not one of ours: all the more to be careful with.
    )


@asynccontextmanager
async def _server(url: str) -> AsyncIterator[Any]:
    """The database `postgres` of the same server: one cannot rename what one is connected to."""
    conn = await asyncpg.connect(_renamed(url, "postgres"))
    try:
        yield conn
    finally:
        await conn.close()


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def _renamed(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


_OTHERS: Final = """
SELECT DISTINCT coalesce(nullif(application_name, ''), backend_type) AS who FROM pg_stat_activity
WHERE datname = $1 AND backend_type = 'client backend' ORDER BY 1
"""
