"""A fact that never came is fetched from its owner by `openitem parked mend`, on the whole system."""

from __future__ import annotations

import os
import subprocess
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from events.topics import topic_of
from services.kernel.settings import database_url
from tests.support.demo import OPENITEM, ROOT, Demo
from tests.support.facts import send, topic_records
from tests.support.patience import PATIENCE_S, wait_until

pytestmark = pytest.mark.xdist_group("demo")


def openitem(demo: Demo, *words: str, status: int = 0) -> str:
    environment = {**os.environ, "OPENITEM_STATE_DIR": str(demo.state), "COLUMNS": "200"}
    for name in ("OPENITEM_POSTGRES", "OPENITEM_KAFKA"):
        environment.pop(name, None)
    done = subprocess.run(
        [OPENITEM, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


async def test_a_hole_is_mended_from_the_owners_log(running: Demo) -> None:
    stack = msgspec.json.decode((running.state / "stack.json").read_bytes())
    account = str(uuid4())
    stream = f"account-{account}"
    body = {"account_id": account, "branch": "MEND", "number": "M-1", "currency": "USD", "profile": "commercial_entity"}
    running.post("invoice", "/branches", {"branch": "MEND", "name": "Mendon"})
    running.post("invoice", "/accounts", body)
    running.post("invoice", f"/accounts/{account}/changes", {"terms_days": 45})
    at = running.post("invoice", f"/accounts/{account}/changes", {"terms_days": 60})
    own_write = {"Openitem-After": at, "Prefer": "wait=30"}
    assert running.get(f"/accounts/{account}", **own_write)["terms_days"] == 60

    # The read models forget the second and the third fact, and Kafka brings the third only.
    models = await asyncpg.connect(database_url(stack["postgres"], "projections"))
    try:
        await models.execute("UPDATE consumer_stream SET version = 1 WHERE stream = $1", stream)
        await models.execute("UPDATE live.account SET terms_days = 30 WHERE account_id = $1", account)
        await models.execute("DELETE FROM live.timeline WHERE stream = $1 AND stream_version > 1", stream)
    finally:
        await models.close()
    topic = topic_of("invoice")
    third = [record for record in topic_records(stack["kafka"], topic) if record.stream == stream][-1]
    send(stack["kafka"], topic, [(third.key, list(third.headers.items()), third.value)])

    wait_until(lambda: stream in openitem_list(running), lambda: "the hole was not seen")
    assert "fetched 1 facts" in openitem(running, "parked", "mend", "--service", "projections", "--stream", stream)
    assert running.get(f"/accounts/{account}", **own_write)["terms_days"] == 60
    wait_until(lambda: stream not in openitem_list(running), lambda: "it stays parked")


def openitem_list(demo: Demo) -> str:
    """What is parked for the read models, as a watching job reads it: status 1 where anything is."""
    parked = demo.get("/freshness")["parked_streams"]
    return openitem(demo, "parked", "list", "--service", "projections", "--json", status=1) if parked else ""
