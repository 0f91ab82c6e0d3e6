"""Does the relay publish everything that was recorded, in order, whatever happens to it?"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest

from events.topics import topic_of
from services.kernel.relay import Relay
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.kernel.topics import create_topics
from tests.support.facts import (
    Record,
    account_fact,
    append,
    settings_of,
    store_of,
    stream_of,
    topic_records,
)

MakeDatabase = Callable[[str], Awaitable[str]]


@pytest.fixture
async def settings(make_database: MakeDatabase, kafka_bootstrap: str, topic_prefix: str) -> Settings:
    await asyncio.to_thread(create_topics, kafka_bootstrap, topic_prefix, services=["invoice"])
    return settings_of("invoice", await make_database("invoice"), kafka_bootstrap, topic_prefix)


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()


async def published(store: Store, seq: int, within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        while await store.pool.fetchval("SELECT seq_acknowledged FROM relay") < seq:
            await asyncio.sleep(0.02)


def by_stream(records: list[Record]) -> dict[str, list[int]]:
    versions: dict[str, list[int]] = defaultdict(list)
    for each in records:
        versions[each.stream].append(each.version)
    return versions


async def test_what_24_writers_commit_is_published_once_in_order_with_a_dense_seq(settings: Settings) -> None:
    hot = [uuid4() for _ in range(3)]
    committed: dict[UUID, int] = defaultdict(int)
    chance = random.Random(7)

    class Undone(Exception):
        pass

    async def write(store: Store) -> None:
        for _ in range(15):
            account = chance.choice(hot) if chance.random() < 0.5 else uuid4()
            slow, undo = chance.random() < 0.2, chance.random() < 0.2

            async def pause(slow: bool = slow, undo: bool = undo) -> None:
                if slow:
                    await asyncio.sleep(chance.uniform(0.01, 0.15))
                if undo:
                    raise Undone

            known = await store.pool.fetchval("SELECT version FROM streams WHERE stream = $1", stream_of(account)) or 0
            facts = [account_fact(account, known + 1), account_fact(account, known + 2)]
            try:
                await append(store, {stream_of(account): (known, facts)}, pause)
                committed[account] = max(committed[account], known + 2)
            except Exception:
                pass

    async with store_of(settings.database_url, size_max=25) as store, running(Relay(settings, wave_max=7)):
        await asyncio.gather(*(write(store) for _ in range(24)))
        total = await store.pool.fetchval("SELECT count(*) FROM events")
        await published(store, total)
    records = await asyncio.to_thread(topic_records, settings.kafka, topic_of("invoice", settings.topic_prefix))
    assert sorted(r.seq for r in records) == list(range(1, total + 1))
    assert by_stream(records) == {stream_of(a): list(range(1, v + 1)) for a, v in committed.items() if v}
