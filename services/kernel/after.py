"""What somebody recorded elsewhere, and wants to be known where he asks next: Openitem-Position, handed on as
Openitem-After.
"""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Final

from fastapi import Header

from services.kernel.errors import Kind, Refused
from services.kernel.store import ARRIVAL_POLL_S, Pool

After = Annotated[
    str | None,
    Header(description="What another service answered as Openitem-Position: it must be known here, or is refused."),
]
_AFTER: Final = re.compile(r"([a-z-]+-[A-Za-z0-9-]{1,64})@([0-9]{1,9})")


class AfterMalformed(Refused):
    """Openitem-After names no position."""

    code = "after_malformed"
    kind = Kind.MALFORMED


class NotYetKnown(Refused):
    """What another service recorded has not arrived here yet."""

    code = "not_yet_known"
    kind = Kind.UNAVAILABLE


def after_of(header: str) -> dict[str, int]:
    """The versions of streams that are to be known, from what commands answered as Openitem-Position.

    Errors   AfterMalformed.
    """
    wanted: dict[str, int] = {}
    for part in header.split(","):
        found = _AFTER.fullmatch(part.strip())
        if found is None:
            raise AfterMalformed("write it as a command answered it: stream@version,...", field="Openitem-After")
        wanted[found[1]] = max(int(found[2]), wanted.get(found[1], 0))
    return wanted


async def await_known(pool: Pool, after: str | None, wait_s: float) -> None:
    """Wait until this service knows what `after` names: streams of its own, and those of services it follows.

    What is parked here has arrived too, though only its mending makes it known.

    Errors   AfterMalformed; NotYetKnown when the wait is over.
    """
    if not after:
        return
    wanted = after_of(after)
    clock = asyncio.get_running_loop().time
    deadline = clock() + wait_s
    while missing := await pool.fetchval(_MISSING, list(wanted), list(wanted.values())):
        if clock() >= deadline:
            raise NotYetKnown("it is recorded, but not known here yet", field="Openitem-After", missing=missing)
        await asyncio.sleep(ARRIVAL_POLL_S)


_MISSING: Final = """
SELECT count(*) FROM unnest($1::text[], $2::int[]) AS w(stream, version)
WHERE NOT EXISTS (SELECT FROM consumer_stream c WHERE c.stream = w.stream AND c.version >= w.version)
  AND NOT EXISTS (SELECT FROM streams s WHERE s.stream = w.stream AND s.version >= w.version)
  AND NOT EXISTS (SELECT FROM parked p WHERE p.stream = w.stream AND p.stream_version >= w.version)
"""
