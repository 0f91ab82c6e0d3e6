"""A database per test: a copy of a template that was migrated once."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from tests.support.patience import until

SERVICES = Path(__file__).parents[2] / "services"
TEMPLATE_LOCK = 0x6F70656E  # Any number, the same in all workers.

_made: set[tuple[str, str]] = set()  # Templates this process has seen complete, by server and name.


def database_url(server: str, name: str) -> str:
    """The address of another database on the same server."""
    return urlunsplit(urlsplit(server)._replace(path=f"/{name}"))


class Databases:
    """Fresh databases on one server; `drop` removes them all, whoever is still connected."""

    def __init__(self, server: str) -> None:
        self.server = server
        self._names: list[str] = []

    async def make(self, service: str) -> str:
        """The URL of a new database with the tables of `service`, equal to every other new one."""
        template = await self._template(service)
        name = f"{service}_{uuid4().hex[:12]}"
        async with _connection(self.server) as admin:
            # Copied as files, 11 ms and not 15: with fsync off its checkpoints cost less than logging every page.
            await _alone(admin, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        self._names.append(name)
        return database_url(self.server, name)

    async def drop(self) -> None:
        if not self._names:
            return
        async with _connection(self.server) as admin:
            while self._names:
                await _alone(admin, f'DROP DATABASE IF EXISTS "{self._names.pop()}" WITH (FORCE)')

    async def _template(self, service: str) -> str:
        """The name of the migrated template. Named for what it was made from, so an old server is no danger."""
        name = f"template_{service}_{_fingerprint()}"
        if (self.server, name) in _made:
            return name
        async with _connection(self.server) as admin:
            # One worker migrates, the others wait. The lock ends with the connection, so a crash frees it.
            await admin.execute("SELECT pg_advisory_lock($1)", TEMPLATE_LOCK)
            if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                await self._migrate(admin, service, name)
        _made.add((self.server, name))
        return name

    async def _migrate(self, admin: asyncpg.Connection, service: str, name: str) -> None:
        from services.kernel.migrate import migrate

        # Under another name until it is done: a half migrated database must never look like the template.
        draft = f"{name}_draft"
        await _alone(admin, f'DROP DATABASE IF EXISTS "{draft}" WITH (FORCE)')
        await admin.execute(f'CREATE DATABASE "{draft}"')
        await migrate(database_url(self.server, draft), service)
        await _alone(admin, f'ALTER DATABASE "{draft}" RENAME TO "{name}"')


async def _alone(admin: asyncpg.Connection, statement: str) -> None:
    """Run what wants a database for itself. Its last session may still be ending; the server waits for 5 s only."""

    async def done() -> bool:
        try:
            await admin.execute(statement)
        except asyncpg.ObjectInUseError:
            return False
        return True

    await until(done)


def _fingerprint() -> str:
    """Changes when any migration, or the way migrations are applied, does."""
    digest = hashlib.sha256((SERVICES / "kernel" / "migrate.py").read_bytes())
    for path in sorted([*SERVICES.glob("*/migrations/*.sql"), *SERVICES.glob("*/models/*.sql")]):
        digest.update(str(path.relative_to(SERVICES)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
