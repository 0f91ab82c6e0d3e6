"""Facts that a consumer has no use for: it never sees them, whatever they hold, and their streams go on behind them."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from events.topics import topic_of
from services.kernel.consume import Consumer
from services.kernel.delivery import ConsumerSpec
from services.kernel.parking import ask_retry
from services.kernel.settings import Settings
from services.kernel.store import Store
from tests.support.facts import Sent, send, sent, stream_of
from tests.support.flow import CONSUMER, Notes, applied, noted, running
from tests.support.patience import until

CHANGED = "openitem.invoice.account_changed.v1"  # What every fact of an account but the first is.


def ignoring(settings: Settings, store: Store, notes: Notes) -> Consumer:
    return Consumer(settings, ConsumerSpec(CONSUMER, ["invoice"], notes, ignored=frozenset({CHANGED})), store.pool)


def empty(account: UUID, version: int) -> Sent:
    """A fact whose data nobody could read."""
    key, headers, _ = sent(account, version)
    return key, headers, b"{}"


async def put(settings: Settings, *records: Sent) -> None:
    await asyncio.to_thread(send, settings.kafka, topic_of("invoice", settings.topic_prefix), list(records))


async def parked_as(store: Store, *codes: str) -> None:
    query = "SELECT array_agg(code ORDER BY stream_version) = $1 FROM parked"
    await until(lambda: store.pool.fetchval(query, list(codes)))


async def test_they_are_counted_in_their_stream_and_not_looked_at(settings: Settings, store: Store) -> None:
    account, notes = uuid4(), Notes()
    await put(settings, sent(account, 1), empty(account, 2), empty(account, 3))
    async with running(ignoring(settings, store, notes)):
        await applied(store, account, 3)
        await put(settings, empty(account, 4))
        await applied(store, account, 4)
    assert notes.batches[-1] == 0, "the handler takes part in every commit"
    assert await noted(store) == {stream_of(account): [1]}
    assert await store.pool.fetchval("SELECT count(*) FROM parked") == 0


async def test_they_wait_behind_a_fact_that_is_parked_and_come_home_with_it(settings: Settings, store: Store) -> None:
    account, notes = uuid4(), Notes()
    await put(settings, sent(account, 1, name="refuse me"), empty(account, 2))
    async with running(ignoring(settings, store, notes)):
        await parked_as(store, "disliked", "waits_for_earlier")
        notes.refuse = "nothing"
        async with store.pool.acquire() as conn:
            await ask_retry(conn, CONSUMER, stream_of(account))
        await applied(store, account, 2)
        await until(lambda: store.pool.fetchval("SELECT NOT EXISTS (SELECT FROM parked)"))
    assert await noted(store) == {stream_of(account): [1]}


async def test_a_version_that_is_not_known_is_parked_all_the_same(settings: Settings, store: Store) -> None:
    account = uuid4()
    await put(settings, sent(account, 1), sent(account, 2, type=b"openitem.invoice.account_changed.v9"))
    async with running(ignoring(settings, store, Notes())):
        await parked_as(store, "fact_unknown_version")
    assert await noted(store) == {stream_of(account): [1]}
