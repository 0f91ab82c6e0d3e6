"""Promises past their day: the timer finds them, a signal is sent for each, and whoever gets it breaks them once."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from services.contact.overdue import SIGNAL, break_overdue, day_everywhere, find_overdue, overdue
from services.kernel.delivery import Running, Signal
from tests.integration.contact.conftest import A, Topics, applied, make, received, seen
from tests.support.front_door import FrontDoor

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Post:
    """A worker's surroundings, with the signals it sent."""

    def __init__(self, door: FrontDoor) -> None:
        self.sent: list[Signal] = []
        self.running = Running(door.app.state.settings, door.store, self._send)

    async def _send(self, signal: Signal) -> None:
        self.sent.append(signal)


async def recorded_at(database: str, moment: datetime) -> None:
    """As if everything had been put on record then."""
    conn = await asyncpg.connect(database)
    await conn.execute("UPDATE promise_by_item SET recorded_at = $1", moment)
    await conn.close()


async def test_a_promise_past_its_grace_is_found_and_broken_once_however_often_it_is_signalled(
    door: FrontDoor, database: str
) -> None:
    promise_id, post = await make(door), Post(door)
    await recorded_at(database, LONG_AGO)
    await find_overdue(post.running)
    [signal] = post.sent
    assert (signal.kind, signal.key) == (SIGNAL, promise_id)
    for _ in range(2):
        await break_overdue(post.running, signal)
    assert await seen(door, promise_id) == ("broken", "0.00", "2026-03-17", "not_paid")
    assert len(await door.facts()) == 2
    post.sent.clear()
    await find_overdue(post.running)
    assert post.sent == []


async def test_a_lost_signal_is_sent_again(door: FrontDoor, database: str) -> None:
    await make(door)
    await recorded_at(database, LONG_AGO)
    post = Post(door)
    await find_overdue(post.running)
    await find_overdue(post.running)
    assert len(post.sent) == 2


async def test_a_signal_that_comes_after_the_promise_was_kept_does_nothing(
    door: FrontDoor, topics: Topics, database: str
) -> None:
    promise_id, post = await make(door), Post(door)
    await recorded_at(database, LONG_AGO)
    await find_overdue(post.running)
    await topics.deliver(received(), applied({A: 500_00}))
    await break_overdue(post.running, post.sent[0])
    assert (await seen(door, promise_id))[0] == "kept"


async def test_one_just_recorded_waits_for_the_payments_of_its_history(door: FrontDoor) -> None:
    await make(door)
    post = Post(door)
    await find_overdue(post.running)
    assert post.sent == []


async def test_it_is_overdue_from_the_day_after_its_last(door: FrontDoor) -> None:
    promise_id = await make(door)
    later = datetime.now(UTC) + timedelta(hours=1)
    async with door.store.pool.acquire() as conn, conn.transaction():
        assert await overdue(conn, date(2026, 3, 16), later) == []
        assert await overdue(conn, date(2026, 3, 17), later) == [UUID(promise_id)]


@pytest.mark.parametrize(
    ("now", "today"),
    [("2026-03-17T11:59:59+00:00", date(2026, 3, 16)), ("2026-03-17T12:00:00+00:00", date(2026, 3, 17))],
)
def test_a_day_has_begun_when_it_has_everywhere(now: str, today: date) -> None:
    assert day_everywhere(datetime.fromisoformat(now)) == today
