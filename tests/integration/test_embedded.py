"""Do the servers and the supervisor that we start ourselves end when they must, and come back where they were?"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
from kafka import KafkaAdminClient

from deploy.embedded import Kafka, Postgres

MakeDatabase = Callable[[str], Awaitable[str]]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_postgres_killed_comes_back_at_the_same_address_with_its_rows(private_postgres: Postgres) -> None:
    url = private_postgres.url
    async with connected(url) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        private_postgres.kill()
    private_postgres.start()
    assert private_postgres.url == url
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT answer FROM kept") == 42


def test_kafka_killed_comes_back_at_the_same_address_with_its_topics(private_kafka: Kafka) -> None:
    bootstrap = private_kafka.bootstrap
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics({"kept": {"num_partitions": 3, "replication_factor": 1}})
    admin.close()
    private_kafka.kill()
    private_kafka.start()
    assert private_kafka.bootstrap == bootstrap
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    assert "kept" in admin.list_topics()
    admin.close()


async def test_each_database_is_a_fresh_copy_of_a_migrated_template(make_database: MakeDatabase) -> None:
    first, second = await make_database("payment"), await make_database("payment")
    async with connected(first) as connection:
        await connection.execute("CREATE TABLE only_here ()")
    async with connected(second) as connection:
        assert await connection.fetchval("SELECT to_regclass('events') IS NOT NULL")
        assert await connection.fetchval("SELECT to_regclass('only_here') IS NULL")


async def test_the_runs_servers_answer(postgres_url: str, kafka_bootstrap: str, topic_prefix: str) -> None:
    async with connected(postgres_url) as connection:
        assert await connection.fetchval("SHOW max_connections") == "200"
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.create_topics({f"{topic_prefix}.facts": {"num_partitions": 1, "replication_factor": 1}})
    admin.close()
