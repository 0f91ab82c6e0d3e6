"""Another number of partitions would move streams, and their order with them: nobody starts on such a topic."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from services.kernel.settings import Settings
from services.kernel.store import Store
from services.kernel.topics import TopicPartitions, connect, create_topics, describe
from tests.support.facts import facts_topic
from tests.support.flow import Notes, consumer, running
from tests.support.patience import PATIENCE_S, wait_until

MORE = 24


@pytest.fixture
def widened(settings: Settings) -> Settings:
    """The topic after somebody gave it more partitions."""
    with closing(connect(settings.kafka)) as admin:
        topic = facts_topic("invoice", settings.topic_prefix)
        admin.create_partitions({topic: MORE})
        # The broker answers before it knows itself.
        wait_until(lambda: describe(settings.kafka, [topic])[0].partitions == MORE)
    return settings


async def test_a_consumer_stops_with_a_clear_error(widened: Settings, store: Store) -> None:
    one = consumer(widened, store, Notes())
    async with running(one), asyncio.timeout(PATIENCE_S):
        await one._crashed.wait()
    assert isinstance(one.crash_reason, TopicPartitions)
    assert f"has {MORE} partitions and must have 12" in str(one.crash_reason)
    assert await store.pool.fetchval("SELECT count(*) FROM consumer_position WHERE next_offset > 0") == 0


async def test_the_preparing_job_names_it_too(widened: Settings) -> None:
    with pytest.raises(TopicPartitions, match=f"has {MORE} partitions and must have 12"):
        await asyncio.to_thread(create_topics, widened.kafka, widened.topic_prefix, services=["invoice"])
