"""The tables of the read models: built whole from `models/*.sql`, into `live` or beside it.

They are no migrations, because nothing in them is of record: another definition is met by a rebuild, not by altering.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from services.kernel.store import Conn

LIVE: Final = "live"
MODELS: Final = Path(__file__).parent / "models"


class SchemaDiffers(Exception):
    """The tables in `live` were built from another definition than this program has."""


def definition() -> str:
    """The SQL that builds every read model in the first schema of the search path."""
    return "\n".join(path.read_text() for path in sorted(MODELS.glob("*.sql")))


@cache
def definition_hash() -> str:
    """Tells one definition from another."""
    return hashlib.sha256(definition().encode()).hexdigest()


async def build(conn: Conn, schema: str) -> None:
    """Create `schema` with empty read models in it. Runs in a transaction of the caller's, and sets its search path."""
    assert schema.isidentifier(), schema
    await conn.execute(f"CREATE SCHEMA {schema}")
    await use(conn, schema)
    await conn.execute(definition())


async def use(conn: Conn, schema: str) -> None:
    """Let unqualified names mean the tables of `schema`, until the transaction ends."""
    await conn.execute("SELECT set_config('search_path', $1, true)", f"{schema}, public")


async def complete(conn: Conn) -> None:
    """Build `live` where there is none yet. The last step of migrating this database."""
    if await conn.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", LIVE):
        return
    await build(conn, LIVE)
    await remember(conn)


async def remember(conn: Conn) -> None:
    """Note that `live` is built from the present definition."""
    await conn.execute(
        "INSERT INTO model_schema (hash) VALUES ($1)"
        " ON CONFLICT (one) DO UPDATE SET hash = excluded.hash, built_at = clock_timestamp()",
        definition_hash(),
    )


async def check(conn: Conn) -> None:
    """Refuse to go on with tables of another definition. Errors: SchemaDiffers."""
    compare(await conn.fetchval("SELECT hash FROM model_schema"))


def compare(built: str | None) -> None:
    """The same with the hash that the tables were built from."""
    if built != definition_hash():
        raise SchemaDiffers("the read models were built from another definition: run `openitem rebuild`")
