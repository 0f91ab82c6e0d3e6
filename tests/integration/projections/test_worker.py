"""The worker as a process, from real Kafka: what it folds is what the handler folds, and it ends as it should."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import asyncpg
import httpx

from deploy.embedded.ports import free_port
from events.topics import SERVICES
from services.kernel.republish import republish
from services.kernel.serve import EXIT_SETTINGS
from services.kernel.settings import Settings
from services.kernel.topics import create_topics
from tests.conftest import MakeDatabase
from tests.support.event_stores import record
from tests.support.histories import history
from tests.support.patience import PATIENCE_S
from tests.support.read_models import absorb, dump, reader

ROOT = Path(__file__).parents[3]


def start(database: str, kafka: str, prefix: str, port: int) -> subprocess.Popen[bytes]:
    given = {
        "POSTGRES": database,
        "DATABASE": database,
        "KAFKA": kafka,
        "TOPIC_PREFIX": prefix,
        "JWKS": __file__,
        "ISSUER": "test",
        "WORKER_PORT": str(port),
    }
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "services.projections.worker"],
        cwd=ROOT,
        env=os.environ | {f"OPENITEM_{name}": value for name, value in given.items()},
        stderr=subprocess.PIPE,
    )


async def test_it_folds_all_topics_and_checks_the_laws(
    make_database: MakeDatabase, kafka_bootstrap: str, topic_prefix: str
) -> None:
    books = history(Random(21), 250)
    stores = {service: await make_database(service) for service in SERVICES}
    live, other = await make_database("projections"), await make_database("projections")
    await record(stores, books.log)
    await asyncio.to_thread(create_topics, kafka_bootstrap, topic_prefix)
    for service, url in stores.items():
        settings = Settings(
            service=service,
            postgres=url,
            database=url,
            kafka=kafka_bootstrap,
            topic_prefix=topic_prefix,
            jwks=__file__,
            issuer="test",
        )
        await republish(settings)
    async with reader(other) as conn:
        await absorb(conn, books.log)
        expected = await dump(conn)
    port = free_port()
    process = await asyncio.to_thread(start, live, kafka_bootstrap, topic_prefix, port)
    try:
        async with reader(live) as conn, asyncio.timeout(PATIENCE_S):
            streams = len({known.envelope.stream for known in books.log})
            while await conn.fetchval("SELECT count(*) FROM consumer_stream") < streams or await conn.fetchval(
                "SELECT sum(version) FROM consumer_stream"
            ) < len(books.log):
                assert process.poll() is None, "it ended by itself"
                await asyncio.sleep(0.1)
            assert await dump(conn) == expected
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            told = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        assert 'openitem_projections_folded_total{fact="InvoiceIssued"}' in told
        assert 'openitem_consumer_ignored_total{consumer="projections",type="openitem.payment.item_opened.v1"}' in told
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
    assert process.returncode == 0, errors.decode()
    assert b"law_broken" not in errors


async def test_with_tables_of_another_definition_it_says_what_to_do(
    make_database: MakeDatabase, kafka_bootstrap: str, topic_prefix: str
) -> None:
    live = await make_database("projections")
    owner = await asyncpg.connect(live)
    await owner.execute("UPDATE model_schema SET hash = 'another'")
    await owner.close()
    process = await asyncio.to_thread(start, live, kafka_bootstrap, topic_prefix, free_port())
    _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
    assert process.returncode == EXIT_SETTINGS
    assert b"openitem rebuild" in errors
