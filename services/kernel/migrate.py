"""Forward-only migrations: numbered SQL files, each applied once, in order, in a transaction of its own.

A service's database gets the kernel's files first, then its own, then what cannot be a migration (`_complete`).
Files are listed in the table `migrations` with their hash: a file that was changed after it ran is refused, because
databases would differ without anybody knowing.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

_HERE: Final = Path(__file__).parent
_NAME: Final = re.compile(r"^\d{4}_[a-z0-9_]+\.sql$")
_LOCK: Final = 7_368_463  # Any constant will do: it keeps two migrating processes apart.


class MigrationChanged(Exception):
    """A file that has already run differs from what ran."""


async def create_database(url: str) -> None:
    """Create the database that `url` names where it does not exist yet."""
    parts = urlsplit(url)
    name = parts.path.lstrip("/")
    assert re.fullmatch(r"[a-z0-9_]+", name), name
    conn = await asyncpg.connect(urlunsplit(parts._replace(path="/postgres")))
    try:
        if not await conn.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await conn.execute(f'CREATE DATABASE "{name}"')
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        pass  # Another process was faster.
    finally:
        await conn.close()


async def migrate(url: str, service: str) -> list[str]:
    """Bring the database at `url` up to date for `service`; answers the files that ran.

    Errors   MigrationChanged; whatever Postgres says of a file, with none of that file applied.
    """
    ran: list[str] = []
    conn = await asyncpg.connect(url)
    try:
        await conn.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await conn.execute(
            "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, hash text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        applied = {row["name"]: row["hash"] for row in await conn.fetch("SELECT name, hash FROM migrations")}
        for name, path in _files(service):
            text = path.read_text()
            digest = hashlib.sha256(text.encode()).hexdigest()
            if name in applied:
                if applied[name] != digest:
                    raise MigrationChanged(f"{name} was changed after it ran")
                continue
            async with conn.transaction():
                await conn.execute(text)
                await conn.execute("INSERT INTO migrations (name, hash) VALUES ($1, $2)", name, digest)
            ran.append(name)
        await _complete(conn, service)
    finally:
        await conn.close()  # Ends the advisory lock with the session.
    return ran


async def _complete(conn: asyncpg.Connection[asyncpg.Record], service: str) -> None:
    """The last step, for a service whose tables are not all made by migrations: `complete(conn)` of its `schema.py`."""
    if (_HERE.parent / service / "schema.py").exists():
        async with conn.transaction():
            await importlib.import_module(f"services.{service}.schema").complete(conn)


def _files(service: str) -> list[tuple[str, Path]]:
    """The migrations of a service's database in order: the kernel's, those of packages it uses, its own."""
    files: list[tuple[str, Path]] = []
    for folder in ("kernel", *_USES.get(service, ()), service):
        paths = sorted((_HERE.parent / folder / "migrations").glob("*.sql"))
        for path in paths:
            assert _NAME.match(path.name), f"{path}: migrations are named 0001_what_it_is.sql"
            files.append((f"{folder}/{path.name}", path))
    return files


# Packages whose tables live in a service's database beside its own.
_USES: Final[dict[str, tuple[str, ...]]] = {"contact": ("mirror",), "escalation": ("mirror",)}
