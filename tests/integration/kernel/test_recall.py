"""Is an event store brought up to its topic exactly, and left alone where the two cannot be one?"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import msgspec
import pytest

from events import codec
from events.envelope import Fact
from events.topics import topic_of
from services.kernel.outbox import open_outbox
from services.kernel.recall import FactsMissing, Forked, Recalled, TopicLost, recall
from services.kernel.relay import Relay
from services.kernel.settings import Settings
from services.kernel.store import Conn, Store
from tests.support.facts import record, send, sent, stream_of, topic_records
from tests.support.flow import published, running


async def recalled(settings: Settings, **options: Any) -> Recalled:
    conn = await asyncpg.connect(settings.database_url)
    try:
        return await recall(conn, settings.service, settings.kafka, settings.topic_prefix, **options)
    finally:
        await conn.close()


async def put(settings: Settings, *records: tuple[UUID, int, int]) -> None:
    """Into the topic: facts that the store has not, as account, version and sequence."""
    topic = topic_of("invoice", settings.topic_prefix)
    said = [sent(account, version, sequence=b"%d" % seq) for account, version, seq in records]
    await asyncio.to_thread(send, settings.kafka, topic, said)


async def put_own(settings: Settings, store: Store, account: UUID, version: int, seq: int) -> None:
    """Into the topic: a fact that the store has, under a sequence that it did not give yet."""
    event_id = await store.pool.fetchval(
        "SELECT event_id FROM events WHERE stream = $1 AND stream_version = $2", stream_of(account), version
    )
    topic = topic_of("invoice", settings.topic_prefix)
    own = sent(account, version, sequence=b"%d" % seq, id=str(event_id).encode())
    await asyncio.to_thread(send, settings.kafka, topic, [own])


async def number(settings: Settings, count: int) -> None:
    """Give facts of the outbox their sequence, as a relay does that dies before it sends them."""
    async with open_outbox(settings.database_url) as outbox:
        assert len(await outbox.take(count)) == count


async def test_facts_come_back_under_their_ids_versions_and_sequence(settings: Settings, store: Store) -> None:
    known, new = uuid4(), uuid4()
    await record(store, known, 1, 2)
    await number(settings, 1)
    # Since the backup: what it had queued was published, then more was recorded, and a resend left some twice.
    await put_own(settings, store, known, 1, 1)
    await put_own(settings, store, known, 2, 2)
    await put(settings, (new, 1, 3), (known, 3, 4), (new, 1, 3), (new, 2, 5), (known, 3, 4))
    indexed: list[Fact] = []

    async def index(_: Conn, facts: Any) -> None:
        indexed.extend(facts)

    came = await recalled(settings, index=index)
    assert (came.facts, came.queued, came.seq, came.missing, came.unpublished) == (3, 1, 5, [], 0)
    rows = await store.pool.fetch(
        "SELECT seq, event_id, type, data::text FROM published JOIN events USING (position) ORDER BY seq"
    )
    assert [row["seq"] for row in rows] == [1, 2, 3, 4, 5]
    assert [row["event_id"] for row in rows[2:]] == [uuid5(new, "1"), uuid5(known, "3"), uuid5(new, "2")]
    assert [
        codec.decode(codec.wire_of(fact), row["data"]) for fact, row in zip(indexed, rows[2:], strict=True)
    ] == indexed
    assert dict(await store.pool.fetch("SELECT * FROM streams")) == {stream_of(known): 3, stream_of(new): 2}
    # The relay and the writers go on above.
    await record(store, known, 4)
    async with running(Relay(settings)):
        await published(store, 6)
    topic = await asyncio.to_thread(topic_records, settings.kafka, topic_of("invoice", settings.topic_prefix))
    assert {(r.stream, r.version) for r in topic if r.seq == 6} == {(stream_of(known), 4)}
    again = await recalled(settings)
    assert msgspec.structs.replace(again, seq=0) == Recalled(missing=[])


async def test_what_was_numbered_and_never_arrived_is_sent_by_the_relay(settings: Settings, store: Store) -> None:
    account = uuid4()
    await record(store, account, 1, 3)
    await number(settings, 3)
    await put_own(settings, store, account, 1, 1)
    assert (await recalled(settings)).unpublished == 0
    async with running(Relay(settings)):
        await published(store, 3)
    topic = await asyncio.to_thread(topic_records, settings.kafka, topic_of("invoice", settings.topic_prefix))
    assert [(r.seq, r.version) for r in topic] == [(1, 1), (2, 2), (3, 3)]


async def test_a_topic_that_lost_what_it_had_wants_to_be_published_again(settings: Settings, store: Store) -> None:
    account = uuid4()
    await record(store, account, 1, 3)
    await number(settings, 3)
    await store.pool.execute("UPDATE relay SET seq_acknowledged = 3")
    with pytest.raises(TopicLost, match="is empty, and 3 facts had been published"):
        await recalled(settings)
    assert (await recalled(settings, kafka_lost=True)).unpublished == 3
    await put_own(settings, store, account, 1, 1)
    assert (await recalled(settings)).unpublished == 2


async def test_another_fact_under_a_number_of_the_store_is_a_fork(settings: Settings, store: Store) -> None:
    account = uuid4()
    await record(store, account, 1, 2)
    await number(settings, 2)
    await put(settings, (uuid4(), 1, 1), (uuid4(), 1, 2))
    with pytest.raises(Forked, match="another fact under a sequence number of the store"):
        await recalled(settings)


async def test_another_fact_at_a_version_of_the_store_is_a_fork(settings: Settings, store: Store) -> None:
    account = uuid4()
    await record(store, account, 1)
    await put(settings, (account, 1, 1))
    with pytest.raises(Forked, match="at a version that the store has"):
        await recalled(settings)
    assert await store.pool.fetchval("SELECT count(*) FROM events") == 1


async def test_facts_that_nobody_has_are_named_and_given_up_only_when_told_to(settings: Settings, store: Store) -> None:
    one, other = uuid4(), uuid4()
    await put(settings, (one, 1, 1), (other, 1, 4))
    with pytest.raises(FactsMissing, match=r"2 facts .* sequence \[2, 3\]"):
        await recalled(settings)
    assert await store.pool.fetchval("SELECT count(*) FROM events") == 0
    came = await recalled(settings, accept_loss=True)
    assert (came.facts, came.missing, came.seq) == (2, [2, 3], 4)


async def test_a_stream_with_a_hole_is_not_put_together(settings: Settings, store: Store) -> None:
    account = uuid4()
    await put(settings, (account, 1, 1), (account, 3, 2))
    with pytest.raises(FactsMissing, match=f"{stream_of(account)}@3"):
        await recalled(settings, accept_loss=True)


async def test_records_that_are_none_of_ours_are_counted(settings: Settings, store: Store) -> None:
    topic = topic_of("invoice", settings.topic_prefix)
    await asyncio.to_thread(send, settings.kafka, topic, [(b"key", [], b"{}")])
    await put(settings, (uuid4(), 1, 1))
    assert (await recalled(settings)).unreadable == 1
