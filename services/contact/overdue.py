"""Promises whose day and grace have passed: found by a timer, broken by whichever worker gets the signal."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from services.contact.domain.promise import BreakOverdue
from services.contact.handlers import handle
from services.kernel.delivery import Running, Signal
from services.kernel.meta import ALL, EVERY_BRANCH, Cause, Meta
from services.kernel.store import Conn

ACTOR: Final = "contact.timer"
SIGNAL: Final = "promise_overdue"
EVERY_S: Final = 60.0
BATCH_MAX: Final = 1_000  # The rest waits for the next minute: nobody is in a hurry to learn of a broken promise.
# The earth's westernmost day ends twelve hours after that of UTC. A branch's own midnight is not asked for: a promise
# is broken when its last day has ended everywhere, and never while somebody could still call it today.
_WESTERNMOST: Final = timedelta(hours=12)
# A history is imported in pieces: what was paid on a promise of last year may arrive some minutes after it.
_SETTLES_IN: Final = timedelta(minutes=15)


def day_everywhere(now: datetime) -> date:
    """The latest day that has begun everywhere on earth."""
    return (now.astimezone(UTC) - _WESTERNMOST).date()


async def find_overdue(running: Running) -> None:
    """One signal per promise. Told twice or never, no harm is done: the row stays until the promise has ended. So no
    lock keeps the workers of this service from looking at once.
    """
    now = datetime.now(UTC)
    today = day_everywhere(now)
    async with running.store.pool.acquire() as conn, conn.transaction():
        promise_ids = await overdue(conn, today, now - _SETTLES_IN)
    for promise_id in promise_ids:
        await running.signal(Signal(SIGNAL, str(promise_id), {"today": today.isoformat()}))


async def overdue(conn: Conn, today: date, recorded_before: datetime) -> list[UUID]:
    """Open promises whose last day is before `today`, the longest overdue first."""
    await conn.execute("SELECT set_config('openitem.branches', $1, true)", ALL)
    rows = await conn.fetch(_OVERDUE, today, recorded_before, BATCH_MAX)
    return [row["promise_id"] for row in rows]


async def break_overdue(running: Running, signal: Signal) -> None:
    """Look at one promise again, on the day the signal names, and break it if it is still open."""
    promise_id, today = UUID(signal.key), date.fromisoformat(signal.body["today"])
    meta = Meta(actor=ACTOR, cause=Cause(f"{SIGNAL}-{promise_id}"), branches=EVERY_BRANCH)
    await handle(running.store, meta, BreakOverdue(promise_id=promise_id, today=today))


_OVERDUE: Final = """
SELECT promise_id FROM promise_by_item
WHERE status = 'open' AND due_on < $1 AND recorded_at < $2
GROUP BY promise_id ORDER BY min(due_on), promise_id LIMIT $3
"""
