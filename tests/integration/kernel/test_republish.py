"""Can a Kafka that was lost be filled again from the event store, with consumers none the wiser?"""

from __future__ import annotations

import asyncio
from contextlib import closing
from uuid import UUID, uuid4

from events.topics import topic_of
from services.kernel.relay import Relay
from services.kernel.republish import republish
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.kernel.topics import connect, create_topics
from tests.support.facts import record, stream_of, topic_records
from tests.support.flow import Notes, applied, consumer, noted, published, running
from tests.support.patience import until


def lose(settings: Settings) -> None:
    """Delete the topic and create it anew, empty."""
    topic = topic_of("invoice", settings.topic_prefix)
    with closing(connect(settings.kafka)) as admin:
        admin.delete_topics([topic])
    while not create_topics(settings.kafka, settings.topic_prefix, services=["invoice"]):
        pass


async def test_the_whole_log_is_sent_again_in_order_while_relays_and_writers_run(
    settings: Settings, store: Store
) -> None:
    accounts = [uuid4() for _ in range(10)]
    for account in accounts:
        await record(store, account, 1, 4)
    seen: list[tuple[int, int]] = []
    begun = asyncio.Event()

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        begun.set()

    async with running(Relay(settings), Relay(settings)):
        await published(store, 40)
        await asyncio.to_thread(lose, settings)
        writing = asyncio.create_task(write(store, accounts, 5, begun))
        assert await republish(settings, progress) == 40
        await writing
        await published(store, 60)
    records = await asyncio.to_thread(topic_records, settings.kafka, topic_of("invoice", settings.topic_prefix))
    assert seen[-1] == (40, 40)
    assert {r.seq for r in records} == set(range(1, 61))
    for account in accounts:
        versions = [r.version for r in records if r.stream == stream_of(account)]
        assert list(dict.fromkeys(versions)) == [1, 2, 3, 4, 5, 6]


async def write(store: Store, accounts: list[UUID], first: int, begun: asyncio.Event) -> None:
    await begun.wait()
    for account in accounts:
        for version in (first, first + 1):
            await record(store, account, version)
            await asyncio.sleep(0.02)


async def test_a_consumer_reads_the_new_topic_and_applies_only_what_it_had_not(
    settings: Settings, store: Store
) -> None:
    account, late = uuid4(), uuid4()
    async with running(Relay(settings)):
        async with running(consumer(settings, store, Notes())):
            await record(store, account, 1, 5)
            await applied(store, account, 5)
        await record(store, late, 1, 3)
        await record(store, account, 6)
        await published(store, 9)
        await asyncio.to_thread(lose, settings)
        async with running(consumer(settings, store, Notes())):
            await republish(settings)
            await record(store, account, 7)
            await applied(store, late, 3)
            await applied(store, account, 7)
    assert await noted(store) == {stream_of(account): [1, 2, 3, 4, 5, 6, 7], stream_of(late): [1, 2, 3]}


async def test_a_consumer_that_runs_while_its_topic_is_created_anew_goes_on(settings: Settings, store: Store) -> None:
    account = uuid4()
    one = consumer(settings, store, Notes())
    async with running(Relay(settings), one):
        await record(store, account, 1, 5)
        await applied(store, account, 5)
        await asyncio.to_thread(lose, settings)
        await republish(settings)
        await record(store, account, 6)
        await applied(store, account, 6)
        await until(lambda: store.pool.fetchval("SELECT sum(next_offset) = 6 FROM consumer_position"))
    assert await noted(store) == {stream_of(account): [1, 2, 3, 4, 5, 6]}
    assert await store.pool.fetchval("SELECT count(*) FROM parked") == 0
