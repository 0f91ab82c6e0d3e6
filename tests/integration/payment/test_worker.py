"""The worker as a process of its own, on a real Kafka: facts come in from others, and what is decided goes out."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from msgspec.structs import replace

from deploy.embedded.ports import free_port
from events import codec
from events.envelope import Fact
from events.payment import ItemChanged, ItemOpened, PaymentApplied, PaymentReceived
from events.topics import topic_of
from services.kernel.topics import create_topics
from tests.integration.payment.conftest import Desk, delivered, issued
from tests.integration.payment.test_policy import approved
from tests.support.patience import PATIENCE_S


class Kafka:
    """The other services' relays, and a subscriber of this one."""

    def __init__(self, bootstrap: str, prefix: str, producer: AIOKafkaProducer) -> None:
        self.bootstrap, self.prefix = bootstrap, prefix
        self._producer = producer
        self._seqs = {"invoice": 0, "escalation": 0}

    async def publish(self, service: str, fact: Fact) -> None:
        self._seqs[service] += 1
        envelope = replace(delivered(fact).envelope, seq=self._seqs[service])
        headers, key = codec.headers_of(envelope), envelope.stream.encode()
        await self._producer.send_and_wait(topic_of(service, self.prefix), codec.encode(fact), key=key, headers=headers)

    async def published(self, count: int) -> list[Fact]:
        """The first so many facts of the payment topic."""
        topic = topic_of("payment", self.prefix)
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        facts: list[Fact] = []
        await consumer.start()
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(facts) < count:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        facts += [codec.decode(codec.envelope_of(r.headers).type, r.value) for r in records]
        finally:
            await consumer.stop()
        return facts


@pytest.fixture
async def kafka(kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[Kafka]:
    await asyncio.to_thread(create_topics, kafka_bootstrap, topic_prefix)
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    yield Kafka(kafka_bootstrap, topic_prefix, producer)
    await producer.stop()


@pytest.fixture
async def worker(desk: Desk, kafka: Kafka, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the worker's metrics; the worker has joined its consumers' groups."""
    port = free_port()
    settings = desk.app.state.settings
    environment: dict[str, Any] = {
        "POSTGRES": settings.postgres,
        "DATABASE": settings.database_url,
        "KAFKA": kafka.bootstrap,
        "TOPIC_PREFIX": kafka.prefix,
        "JWKS": settings.jwks,
        "ISSUER": settings.issuer,
        "WORKER_PORT": str(port),
        "STATE_DIR": str(tmp_path / "state"),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.payment.worker",
        env={**os.environ, **{f"OPENITEM_{name}": value for name, value in environment.items()}},
        cwd=Path(__file__).parents[3],
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S) as client:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not await is_ready(client):
                    assert process.returncode is None, "the worker ended"
                    await asyncio.sleep(0.1)
            yield client
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                code = await process.wait()
    assert code == 0


async def is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def test_facts_go_round_from_an_invoice_to_a_payment_that_others_read(
    desk: Desk, kafka: Kafka, worker: httpx.AsyncClient
) -> None:
    paid, given_up = issued(uuid4(), "100.00"), issued(uuid4(), "50.00")
    item = str(paid.item.item_id)
    # The write-off overtakes its invoice, which is of another topic.
    await kafka.publish("escalation", approved(given_up, "50.00"))
    await kafka.publish("invoice", paid)
    receipt = await desk.receipt("100.00")
    body = {"currency": "USD", "lines": [{"item_id": item, "amount": "100.00"}]}
    answer = await desk.post(f"/receipts/{receipt}/applications", body, Prefer="wait=30")
    assert answer.status_code == 200, answer.text
    await kafka.publish("invoice", given_up)
    async with asyncio.timeout(PATIENCE_S):  # The consumer tries what it had put aside again by itself.
        path = f"/items/{given_up.item.item_id}"
        while (await desk.get(path, Prefer="wait=5")).json()["written_off"] != "50.00":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
    facts = await kafka.published(6)
    assert sorted(type(fact).__name__ for fact in facts) == [
        ItemChanged.__name__,
        ItemChanged.__name__,
        ItemOpened.__name__,
        ItemOpened.__name__,
        PaymentApplied.__name__,
        PaymentReceived.__name__,
    ]
    metrics = (await worker.get("/metrics")).text
    laws = [line for line in metrics.splitlines() if line.startswith("openitem_law_broken{")]
    assert len(laws) == 3
    assert all(line.endswith(" 0.0") for line in laws)
