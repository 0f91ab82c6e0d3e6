"""Are the books right when facts come twice, in another order, not at all, or as nobody can read them?"""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from events.topics import SERVICES
from tests.support.patience import PATIENCE_S, until

if TYPE_CHECKING:
    from tests.support.fire import Fire

pytestmark = pytest.mark.xdist_group("fire")
LOAD = 40.0
UNLUCKY = "Unlucky Plumbing"


async def openitem(fire: Fire, *words: str, status: int = 0) -> str:
    """What the program prints, of this system. Errors: AssertionError on another exit status."""
    from tests.support.demo import OPENITEM

    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENITEM_")}
    done = await asyncio.to_thread(
        subprocess.run,
        [OPENITEM, *words],
        env=kept | {"OPENITEM_STATE_DIR": str(fire.state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


async def test_everything_published_a_second_time(under_fire: Fire) -> None:
    """By somebody else, topic after topic, newest service first: neither repeats nor their order change a row."""
    from tests.support.facts import facts_topic, send, topic_records

    async with under_fire.at_work("repeated", LOAD):
        await asyncio.sleep(1.5)
        for service in reversed(SERVICES):
            topic = facts_topic(service, "openitem")
            records = await asyncio.to_thread(topic_records, under_fire.stack.kafka, topic)
            again = [(one.key, list(one.headers.items()), one.value) for one in records[-300:]]
            await asyncio.to_thread(send, under_fire.stack.kafka, topic, again)
    await under_fire.all_right()


async def test_facts_of_one_topic_that_come_last(under_fire: Fire) -> None:
    """Invoices are recorded and not published, while receipts, holds and calls of the same accounts are."""
    async with under_fire.at_work("late", LOAD):
        await asyncio.sleep(1)
        await under_fire.stop("invoice-worker")
        await asyncio.sleep(3)
        await under_fire.start("invoice-worker")
    await under_fire.all_right()


async def test_a_rebuild_while_commands_flow(under_fire: Fire) -> None:
    async with under_fire.at_work("rebuilt", LOAD):
        await asyncio.sleep(1)
        assert "the new read models are live" in await openitem(under_fire, "rebuild", "--quiet", "--processes", "2")
        await asyncio.sleep(0.5)
    await under_fire.all_right()


async def test_an_empty_kafka_is_filled_again_while_commands_flow(under_fire: Fire) -> None:
    from services.kernel.topics import connect, create_topics
    from tests.support.facts import facts_topic

    def lose() -> None:
        with closing(connect(under_fire.stack.kafka)) as admin:
            admin.delete_topics([facts_topic(service, "openitem") for service in SERVICES])
        made: list[str] = []
        while len(made) < len(SERVICES):
            made += create_topics(under_fire.stack.kafka, "openitem")

    async with under_fire.at_work("lost", LOAD / 2):
        await asyncio.sleep(1)
        await asyncio.to_thread(lose)
        assert "facts sent" in await openitem(under_fire, "republish", "all", "--yes")
    await under_fire.all_right()


async def test_what_cannot_be_applied_holds_up_its_own_stream_until_it_is_brought_home(under_fire: Fire) -> None:
    """A malformed fact, a type and a version nobody knows, a hole, a record that is none; and one that a fault of ours
    keeps out. Everybody else's work flows; the metric tells; after the mend `openitem parked retry` applies in order.
    """
    from tests.support.facts import facts_topic, send, sent, stream_of

    sick = {name: uuid4() for name in ("fact_malformed", "fact_unknown_type", "fact_unknown_version", "fact_hole")}
    key, headers, _ = sent(sick["fact_malformed"], 1)
    strange = [
        (key, headers, b'{"branch": 7}'),
        sent(sick["fact_unknown_type"], 1, type=b"openitem.invoice.dreamt.v1"),
        sent(sick["fact_unknown_version"], 1, type=b"openitem.invoice.account_opened.v9"),
        sent(sick["fact_hole"], 3),
    ]
    unlucky = uuid4()
    topic = facts_topic("invoice", "openitem")
    try:
        async with under_fire.at_work("parked", LOAD) as counter:
            await asyncio.to_thread(send, under_fire.stack.kafka, topic, strange)
            await constrain(under_fire, f"ADD CONSTRAINT unlucky CHECK (name <> '{UNLUCKY}')")
            await open_and_change(counter, unlucky)
            await until_metric(under_fire, len(sick) + 1)
        await under_fire.checker.settle(PATIENCE_S, but={stream_of(unlucky)})
        told = await openitem(under_fire, "parked", "list", "--service", "projections", "--json", status=1)
        parked = {row["stream"]: row for row in map(msgspec.json.decode, told.splitlines())}
        assert {name: parked[stream_of(account)]["code"] for name, account in sick.items()} == {n: n for n in sick}
        assert (parked[stream_of(unlucky)]["code"], parked[stream_of(unlucky)]["facts"]) == ("fact_unstorable", 3)

        await constrain(under_fire, "DROP CONSTRAINT unlucky")
        await openitem(under_fire, "parked", "retry", "--service", "projections", "--stream", stream_of(unlucky))
        await under_fire.all_right(parked=True)
        await until_metric(under_fire, len(sick))
    finally:
        for name, account in sick.items():
            await drop(under_fire, stream_of(account), 3 if name == "fact_hole" else 1)
    await until_metric(under_fire, 0)
    await under_fire.all_right()


async def open_and_change(counter: object, account_id: UUID) -> None:
    """Three facts of one account, of which the first cannot be stored."""
    from tests.support.clerk import BRANCHES
    from tests.support.counter import Counter
    from tests.support.papers import days_ago
    from tests.support.said import KEY_PREFIX

    assert isinstance(counter, Counter)
    body = {"account_id": str(account_id), "branch": BRANCHES[0], "number": "UNLUCKY", "currency": "USD"}
    body |= {"name": UNLUCKY, "profile": "commercial_entity", "opened_on": days_ago(9)}
    await counter.ask("invoice", "/accounts", body, key=f"{KEY_PREFIX}unlucky-0", wire="invoice.account_opened")
    for days in (10, 20):
        path, wire = f"/accounts/{account_id}/changes", "invoice.account_changed"
        await counter.ask("invoice", path, {"terms_days": days}, key=f"{KEY_PREFIX}unlucky-{days}", wire=wire)


async def constrain(fire: Fire, what: str) -> None:
    from services.kernel.settings import database_url

    owner = await asyncpg.connect(database_url(fire.postgres, "projections"))
    await owner.execute(f"ALTER TABLE live.account {what}")
    await owner.close()


async def drop(fire: Fire, stream: str, version: int) -> None:
    """By every consumer that parked it."""
    from services.kernel import parking
    from services.kernel.settings import database_url
    from tests.support.checker import CONSUMERS

    for service, consumers in CONSUMERS.items():
        conn = await asyncpg.connect(database_url(fire.postgres, service))
        for consumer, topics in consumers.items():
            if "invoice" in topics:
                await parking.drop(conn, consumer, stream, version, by="ann", why="it was never recorded")
        await conn.close()


async def until_metric(fire: Fire, streams: int) -> None:
    """Wait until the worker of projections tells so many parked streams."""

    async def told() -> bool:
        return await fire.metric("projections", "openitem_consumer_parked_streams") == streams

    await until(told)
