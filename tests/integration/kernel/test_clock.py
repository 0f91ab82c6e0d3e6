"""What was known at a moment does not change when the server's clock steps back."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kernel.settings import Settings
from services.kernel.store import Store
from tests.support.facts import record, stream_of

AHEAD = timedelta(hours=1)


async def record_ahead(settings: Settings, account_id: UUID, store: Store) -> datetime:
    """Record a fact while the clock is an hour ahead; it is set right afterwards."""
    await record(store, account_id, 1)
    owner = await asyncpg.connect(settings.database_url)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_are_final")
    moment: datetime = await owner.fetchval(
        "UPDATE events SET recorded_at = recorded_at + $1 WHERE stream = $2 RETURNING recorded_at",
        AHEAD,
        stream_of(account_id),
    )
    await owner.execute("ALTER TABLE events ENABLE TRIGGER events_are_final")
    await owner.close()
    return moment


async def recorded(store: Store, account_id: UUID) -> list[datetime]:
    rows = await store.pool.fetch(
        "SELECT recorded_at FROM events WHERE stream = $1 ORDER BY stream_version", stream_of(account_id)
    )
    return [row["recorded_at"] for row in rows]


async def test_a_clock_that_steps_back_takes_no_fact_back_with_it(settings: Settings, store: Store) -> None:
    account, other = uuid4(), uuid4()
    moment = await record_ahead(settings, account, store)
    await record(store, account, 2, 3)
    await record(store, other, 1, 2)
    assert await recorded(store, account) == [moment] * 4
    assert await recorded(store, other) == [moment] * 2


async def test_a_stream_stays_in_order_when_a_newer_fact_did_not_see_its_last(settings: Settings, store: Store) -> None:
    account, other = uuid4(), uuid4()
    moment = await record_ahead(settings, account, store)
    owner = await asyncpg.connect(settings.database_url)
    # As a transaction leaves it that ran beside the one ahead: a higher position, an earlier time.
    await owner.execute("INSERT INTO streams VALUES ($1, 1)", stream_of(other))
    await owner.execute(
        "INSERT INTO events (stream, stream_version, type, branch, effective_on, data, actor, correlation_id)"
        " SELECT $2, 1, type, branch, effective_on, data, actor, correlation_id FROM events WHERE stream = $1",
        stream_of(account),
        stream_of(other),
    )
    await owner.close()
    assert (await recorded(store, other))[0] < moment
    await record(store, account, 2)
    assert await recorded(store, account) == [moment] * 2


async def test_time_goes_on_for_a_caller_who_sees_one_branch_only(settings: Settings, store: Store) -> None:
    """What he may not see still counts: reports over all branches are asked about the same moments."""
    moment = await record_ahead(settings, uuid4(), store)
    async with store.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('openitem.branches', 'B77', true)")
        assert await conn.fetchval("SELECT count(*) FROM events") == 0
        assert await conn.fetchval("SELECT last_recorded_at()") == moment


@pytest.mark.parametrize("writers", [12])
async def test_times_follow_versions_whoever_writes(store: Store, writers: int) -> None:
    accounts = [uuid4() for _ in range(writers)]
    for version in range(1, 6):
        await asyncio.gather(*(record(store, account, version) for account in accounts))
    for account in accounts:
        times = await recorded(store, account)
        assert times == sorted(times)
