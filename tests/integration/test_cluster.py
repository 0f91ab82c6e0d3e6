"""Three real brokers, every fact on all of them: one is killed, and nobody who enters or asks anything notices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from deploy.embedded import Kafka, Postgres, kafka_cluster
from events.topics import SERVICES, topic_of
from services.kernel.topics import connect, create_topics
from tests.integration.reporting.desk import reporting
from tests.support.patience import until
from tests.support.spine import Spine, create_databases

REPLICAS = 3
pytestmark = pytest.mark.xdist_group("cluster")


@pytest.fixture
def brokers(run_directory: Path) -> Iterator[list[Kafka]]:
    with TemporaryDirectory(dir=run_directory) as mine:
        cluster = kafka_cluster(Path(mine), REPLICAS)
        try:
            for broker in cluster:
                broker.short_lived = True
                broker.launch()
            for broker in cluster:
                broker.wait_ready()
            yield cluster
        finally:
            for broker in cluster:
                broker.kill()


def in_sync(bootstrap: str, topics: list[str]) -> set[int]:
    """How many brokers have all of a partition, over all partitions of these topics."""
    with closing(connect(bootstrap)) as admin:
        described = admin.describe_topics(topics)
        known = all(topic["error_code"] == 0 for topic in described)
        return {len(p["isr_nodes"]) for topic in described for p in topic["partitions"]} if known else {0}


def leaders(bootstrap: str, topic: str) -> list[int]:
    with closing(connect(bootstrap)) as admin:
        [described] = admin.describe_topics([topic])
        return [partition["leader_id"] for partition in described["partitions"]]


def setting(bootstrap: str, topic: str, name: str) -> str:
    admin: KafkaAdminClient
    with closing(connect(bootstrap)) as admin:
        answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
        [by_topic] = answer.values()
        return str(by_topic[topic][name]["value"])


async def test_a_broker_is_killed_and_commands_and_reports_go_on_and_nothing_is_lost(
    brokers: list[Kafka], private_postgres: Postgres, topic_prefix: str, tmp_path: Path
) -> None:
    bootstrap = ",".join(broker.bootstrap for broker in brokers)
    topics = [topic_of(service, topic_prefix) for service in SERVICES]
    await asyncio.to_thread(create_topics, bootstrap, topic_prefix, replication_factor=REPLICAS)
    await create_databases(private_postgres.url)
    spine = Spine(private_postgres.url, bootstrap, topic_prefix)

    async def all_in_sync() -> bool:
        return await asyncio.to_thread(in_sync, bootstrap, topics) == {REPLICAS}

    await until(all_in_sync)
    assert await asyncio.to_thread(setting, bootstrap, topics[0], "min.insync.replicas") == "2"
    async with spine.running(), reporting(spine.urls["projections"], tmp_path) as asked:
        await spine.open_books()
        await spine.trade(2)
        await spine.quiet()

        # The one that leads most, so that most of what is under way is cut off.
        led = [number for topic in topics for number in await asyncio.to_thread(leaders, bootstrap, topic)]
        victim = brokers[max(range(REPLICAS), key=lambda at: led.count(brokers[at].node_id))]
        killed = asyncio.Event()

        async def trade_on() -> int:
            """Before, while and after the broker dies; answers how often."""
            trades = 0
            while not killed.is_set():
                await spine.trade()
                trades += 1
            await spine.trade(2)
            return trades + 2

        trading = asyncio.create_task(trade_on())
        await asyncio.sleep(0.3)
        await asyncio.to_thread(victim.kill)
        killed.set()
        trades = await trading
        assert victim.pid is None or not victim.answers()
        await spine.quiet()
        report = await asked.ask("/consistency", thorough="true")
        assert report["holds"]
        items = await asked.ask("/items", limit=1000)
        assert sum(row["kind"] == "invoice" for row in items["rows"]) == 2 + trades
        await spine.check()

        await asyncio.to_thread(victim.start)
        await until(all_in_sync)
        await spine.trade(1)
        await spine.quiet()
        await spine.check()
