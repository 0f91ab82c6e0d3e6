"""A consumer with several lanes: transactions side by side, and still every fact once and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import asyncpg

from events.topics import partition_of
from services.kernel.consume import Consumer
from services.kernel.delivery import ConsumerSpec, Delivered, Handler
from services.kernel.relay import Relay
from services.kernel.settings import Settings
from services.kernel.store import Conn, Store
from tests.support.facts import record, stream_of
from tests.support.flow import CONSUMER, Notes, applied, noted, running
from tests.support.patience import until


def in_lanes(settings: Settings, store: Store, handler: Handler, lanes: int = 2) -> Consumer:
    return Consumer(settings, ConsumerSpec(CONSUMER, ["invoice"], handler, batch_max=20, lanes=lanes), store.pool)


async def trade(store: Store, accounts: list[UUID], *first_versions: int) -> None:
    """Three facts of each account from each of these versions on."""
    for first in first_versions:
        for account in accounts:
            await record(store, account, first, 3)


async def test_lanes_work_at_the_same_time(settings: Settings, store: Store) -> None:
    notes = Notes(held=asyncio.Event())
    accounts = [uuid4() for _ in range(40)]
    async with running(Relay(settings), in_lanes(settings, store, notes)):
        await trade(store, accounts, 1)
        # Neither has committed: the second began while the first was held.
        await until(lambda: two_batches(notes))
        assert notes.held is not None
        notes.held.set()
        for account in accounts:
            await applied(store, account, 3)
    assert await noted(store) == {stream_of(account): [1, 2, 3] for account in accounts}


async def two_batches(notes: Notes) -> bool:
    return len(notes.batches) >= 2


async def test_facts_of_all_lanes_arrive_once_and_in_order(settings: Settings, store: Store) -> None:
    accounts = [uuid4() for _ in range(40)]
    async with running(Relay(settings), in_lanes(settings, store, Notes(), lanes=3)):
        await trade(store, accounts, 1, 4, 7)
        for account in accounts:
            await applied(store, account, 9)
    assert await noted(store) == {stream_of(account): list(range(1, 10)) for account in accounts}


async def test_what_fails_in_one_lane_is_tried_again_and_no_lane_does_a_thing_twice(
    settings: Settings, store: Store
) -> None:
    notes = Notes(fail=asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"))
    accounts = [uuid4() for _ in range(40)]
    one = in_lanes(settings, store, notes)
    async with running(Relay(settings), one):
        await trade(store, accounts, 1)
        await until(lambda: two_batches(notes))
        notes.fail = None
        await trade(store, accounts, 4)
        for account in accounts:
            await applied(store, account, 6)
        await until(lambda: ready(one))
    assert await noted(store) == {stream_of(account): list(range(1, 7)) for account in accounts}


async def ready(one: Consumer) -> bool:
    return one.ready


async def test_a_consumer_with_more_lanes_than_partitions_is_ready_and_applies_everything(
    settings: Settings, store: Store
) -> None:
    account, one = uuid4(), in_lanes(settings, store, Notes(), lanes=50)
    async with running(Relay(settings), one):
        await trade(store, [account], 1)
        await applied(store, account, 3)
        await until(lambda: ready(one))
    assert await noted(store) == {stream_of(account): [1, 2, 3]}


async def test_a_batch_that_takes_long_holds_up_its_own_partitions_alone(settings: Settings, store: Store) -> None:
    """Given two lanes of which one is held, everything else goes through the other, batch after batch."""
    held: set[str] = set()
    release = asyncio.Event()
    notes = Notes()

    async def handler(conn: Conn, batch: Sequence[Delivered]) -> None:
        if not held:
            held.update(known.envelope.stream for known in batch)
            await release.wait()
        await notes(conn, batch)

    accounts = [uuid4() for _ in range(40)]
    async with running(Relay(settings), in_lanes(settings, store, handler)):
        await trade(store, accounts, 1)
        await until(lambda: some(held))
        ours = {partition_of(stream.encode()) for stream in held}
        free = [account for account in accounts if partition_of(stream_of(account).encode()) not in ours]
        behind = next(account for account in accounts if account not in free)
        assert free
        await trade(store, [behind], *range(4, 100, 3))  # More than is read ahead: five batches.
        await trade(store, free, 4)
        for account in free:
            await applied(store, account, 6)
        release.set()
        await applied(store, behind, 99)
        for account in accounts:
            await applied(store, account, 3)
    told = await noted(store)
    assert all(versions == sorted(versions) for versions in told.values())


async def some(held: set[str]) -> bool:
    return bool(held)
