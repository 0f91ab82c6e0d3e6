"""Try parked facts again, in order, and tell what a fact is at fault for when it cannot be applied."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import asyncpg
import msgspec

from events.codec import decode, envelope_of
from events.registry import Unreadable
from services.kernel import parking
from services.kernel.delivery import ConsumerSpec, Delivered
from services.kernel.errors import Refused
from services.kernel.sift import HOLE
from services.kernel.store import Arriving, Conn

# What may be about to arrive is looked for again by itself: after 1 s, 2 s, 4 s, …, then every minute.
_AGAIN_S_MAX: Final = 60
UNSTORABLE: Final = "fact_unstorable"


class Fault(msgspec.Struct, frozen=True):
    """Why a fact cannot be applied. `arriving`: what it needs may be about to be made known."""

    code: str
    reason: str
    arriving: bool = False


class Retried(msgspec.Struct, frozen=True):
    """What a retry came to: facts brought home, facts that still wait, and why the first of those does."""

    stream: str
    applied: int
    waiting: int
    code: str | None = None
    reason: str | None = None


async def retry(conn: Conn, spec: ConsumerSpec, stream: str) -> Retried:
    """Apply what is parked of a stream, in order, until something still cannot be.

    Errors   transient ones, with nothing done.
    Holds    the position's row is locked: the live worker applies nothing of this partition meanwhile.
    """
    consumer = spec.name
    async with conn.transaction():
        await parking.lock(conn, consumer, stream)
        rows = await conn.fetch(parking.PARKED, consumer, stream)
        version = await conn.fetchval(parking.VERSION, consumer, stream) or 0
        applied, why = 0, None
        done: list[int] = []
        for row in rows:
            if row["stream_version"] > version:
                why = await _apply_one(conn, spec, row, due=version + 1)
                if why is not None:
                    break
                version = row["stream_version"]
                applied += 1
            done.append(row["parked_id"])
        if done:
            await conn.execute("DELETE FROM parked WHERE parked_id = ANY ($1::bigint[])", done)
        if applied:
            await conn.execute(parking.ADVANCE, consumer, stream, version)
        if why is None:
            return Retried(stream, applied, 0)
        again = timedelta(seconds=min(_AGAIN_S_MAX, 2 ** min(rows[len(done)]["attempts"], 10)))
        await conn.execute(_STILL, rows[len(done)]["parked_id"], why.code, why.reason, again if why.arriving else None)
        return Retried(stream, applied, len(rows) - len(done), why.code, why.reason)


def fault_of(error: Exception) -> Fault | None:
    """What is wrong with the fact whose handler raised `error`; None where it is not the fact that is at fault.

    That Postgres cannot store what a fact says (out of range, a constraint) is the fact's fault: stopping would stop
    every other stream too, and start again at the same fact.
    """
    match error:
        case Refused():
            return Fault(error.code, error.message, isinstance(error, Arriving))
        case asyncpg.DataError() | asyncpg.IntegrityConstraintViolationError():
            return Fault(UNSTORABLE, str(error))
        case asyncpg.InterfaceError() if isinstance(error, ValueError):  # asyncpg's own check of what it is given.
            return Fault(UNSTORABLE, str(error))
        case _:
            return None


async def _apply_one(conn: Conn, spec: ConsumerSpec, row: asyncpg.Record, *, due: int) -> Fault | None:
    """Apply one parked record in a savepoint; answers why that could not be done."""
    if row["stream_version"] > due:
        return Fault(HOLE, f"version {due} did not come")
    try:
        envelope = envelope_of(parking.headers_of_json(row["headers"]))
        if envelope.type in spec.ignored:
            return None
        fact = Delivered(envelope, decode(envelope.type, row["value"]))
    except Unreadable as error:
        return Fault(error.code, str(error))
    try:
        async with conn.transaction():
            await spec.handler(conn, [fact])
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
        return fault
    return None


_STILL: Final = """
UPDATE parked SET code = $2, reason = $3, retry_at = clock_timestamp() + $4::interval WHERE parked_id = $1
"""
