"""A fact that never came is fetched from its owner by `openitem parked mend`, on the whole system."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from typing import Any
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from kafka import KafkaConsumer, KafkaProducer

from events.topics import topic_of
from services.kernel.settings import database_url
from tests.support.demo import OPENITEM, ROOT, Demo

pytestmark = pytest.mark.xdist_group("demo")
WAIT_S_MAX = 30.0


def openitem(demo: Demo, *words: str, status: int = 0) -> str:
    environment = {**os.environ, "OPENITEM_STATE_DIR": str(demo.state), "COLUMNS": "200"}
    for name in ("OPENITEM_POSTGRES", "OPENITEM_KAFKA"):
        environment.pop(name, None)
    done = subprocess.run(
        [OPENITEM, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def last_of(stream: str, kafka: str) -> Any:
    """The newest record of a stream in the invoice topic."""
    consumer = KafkaConsumer(
        topic_of("invoice"), bootstrap_servers=kafka, auto_offset_reset="earliest", consumer_timeout_ms=3_000
    )
    try:
        return [record for record in consumer if record.key == stream.encode()][-1]
    finally:
        consumer.close()


async def test_a_hole_is_mended_from_the_owners_log(running: Demo) -> None:
    stack = msgspec.json.decode((running.state / "stack.json").read_bytes())
    account = str(uuid4())
    stream = f"account-{account}"
    body = {"account_id": account, "branch": "MEND", "number": "M-1", "currency": "USD", "profile": "commercial_entity"}
    running.post("invoice", "/branches", {"branch": "MEND", "name": "Mendon"})
    running.post("invoice", "/accounts", body)
    running.post("invoice", f"/accounts/{account}/changes", {"terms_days": 45})
    at = running.post("invoice", f"/accounts/{account}/changes", {"terms_days": 60})
    own_write = {"Openitem-After": at, "Prefer": "wait=20"}
    assert running.get(f"/accounts/{account}", **own_write)["terms_days"] == 60

    # The read models forget the second and the third fact, and Kafka brings the third only.
    models = await asyncpg.connect(database_url(stack["postgres"], "projections"))
    try:
        await models.execute("UPDATE consumer_stream SET version = 1 WHERE stream = $1", stream)
        await models.execute("UPDATE live.account SET terms_days = 30 WHERE account_id = $1", account)
        await models.execute("DELETE FROM live.timeline WHERE stream = $1 AND stream_version > 1", stream)
    finally:
        await models.close()
    third = last_of(stream, stack["kafka"])
    producer = KafkaProducer(bootstrap_servers=stack["kafka"], acks="all", enable_idempotence=True)
    producer.send(third.topic, third.value, third.key, third.headers, third.partition).get(WAIT_S_MAX)
    producer.close()

    deadline = time.monotonic() + WAIT_S_MAX
    while stream not in openitem_list(running):
        assert time.monotonic() < deadline, "the hole was not seen"
        await asyncio.sleep(0.2)
    assert "fetched 1 facts" in openitem(running, "parked", "mend", "--service", "projections", "--stream", stream)
    assert running.get(f"/accounts/{account}", **own_write)["terms_days"] == 60
    while stream in openitem_list(running):
        assert time.monotonic() < deadline + WAIT_S_MAX, "it stays parked"
        await asyncio.sleep(0.2)


def openitem_list(demo: Demo) -> str:
    """What is parked for the read models, as a watching job reads it: status 1 where anything is."""
    parked = demo.get("/freshness")["parked_streams"]
    return openitem(demo, "parked", "list", "--service", "projections", "--json", status=1) if parked else ""
