"""Whether somebody asks for reports just now: who works in the background gives way then."""

from __future__ import annotations

from typing import Final

from services.kernel.store import Conn


async def are_asking(conn: Conn) -> bool:
    """Whether reporting has asked this database anything within the last second."""
    return bool(await conn.fetchval(_ASKING, READERS))


READERS: Final = "openitem-reporting"  # What Postgres knows reporting's connections by.
_ASKING: Final = """
SELECT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = $1
      AND state_change > clock_timestamp() - interval '1 second'
)
"""
