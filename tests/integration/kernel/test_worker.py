"""Does a worker process start, tell how it is, survive what it must, and end as it should?"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest

from deploy.embedded import Kafka, Postgres
from deploy.embedded.ports import free_port
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.kernel.topics import create_topics
from tests.support.databases import Databases
from tests.support.facts import record, settings_of, store_of, stream_of
from tests.support.flow import TABLE, applied, noted
from tests.support.patience import PATIENCE_S, until

ROOT = Path(__file__).parents[3]


class Process:
    """A worker of `tests.support.worker`."""

    def __init__(self, settings: Settings, **environment: str) -> None:
        self.port = free_port()
        given = {
            "POSTGRES": settings.postgres,
            "DATABASE": settings.database_url,
            "KAFKA": settings.kafka,
            "TOPIC_PREFIX": settings.topic_prefix,
            "JWKS": __file__,
            "ISSUER": "test",
            "WORKER_PORT": str(self.port),
        }
        # A file: a pipe that nobody reads would stop the worker when it is full.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.support.worker"],
            cwd=ROOT,
            env=os.environ | {f"OPENITEM_{name}": value for name, value in given.items()} | environment,
            stderr=self._errors,
        )

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            return await client.get(f"http://127.0.0.1:{self.port}{path}")

    async def is_ready(self) -> bool:
        try:
            return (await self.get("/health/ready")).status_code == 200
        except httpx.HTTPError:
            return False

    async def ends(self) -> int:
        """The exit code, and what it logged."""
        code = await asyncio.to_thread(self.process.wait, PATIENCE_S)
        with self._errors:
            self._errors.seek(0)
            self.log = self._errors.read().decode()
        return code


@asynccontextmanager
async def worker(settings: Settings, **environment: str) -> AsyncIterator[Process]:
    process = Process(settings, **environment)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
            await process.ends()


async def test_a_worker_publishes_consumes_ticks_and_answers_signals_until_told_to_stop(
    settings: Settings, store: Store
) -> None:
    account = uuid4()
    async with worker(settings) as one:
        await until(one.is_ready)
        await record(store, account, 1, 3)
        await applied(store, account, 3)
        await until(lambda: store.pool.fetchval("SELECT count(*) > 1 FROM noted WHERE by = 'signal'"))
        assert (await one.get("/health/live")).json() == {"status": "ok"}
        metrics = (await one.get("/metrics")).text
        assert 'openitem_relay_leader{service="invoice"} 1.0' in metrics
        assert 'openitem_relay_published_total{service="invoice"} 3.0' in metrics
        assert 'openitem_signals_total{kind="look",outcome="done",service="invoice"}' in metrics
        one.process.send_signal(signal.SIGTERM)
        assert await one.ends() == 0, one.log
    assert (await noted(store))[stream_of(account)] == [1, 2, 3]


async def test_a_bug_ends_the_process_with_another_code_than_zero(settings: Settings) -> None:
    async with worker(settings, TEST_FAIL="1") as one:
        assert await one.ends() == 1
        assert "timer_failed" in one.log


async def test_a_busy_port_is_named(settings: Settings) -> None:
    async with worker(settings) as one:
        await until(lambda: asyncio.to_thread(_answers, one.port))
        async with worker(settings, OPENITEM_WORKER_PORT=str(one.port)) as two:
            assert await two.ends() == 75
            assert f"cannot listen on 127.0.0.1:{one.port}" in two.log


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=PATIENCE_S).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_what_a_worker_leaves_undone_under_load_another_does(
    settings: Settings, store: Store, end: signal.Signals
) -> None:
    accounts = [uuid4() for _ in range(30)]

    async def load() -> None:
        for version in range(1, 21):
            await asyncio.gather(*(record(store, account, version) for account in accounts))

    async with worker(settings) as one:
        await until(one.is_ready)
        loading = asyncio.create_task(load())
        await applied(store, accounts[0], 3)
        one.process.send_signal(end)
        await one.ends()
        async with worker(settings):
            await loading
            for account in accounts:
                await until(lambda account=account: applied_all(store, stream_of(account)))
    found = await noted(store)
    assert {stream: found[stream] for stream in map(stream_of, accounts)} == {
        stream_of(account): list(range(1, 21)) for account in accounts
    }
    assert await store.pool.fetchval("SELECT count(*) FROM parked") == 0


async def applied_all(store: Store, stream: str) -> bool:
    return bool(await store.pool.fetchval("SELECT max(version) = 20 FROM consumer_stream WHERE stream = $1", stream))


async def test_a_worker_outlives_its_servers_and_goes_on_when_they_are_back(
    private_kafka: Kafka, private_postgres: Postgres, topic_prefix: str
) -> None:
    await asyncio.to_thread(create_topics, private_kafka.bootstrap, topic_prefix, services=["invoice"])
    database = await Databases(private_postgres.url).make("invoice")
    settings = settings_of("invoice", database, private_kafka.bootstrap, topic_prefix)
    account = uuid4()
    owner = await asyncpg.connect(database)
    await owner.execute(TABLE)
    await owner.close()
    async with worker(settings) as one:
        async with store_of(database) as store:
            await until(one.is_ready)
            await record(store, account, 1, 2)
            await applied(store, account, 2)
            await asyncio.to_thread(private_kafka.kill)
            await record(store, account, 3, 2)
            await asyncio.sleep(1.5)
            await asyncio.to_thread(private_kafka.start)
            await applied(store, account, 4)
        await asyncio.to_thread(private_postgres.kill)
        await asyncio.sleep(1.5)
        await asyncio.to_thread(private_postgres.start)
        async with store_of(database) as store:
            await record(store, account, 5, 2)
            await applied(store, account, 6)
            await until(one.is_ready)
            assert (await noted(store))[stream_of(account)] == [1, 2, 3, 4, 5, 6]
        assert one.process.poll() is None, "it was restarted"


async def test_a_worker_whose_broker_is_away_ends_when_told_to(
    settings: Settings, store: Store, private_kafka: Kafka
) -> None:
    """Faust would wait for the broker for ever."""
    away = settings.model_copy(update={"kafka": private_kafka.bootstrap})
    await asyncio.to_thread(create_topics, away.kafka, away.topic_prefix, services=["invoice"])
    async with worker(away) as one:
        await until(one.is_ready)
        await asyncio.to_thread(private_kafka.kill)
        await asyncio.sleep(1.5)
        one.process.send_signal(signal.SIGTERM)
        assert await one.ends() == 0, one.log
