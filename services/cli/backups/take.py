"""Takes a backup: one cut through all databases, and a dump of each as it was at that cut.

A cut is good when no database in it knows of a fact that its publisher's database does not have. So for a moment the
relays step aside: what anybody has consumed was published before, and is in its publisher's store. While they stand
aside every database's snapshot is fixed; then they go on, and the dumps read from the snapshots. Commands are taken all
the while.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import msgspec

from events.topics import SERVICES
from services.cli.backups import manifest
from services.cli.backups.manifest import Dump, Manifest
from services.cli.backups.programs import program, run_program
from services.cli.screen import Stop
from services.kernel.outbox import open_outbox

_RELAYS_S_MAX: Final = 30.0  # A relay looks every second whether it is to step aside, and first ends its wave.

Told = Callable[[str, str], None]  # What was done for which service.


class Cut(msgspec.Struct, frozen=True):
    """A database at the moment of the cut: the session that holds its snapshot open, and what it says of it."""

    service: str
    url: str
    conn: Any
    snapshot: str
    at: datetime


async def take(urls: dict[str, str], directory: Path, told: Told) -> Manifest:
    """Dump the databases at `urls` into a new `directory`.

    Errors   Stop: the directory has something in it, a program is missing or failed, a relay does not step aside.
    Holds    the directory appears when everything in it is whole; before, it has the ending `.partial`.
    """
    partial = _begin(directory)
    async with AsyncExitStack() as sessions:
        cuts = await _cut(urls, sessions)
        dumps = await asyncio.gather(*(_dump(cut, partial, told) for cut in cuts))
    made = Manifest(openitem=version("openitem"), taken_at=min(cut.at for cut in cuts), dumps=dumps)
    manifest.write(partial, made)
    _end(partial, directory)
    return made


def _begin(directory: Path) -> Path:
    """The directory to write to. Errors: Stop."""
    if directory.exists() and any(directory.iterdir()):
        raise Stop(f"{directory} is not empty: a backup is never written over")
    partial = directory.with_name(f"{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)  # It holds the firm's books.
    return partial


def _end(partial: Path, directory: Path) -> None:
    """Everything onto the disk, before the name says that it is a backup."""
    for path in (*partial.iterdir(), partial):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    if directory.exists():
        directory.rmdir()
    partial.rename(directory)


async def _cut(urls: dict[str, str], sessions: AsyncExitStack) -> Sequence[Cut]:
    """Fix a snapshot of every database while nothing is published."""
    async with AsyncExitStack() as aside:
        try:
            async with asyncio.timeout(_RELAYS_S_MAX):
                await asyncio.gather(*(_lead(aside, url) for name, url in urls.items() if name in SERVICES))
        except TimeoutError:
            raise Stop("a relay did not step aside: see whether its worker is alive and Kafka answers") from None
        return await asyncio.gather(*(_fix(sessions, service, url) for service, url in urls.items()))


async def _lead(aside: AsyncExitStack, url: str) -> None:
    outbox = await aside.enter_async_context(open_outbox(url, name="openitem-backup"))
    await outbox.lead_instead()


async def _fix(sessions: AsyncExitStack, service: str, url: str) -> Cut:
    conn = await asyncpg.connect(url, server_settings={"application_name": "openitem-backup"})
    sessions.push_async_callback(conn.close)
    transaction = conn.transaction(isolation="repeatable_read", readonly=True)
    await transaction.start()
    snapshot = await conn.fetchval("SELECT pg_export_snapshot()")
    return Cut(service, url, conn, snapshot, datetime.now(UTC))


async def _dump(cut: Cut, directory: Path, told: Told) -> Dump:
    """Write one dump, and count in the same snapshot what is to be in it."""
    major = cut.conn.get_server_version().major
    path = directory / f"{cut.service}.dump"
    options = ["--format=custom", "--no-owner", "--no-comments", f"--snapshot={cut.snapshot}", f"--file={path}"]
    await asyncio.to_thread(run_program, program("pg_dump", major), cut.url, *options)
    relay = await cut.conn.fetchrow("SELECT seq_assigned, seq_acknowledged FROM relay")
    made = Dump(
        service=cut.service,
        database=urlsplit(cut.url).path.lstrip("/"),
        file=path.name,
        sha256=await asyncio.to_thread(manifest.digest, path),
        bytes=path.stat().st_size,
        seq_assigned=relay["seq_assigned"],
        seq_acknowledged=relay["seq_acknowledged"],
        last_position=await cut.conn.fetchval("SELECT coalesce(max(position), 0) FROM events"),
        rows=await count_rows(cut.conn),
        server_version=await cut.conn.fetchval("SHOW server_version"),
        server_major=major,
        taken_at=cut.at,
    )
    told(cut.service, f"{sum(made.rows.values()):,} rows, {made.bytes:,} bytes")
    return made


async def count_rows(conn: Any) -> dict[str, int]:
    """The rows of every table, by `schema.table`."""
    tables = await conn.fetch(_TABLES)
    return {
        f"{schema}.{table}": await conn.fetchval(f'SELECT count(*) FROM "{schema}"."{table}"')  # noqa: S608 - names
        for schema, table in tables
    }


_TABLES: Final = """
SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""
