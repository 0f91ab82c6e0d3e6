"""Does the relay publish everything that was recorded, in order, whatever happens to it?"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import closing
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka.partitioner import DefaultPartitioner

from events.topics import PARTITIONS, partition_of, topic_of
from services.kernel.errors import VersionConflict
from services.kernel.outbox import open_outbox
from services.kernel.publish import Publisher
from services.kernel.relay import Relay
from services.kernel.settings import Settings
from services.kernel.store import FactTooLarge, Store
from services.kernel.topics import TopicPartitions, connect, create_topics
from services.kernel.transient import TRANSIENT
from tests.support.facts import Record, account_fact, append, record, stream_of, topic_records
from tests.support.flow import published, running
from tests.support.patience import PATIENCE_S, until

BIG = 850_000


async def records_of(settings: Settings) -> list[Record]:
    return await asyncio.to_thread(topic_records, settings.kafka, topic_of("invoice", settings.topic_prefix))


def by_stream(records: list[Record]) -> dict[str, list[int]]:
    versions: dict[str, list[int]] = defaultdict(list)
    for each in records:
        versions[each.stream].append(each.version)
    return versions


async def test_what_24_writers_commit_is_published_once_in_order_with_a_dense_seq(
    settings: Settings, store: Store
) -> None:
    hot = [uuid4() for _ in range(3)]
    committed: dict[UUID, int] = {}
    chance = random.Random(7)

    class UndoneError(Exception):
        pass

    async def write() -> None:
        for _ in range(15):
            account = chance.choice(hot) if chance.random() < 0.5 else uuid4()
            delay_s, undo = chance.choice([0, 0, 0, 0.02, 0.15]), chance.random() < 0.2

            async def pause(delay_s: float = delay_s, undo: bool = undo) -> None:
                await asyncio.sleep(delay_s)
                if undo:
                    raise UndoneError

            known = await store.pool.fetchval("SELECT version FROM streams WHERE stream = $1", stream_of(account)) or 0
            facts = [account_fact(account, known + 1), account_fact(account, known + 2)]
            try:
                await append(store, {stream_of(account): (known, facts)}, pause)
            except (UndoneError, VersionConflict, asyncpg.DeadlockDetectedError):
                continue
            committed[account] = max(committed.get(account, 0), known + 2)

    async with running(Relay(settings, wave_max=7)):
        await asyncio.gather(*(write() for _ in range(24)))
        total = await store.pool.fetchval("SELECT count(*) FROM events")
        await published(store, total)
    records = await records_of(settings)
    assert sorted(r.seq for r in records) == list(range(1, total + 1))
    assert by_stream(records) == {stream_of(a): list(range(1, v + 1)) for a, v in committed.items()}


async def test_records_lie_where_every_client_would_put_them_with_the_time_of_their_fact(
    settings: Settings, store: Store
) -> None:
    for _ in range(20):
        await record(store, uuid4(), 1)
    async with running(Relay(settings)):
        await published(store, 20)
    theirs = DefaultPartitioner()
    times = dict(await store.pool.fetch("SELECT stream, recorded_at FROM events"))
    for each in await records_of(settings):
        assert each.key.decode() == each.stream
        assert each.partition == theirs(each.key, list(range(PARTITIONS)), []) == partition_of(each.key)
        assert each.timestamp == int(times[each.stream].timestamp() * 1000)


async def test_what_was_taken_and_not_sent_is_sent_with_the_same_seq(settings: Settings, store: Store) -> None:
    account = uuid4()
    await record(store, account, 1, 5)
    async with open_outbox(settings.database_url) as dying:
        assert await dying.try_lead()
        taken = [(row["seq"], row["stream_version"]) for row in await dying.take(3)]
    async with running(Relay(settings)):
        await published(store, 5)
    found = [(r.seq, r.version) for r in await records_of(settings)]
    assert found[:3] == taken
    assert found == [(n, n) for n in range(1, 6)]


async def test_what_was_sent_and_not_acknowledged_is_sent_again_before_anything_new(
    settings: Settings, store: Store
) -> None:
    account = uuid4()
    await record(store, account, 1, 3)
    async with open_outbox(settings.database_url) as dying:
        assert await dying.try_lead()
        publisher = Publisher(settings.kafka, "invoice", topic_of("invoice", settings.topic_prefix))
        await publisher.start()
        await publisher.send(publisher.wave(await dying.take(3)))
        await publisher.abandon()
    await record(store, account, 4)
    async with running(Relay(settings)):
        await published(store, 4)
    records = await records_of(settings)
    assert [r.version for r in records] == [1, 2, 3, 1, 2, 3, 4]
    assert [r.seq for r in records] == [1, 2, 3, 1, 2, 3, 4]
    assert [r.headers["ce_id"] for r in records[:3]] == [r.headers["ce_id"] for r in records[3:6]]


async def test_a_relay_whose_session_ended_can_take_nothing_and_another_leads(settings: Settings, store: Store) -> None:
    account = uuid4()
    await record(store, account, 1, 2)
    async with open_outbox(settings.database_url, name="zombie") as zombie, open_outbox(settings.database_url) as heir:
        assert await zombie.try_lead()
        assert not await heir.try_lead()
        owner = await asyncpg.connect(settings.database_url)
        await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'zombie'")
        await owner.close()
        await until(heir.try_lead)
        # How the driver says that its session is gone depends on when it notices; a relay begins again at all of them.
        with pytest.raises(TRANSIENT):
            await zombie.take(10)
        with pytest.raises(TRANSIENT):
            await zombie.acknowledge(2)
        assert [row["stream_version"] for row in await heir.take(10)] == [1, 2]


async def test_a_standby_takes_over_when_the_leader_loses_its_session(settings: Settings, store: Store) -> None:
    account = uuid4()
    async with running(Relay(settings), Relay(settings)):
        await record(store, account, 1, 3)
        await published(store, 3)
        owner = await asyncpg.connect(settings.database_url)
        leader = (
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted"
            " AND application_name = 'openitem-relay' AND datname = current_database()"
        )
        assert await owner.fetchval(leader)
        await owner.close()
        await record(store, account, 4, 3)
        await published(store, 6)
    assert by_stream(await records_of(settings))[stream_of(account)][-3:] == [4, 5, 6]


async def test_an_oversized_fact_is_refused_and_one_just_below_passes(settings: Settings, store: Store) -> None:
    with pytest.raises(FactTooLarge):
        await append(store, {stream_of(a): (0, [account_fact(a, 1, name="x" * 1_000_000)]) for a in [uuid4()]})
    big = [uuid4() for _ in range(4)]
    for account in big:
        await append(
            store, {stream_of(account): (0, [account_fact(account, 1, name="x" * BIG), account_fact(account, 2)])}
        )
    async with running(Relay(settings)):
        await published(store, 8)
    assert by_stream(await records_of(settings)) == {stream_of(account): [1, 2] for account in big}


async def test_a_topic_with_another_partition_count_stops_the_relay_with_a_clear_error(
    settings: Settings, store: Store
) -> None:
    topic = topic_of("invoice", "narrow" + settings.topic_prefix)

    def make() -> None:
        with closing(connect(settings.kafka)) as admin:
            admin.create_topics({topic: {"num_partitions": 5, "replication_factor": 1}})
            admin.wait_for_topics([topic])

    await asyncio.to_thread(make)
    relay = Relay(settings.model_copy(update={"topic_prefix": "narrow" + settings.topic_prefix}))
    async with running(relay):
        async with asyncio.timeout(PATIENCE_S):
            await relay._crashed.wait()
    assert isinstance(relay.crash_reason, TopicPartitions)
    assert "has 5 partitions and must have 12" in str(relay.crash_reason)


async def test_a_relay_waits_for_a_topic_that_is_yet_to_be_created(settings: Settings, store: Store) -> None:
    later = settings.model_copy(update={"topic_prefix": "later" + settings.topic_prefix})
    await record(store, uuid4(), 1)
    async with running(Relay(later)):
        await asyncio.sleep(0.5)
        await asyncio.to_thread(create_topics, later.kafka, later.topic_prefix, services=["invoice"])
        await published(store, 1)
    assert len(await records_of(later)) == 1


async def test_the_floor_rises_only_over_positions_that_are_surely_gone(settings: Settings, store: Store) -> None:
    slow, go_on = uuid4(), asyncio.Event()
    async with open_outbox(settings.database_url) as outbox:
        assert await outbox.try_lead()

        async def pause() -> None:
            await go_on.wait()

        # Draws position 1 and commits after position 2 was taken.
        writing = asyncio.create_task(append(store, {stream_of(slow): (0, [account_fact(slow, 1)])}, pause))
        owner = await asyncpg.connect(settings.database_url)
        await until(lambda: owner.fetchval("SELECT is_called FROM events_position_seq"))
        await owner.close()
        await record(store, uuid4(), 1)
        assert len(await outbox.take(10)) == 1
        for _ in range(4):
            await outbox.raise_floor()
        assert await outbox.take(10) == []
        go_on.set()
        await writing
        assert [row["stream"] for row in await outbox.take(10)] == [stream_of(slow)]

        async def raised() -> bool:
            await outbox.raise_floor()
            return outbox._floor > 0

        # Not at the first try: a transaction in any database of the server, such as another test's, puts it off.
        await until(raised)
        await record(store, slow, 2)
        assert [row["stream_version"] for row in await outbox.take(10)] == [2]
