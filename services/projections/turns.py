"""Who may rebuild, and which of its processes works while somebody asks for reports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.kernel.store import Conn
from services.projections import readers

# Shared by all processes of one rebuild; who begins another takes it alone for a moment. Any constants will do.
_REBUILDS: Final = 5_201_733
_TURN: Final = 5_201_734


class RebuildRunning(Exception):
    """Another rebuild is at work, or what is left of one that was killed."""


async def begin(conn: Conn) -> int:
    """Have this connection's rebuild be the only one; answers what `join` wants to know. Errors: RebuildRunning."""
    if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _REBUILDS):
        raise RebuildRunning("another rebuild is at work")
    await conn.execute("SELECT pg_advisory_lock_shared($1), pg_advisory_unlock($1)", _REBUILDS)
    return conn.get_server_pid()


async def join(conn: Conn, begun: int) -> None:
    """Work for a rebuild that has begun: there is no other until this connection, too, has ended.

    Errors   RebuildRunning, where ours has ended: what stands beside the live read models may be another's by now.
    """
    await conn.execute("SELECT pg_advisory_lock_shared($1)", _REBUILDS)
    if not await conn.fetchval(_STILL, begun, _REBUILDS):
        raise RebuildRunning("the rebuild that this process was to work for has ended")


@asynccontextmanager
async def turn(conn: Conn) -> AsyncIterator[bool]:
    """While somebody asks for reports, one process of a rebuild works at a time; tells whether it is so."""
    asked = await readers.are_asking(conn)
    if not asked:
        yield False
        return
    await conn.execute("SELECT pg_advisory_lock($1)", _TURN)
    try:
        yield True
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", _TURN)


_STILL: Final = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = $1 AND objid = $2::int::oid)"
