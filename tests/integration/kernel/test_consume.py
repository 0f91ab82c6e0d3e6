"""Is every fact applied exactly once, in order, whatever Kafka, Postgres and other workers do?"""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition

from events.topics import topic_of
from services.kernel import apply as applying
from services.kernel.consume import Consumer
from services.kernel.errors import VersionConflict
from services.kernel.position import Lost, Move, Spot, claim, load
from services.kernel.relay import Relay
from services.kernel.settings import Settings
from services.kernel.sift import Reading
from services.kernel.store import Store
from tests.support.facts import Record, record, send, sent, stream_of, topic_records
from tests.support.flow import CONSUMER, Notes, applied, consumer, noted, published, running
from tests.support.patience import PATIENCE_S, until


def as_sent(one: Record) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    return one.key, list(one.headers.items()), one.value


async def records_of(settings: Settings) -> list[Record]:
    return await asyncio.to_thread(topic_records, settings.kafka, topic_of("invoice", settings.topic_prefix))


async def test_facts_arrive_once_and_in_order(settings: Settings, store: Store) -> None:
    accounts = [uuid4() for _ in range(40)]
    async with running(Relay(settings), consumer(settings, store, Notes())):
        for first in (1, 4, 7):
            for account in accounts:
                await record(store, account, first, 3)
        for account in accounts:
            await applied(store, account, 9)
    assert await noted(store) == {stream_of(account): list(range(1, 10)) for account in accounts}


async def test_a_record_that_is_delivered_again_is_left_out(settings: Settings, store: Store) -> None:
    first, last = uuid4(), uuid4()
    async with running(Relay(settings), consumer(settings, store, Notes())):
        await record(store, first, 1, 3)
        await applied(store, first, 3)
        again = [as_sent(one) for one in await records_of(settings)]
        await asyncio.to_thread(send, settings.kafka, topic_of("invoice", settings.topic_prefix), again)
        await record(store, last, 1)
        await applied(store, last, 1)
        await until(lambda: store.pool.fetchval("SELECT sum(next_offset) = 7 FROM consumer_position"))
    assert await noted(store) == {stream_of(first): [1, 2, 3], stream_of(last): [1]}
    assert await store.pool.fetchval("SELECT count(*) FROM parked") == 0


async def test_a_first_fact_that_comes_again_beside_new_ones_is_left_out(settings: Settings, store: Store) -> None:
    """Given a stream that is known, its beginning is in one batch with its next fact and with a new stream."""
    known, new = uuid4(), uuid4()
    topic, notes = topic_of("invoice", settings.topic_prefix), Notes()
    await asyncio.to_thread(send, settings.kafka, topic, [sent(known, 1), sent(known, 2)])
    async with running(consumer(settings, store, notes)):
        await applied(store, known, 2)
    again = [sent(known, 1), sent(known, 2), sent(known, 3), sent(new, 1), sent(new, 1), sent(new, 2)]
    await asyncio.to_thread(send, settings.kafka, topic, again)
    async with running(consumer(settings, store, notes)):
        await applied(store, known, 3)
        await applied(store, new, 2)
    assert await noted(store) == {stream_of(known): [1, 2, 3], stream_of(new): [1, 2]}
    assert await store.pool.fetchval("SELECT count(*) FROM parked") == 0


async def test_a_stream_that_is_not_where_it_was_taken_to_be_is_found_out(settings: Settings, store: Store) -> None:
    """Given three streams that are known, one goes on, of one a fact comes again, and of one a fact is missing."""
    on, again, hole = uuid4(), uuid4(), uuid4()
    topic, notes = topic_of("invoice", settings.topic_prefix), Notes()
    await asyncio.to_thread(
        send, settings.kafka, topic, [sent(each, at) for each in (on, again, hole) for at in (1, 2)]
    )
    async with running(consumer(settings, store, notes)):
        for each in (on, again, hole):
            await applied(store, each, 2)
    later = [sent(on, 3), sent(again, 2), sent(again, 3), sent(hole, 4), sent(hole, 5)]
    await asyncio.to_thread(send, settings.kafka, topic, later)
    async with running(consumer(settings, store, notes)):
        await applied(store, on, 3)
        await applied(store, again, 3)
        await until(lambda: store.pool.fetchval("SELECT count(*) = 2 FROM parked"))
    assert await noted(store) == {stream_of(on): [1, 2, 3], stream_of(again): [1, 2, 3], stream_of(hole): [1, 2]}
    parked = await store.pool.fetch("SELECT stream, stream_version, code FROM parked ORDER BY 2")
    assert [tuple(row) for row in parked] == [
        (stream_of(hole), 4, "fact_hole"),
        (stream_of(hole), 5, "waits_for_earlier"),
    ]


async def test_a_restarted_consumer_goes_on_where_the_effects_end(settings: Settings, store: Store) -> None:
    account = uuid4()
    async with running(Relay(settings)):
        async with running(consumer(settings, store, Notes(by="one"))):
            await record(store, account, 1, 2)
            await applied(store, account, 2)
        await record(store, account, 3, 2)
        async with running(consumer(settings, store, Notes(by="two"))):
            await applied(store, account, 4)
    rows = await store.pool.fetch("SELECT version, by FROM noted ORDER BY n")
    assert [tuple(row) for row in rows] == [(1, "one"), (2, "one"), (3, "two"), (4, "two")]


@pytest.mark.parametrize(
    "error",
    [
        VersionConflict("another was faster"),
        asyncpg.SerializationError("could not serialize"),
        asyncpg.AdminShutdownError("terminating"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        OSError("cannot connect"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_transient_error_rolls_back_and_the_batch_comes_again(
    settings: Settings, store: Store, error: Exception
) -> None:
    account, notes = uuid4(), Notes(fail=error)
    one = consumer(settings, store, notes)
    async with running(Relay(settings), one):
        await record(store, account, 1, 3)

        async def tried_twice() -> bool:
            return len(notes.batches) >= 2

        await until(tried_twice)
        assert await noted(store) == {}
        notes.fail = None
        await applied(store, account, 3)
    assert await noted(store) == {stream_of(account): [1, 2, 3]}


async def test_an_unknown_error_stops_the_consumer_with_nothing_done(settings: Settings, store: Store) -> None:
    account, notes = uuid4(), Notes(fail=KeyError("a bug"))
    one = consumer(settings, store, notes)
    async with running(Relay(settings), one):
        await record(store, account, 1)
        async with asyncio.timeout(PATIENCE_S):
            await one._crashed.wait()
    assert isinstance(one.crash_reason, KeyError)
    assert await noted(store) == {}
    assert await store.pool.fetchval("SELECT sum(next_offset) FROM consumer_position") == 0


async def test_a_worker_that_lost_its_partition_cannot_commit(settings: Settings, store: Store) -> None:
    tp = TopicPartition(topic_of("invoice", settings.topic_prefix), 0)
    async with store.pool.acquire() as conn:
        await load(conn, CONSUMER, [tp], {})
        zombie, heir = Move(tp, Spot(0, 0), 5, None), Move(tp, Spot(0, 0), 3, None)
        await claim(conn, CONSUMER, [heir])
        with pytest.raises(Lost):
            await applying.apply(conn, CONSUMER, Notes(), Reading([], [zombie]))
    assert await store.pool.fetchval("SELECT next_offset FROM consumer_position") == 3


async def test_a_position_that_was_moved_elsewhere_is_read_again(settings: Settings, store: Store) -> None:
    account, notes = uuid4(), Notes(held=asyncio.Event())
    one = consumer(settings, store, notes)
    async with running(Relay(settings), one):
        await record(store, account, 1, 2)
        await applied_or_held(notes)
        # The handler is in the middle of its transaction; its rows are locked, so whoever takes over waits for it.
        other = await asyncpg.connect(settings.database_url)
        taken = asyncio.create_task(other.execute("UPDATE consumer_position SET last_seq = last_seq + 1"))
        await asyncio.sleep(0.2)
        assert not taken.done()
        assert notes.held is not None
        notes.held.set()
        await taken
        await record(store, account, 3)
        await applied(store, account, 3)
        await other.close()
    assert await noted(store) == {stream_of(account): [1, 2, 3]}


async def applied_or_held(notes: Notes) -> None:
    async def begun() -> bool:
        return bool(notes.batches)

    await until(begun)


async def test_what_the_server_forgot_is_applied_again_although_nothing_new_comes(
    settings: Settings, store: Store
) -> None:
    """A commit that did not wait for the disk, and a server that was killed: the effect and the position are gone."""
    account = uuid4()
    owner = await asyncpg.connect(settings.database_url)
    notes = Notes()
    async with running(Relay(settings), consumer(settings, store, notes)):
        await record(store, account, 1, 2)
        await applied(store, account, 2)
        before = await owner.fetch("SELECT * FROM consumer_position")
        await record(store, account, 3, 2)
        await applied(store, account, 4)
        async with owner.transaction():
            await owner.executemany(
                "UPDATE consumer_position SET next_offset = $4, last_seq = $5"
                " WHERE consumer = $1 AND topic = $2 AND partition = $3",
                [(r["consumer"], r["topic"], r["partition"], r["next_offset"], r["last_seq"]) for r in before],
            )
            await owner.execute("UPDATE consumer_stream SET version = 2")
            await owner.execute("DELETE FROM noted WHERE version > 2")
        await applied(store, account, 4)
    await owner.close()
    assert await noted(store) == {stream_of(account): [1, 2, 3, 4]}


async def test_two_workers_share_the_partitions_and_apply_everything_once(settings: Settings, store: Store) -> None:
    accounts = [uuid4() for _ in range(60)]
    first, second = consumer(settings, store, Notes(by="one")), consumer(settings, store, Notes(by="two"))
    async with running(Relay(settings), first):
        for account in accounts:
            await record(store, account, 1)
        async with running(second):
            await until(lambda: both(first, second))
            for version in (2, 3, 4):
                for account in accounts:
                    await record(store, account, version)
                await asyncio.sleep(0.3)
            for account in accounts:
                await applied(store, account, 4)
        for account in accounts:
            await record(store, account, 5)
        for account in accounts:
            await applied(store, account, 5)
    assert await noted(store) == {stream_of(account): [1, 2, 3, 4, 5] for account in accounts}
    assert await store.pool.fetchval("SELECT count(DISTINCT by) FROM noted") == 2
    assert await store.pool.fetchval("SELECT count(*) FROM parked") == 0


async def both(*workers: Consumer) -> bool:
    """Every worker has some of the partitions, and goes on in them."""
    return all(worker.ready and worker._spots for worker in workers)


async def test_freshness_tells_facts_and_seconds_behind_and_falls_to_nothing(settings: Settings, store: Store) -> None:
    account, notes = uuid4(), Notes()
    freshness = "SELECT facts_behind, seconds_behind, seen_at > now() - interval '5 s' AS fresh FROM consumer_freshness"
    async with running(Relay(settings), consumer(settings, store, notes)):
        await record(store, account, 1, 3)
        await applied(store, account, 3)
        await until(lambda: store.pool.fetchval(f"SELECT facts_behind = 0 AND fresh FROM ({freshness})"))
        notes.fail = OSError("away")
        await record(store, account, 4, 2)
        await published(store, 5)
        await until(lambda: store.pool.fetchval(f"SELECT facts_behind = 2 AND seconds_behind > 0.5 FROM ({freshness})"))
        notes.fail = None
        await applied(store, account, 5)
        await until(lambda: store.pool.fetchval(f"SELECT facts_behind = 0 AND seconds_behind = 0 FROM ({freshness})"))
