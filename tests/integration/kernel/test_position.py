"""How far a service has recorded, and whether another one knows that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from events.topics import PARTITIONS, partition_of
from services.payment.app import build
from tests.conftest import MakeDatabase
from tests.support.front_door import FrontDoor, front_door
from tests.support.patience import PATIENCE_S


@pytest.fixture
async def door(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[FrontDoor]:
    async with front_door(build, "payment", await make_database("payment"), tmp_path) as door:
        yield door


async def receive(door: FrontDoor, branch: str = "CHI", count: int = 1) -> None:
    row = {"branch": branch, "method": "wire", "amount": "10.00", "currency": "USD", "received_on": "2025-01-02"}
    summary, rejected = await door.import_("receipts", [{"receipt_id": str(uuid4()), **row} for _ in range(count)])
    assert (summary["landed"], rejected) == (count, [])


async def learn(door: FrontDoor, stream: str, version: int) -> None:
    """What the consumer does when it has applied a fact."""
    await door.store.pool.execute("INSERT INTO consumer_stream VALUES ('payment-invoice', $1, $2)", stream, version)


async def test_it_names_the_last_fact_of_each_partition(door: FrontDoor) -> None:
    await receive(door, count=100)
    last = {partition_of(stream.encode()): (stream, version) for stream, version, _ in await door.facts()}
    assert len(last) == PARTITIONS
    answer = await door.get("/position")
    assert answer.json() == {"recorded": dict(last[at] for at in range(PARTITIONS))}
    named = answer.headers["openitem-position"]
    assert named == ",".join(f"{last[at][0]}@{last[at][1]}" for at in range(PARTITIONS))
    assert (await door.get("/position", Openitem_After=named)).status_code == 200  # What is its own it knows.


async def test_a_service_without_facts_is_at_its_beginning(door: FrontDoor) -> None:
    answer = await door.get("/position")
    assert (answer.status_code, answer.json(), answer.headers["openitem-position"]) == (200, {"recorded": {}}, "")


async def test_a_caller_is_told_of_his_branches_only(door: FrontDoor) -> None:
    await receive(door, "CHI", 100)  # In every partition, so that those of DAL cannot be the last of all.
    await receive(door, "DAL", 1)
    theirs = (await door.as_("dal", "integration", ["DAL"]).get("/position")).json()["recorded"]
    everything = (await door.get("/position")).json()["recorded"]
    assert theirs == {stream: version for stream, version, _ in (await door.facts())[100:]}
    assert len(everything) == PARTITIONS
    assert theirs.items() <= everything.items()


async def test_who_waits_is_answered_when_what_others_recorded_is_known(door: FrontDoor) -> None:
    await learn(door, "invoice-1", 3)
    asked = {"Openitem_After": "invoice-1@3,invoice-2@2"}
    refused = await door.get("/position", **asked)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["field"]) == (503, "not_yet_known", "Openitem-After")
    assert problem["members"] == {"missing": 1}
    waiting = asyncio.create_task(door.get("/position", **asked, Prefer="wait=30"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await learn(door, "invoice-2", 2)
    assert (await asyncio.wait_for(waiting, PATIENCE_S)).status_code == 200


async def test_what_is_parked_has_arrived(door: FrontDoor) -> None:
    parked = """
    INSERT INTO parked (consumer, stream, stream_version, event_id, topic, partition, kafka_offset, headers, value,
                        code, reason)
    VALUES ('payment-invoice', 'invoice-9', 2, 'x', 't', 0, 1, '[]', '', 'fact_malformed', 'no')
    """
    await door.store.pool.execute(parked)
    assert (await door.get("/position", Openitem_After="invoice-9@2")).status_code == 200
    assert (await door.get("/position", Openitem_After="invoice-9@3")).status_code == 503


@pytest.mark.parametrize("after", ["invoice", "invoice-1@x", "@1", "invoice-1@1;"])
async def test_what_is_no_position_is_refused(door: FrontDoor, after: str) -> None:
    refused = await door.get("/position", Openitem_After=after)
    assert (refused.status_code, refused.json()["code"]) == (400, "after_malformed")


async def test_a_command_and_an_import_wait_for_what_was_recorded_elsewhere(door: FrontDoor) -> None:
    body = {"branch": "CHI", "method": "wire", "amount": "10.00", "currency": "USD", "received_on": "2025-01-02"}
    asked = {"Openitem_After": "invoice-1@1", "Prefer": "wait=30"}
    refused = await door.post("/receipts", body, Openitem_After="invoice-1@1")
    assert (refused.status_code, refused.json()["code"]) == (503, "not_yet_known")
    command = asyncio.create_task(door.post("/receipts", body, **asked))
    row = json.dumps({"receipt_id": str(uuid4()), **body}).encode()
    rows = asyncio.create_task(door.post_file("/imports/receipts", row, "application/x-ndjson", **asked))
    await asyncio.sleep(0.2)
    assert not command.done()
    assert not rows.done()
    assert await door.facts() == []
    await learn(door, "invoice-1", 1)
    assert (await asyncio.wait_for(command, PATIENCE_S)).status_code == 201
    assert (await asyncio.wait_for(rows, PATIENCE_S)).status_code == 200
    assert len(await door.facts()) == 2
