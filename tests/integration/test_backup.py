"""Does a restore lose nothing that anybody has, whatever was lost: the databases, Kafka, or both?"""

from __future__ import annotations

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from deploy.embedded import Postgres
from events.topics import SERVICES, topic_of
from services.cli import screen
from services.cli.main import app
from services.kernel.topics import connect, create_topics
from services.projections import schema
from tests.support.read_models import dump
from tests.support.spine import Spine, create_databases

RUN_S_MAX = 120
pytestmark = pytest.mark.xdist_group("backup")


class Openitem:
    """The program, told where the servers are."""

    def __init__(self, **settings: str) -> None:
        self.environment = {f"OPENITEM_{name.upper()}": value for name, value in settings.items()}
        screen.out.width = screen.err.width = 300

    async def run(self, *arguments: str | Path, status: int = 0) -> str:
        """What it prints; with standard error where it is to fail."""

        def invoke() -> str:
            with ThreadPoolExecutor(1) as thread:  # It runs an event loop of its own.
                given = [str(word) for word in arguments]
                ended = thread.submit(CliRunner().invoke, app, given, env=self.environment).result(RUN_S_MAX)
            assert ended.exit_code == status, ended.output + repr(ended.exception)
            return ended.stdout + (ended.stderr if status else "")

        return await asyncio.to_thread(invoke)


@pytest.fixture
async def spine(private_postgres: Postgres, kafka_bootstrap: str, topic_prefix: str) -> Spine:
    """A system without facts, not running."""
    await create_databases(private_postgres.url)
    await asyncio.to_thread(create_topics, kafka_bootstrap, topic_prefix)
    return Spine(private_postgres.url, kafka_bootstrap, topic_prefix)


@pytest.fixture
def openitem(private_postgres: Postgres, spine: Spine) -> Openitem:
    return Openitem(postgres=private_postgres.url, kafka=spine.kafka, topic_prefix=spine.prefix)


async def logs(spine: Spine) -> dict[str, list[tuple[object, ...]]]:
    return {service: await spine.log(service) for service in SERVICES}


async def read_models(spine: Spine) -> dict[str, list[str]]:
    conn = await asyncpg.connect(spine.urls["projections"], server_settings={"search_path": "live, public"})
    try:
        return await dump(conn, schema.LIVE)
    finally:
        await conn.close()


def lose_topics(spine: Spine) -> None:
    with closing(connect(spine.kafka)) as admin:
        admin.delete_topics([topic_of(service, spine.prefix) for service in SERVICES])


async def test_a_restore_older_than_kafka_gets_back_every_fact_as_it_was_and_goes_on(
    spine: Spine, openitem: Openitem, tmp_path: Path
) -> None:
    async with spine.running():
        await spine.open_books()
        await spine.trade(2)
        # Commands go on while the backup is taken: some facts are queued and unpublished at the cut.
        trading = asyncio.create_task(spine.trade(4))
        said = await openitem.run("backup", tmp_path / "books")
        assert "holds the books as of" in said
        await trading
        await spine.trade(2)
        await spine.quiet()
    before, models = await logs(spine), await read_models(spine)
    said = await openitem.run("restore", tmp_path / "books", status=1)
    assert "openitem_invoice is not empty" in said
    said = await openitem.run("restore", tmp_path / "books", "--force")
    assert "facts came back from Kafka" in said
    assert "republish" not in said
    assert await logs(spine) == before
    async with spine.running():
        await spine.quiet()
        assert await logs(spine) == before
        assert await read_models(spine) == models
        await spine.trade(2)
        await spine.quiet()
        await spine.check()


async def test_with_kafka_lost_the_stores_fill_it_and_with_both_lost_the_books_are_those_of_the_backup(
    spine: Spine, openitem: Openitem, tmp_path: Path
) -> None:
    async with spine.running():
        await spine.open_books()
        await spine.trade(2)
        await spine.quiet()
    await asyncio.to_thread(lose_topics, spine)
    await openitem.run("topics", "create")
    await openitem.run("republish", "all", "--yes")
    async with spine.running():
        await spine.trade(1)
        await spine.quiet()
        await spine.check()
        trading = asyncio.create_task(spine.trade(4))
        await openitem.run("backup", tmp_path / "books")
        await trading
        await spine.quiet()
    before = await logs(spine)
    await asyncio.to_thread(lose_topics, spine)
    said = await openitem.run("restore", tmp_path / "books", "--force", status=1)
    assert "If Kafka is lost, say so" in said
    assert await logs(spine) == before, "a restore that is refused changes nothing"
    await openitem.run("topics", "create")
    said = await openitem.run("restore", tmp_path / "books", "--force", "--kafka-lost")
    assert "openitem rebuild" in said
    await openitem.run("republish", "all", "--yes")
    await openitem.run("rebuild", "--quiet")
    after = await logs(spine)
    for service in SERVICES:
        assert after[service] == before[service][: len(after[service])], service
    async with spine.running():
        await spine.quiet()
        await spine.trade(1)
        await spine.quiet()
        await spine.check()


async def test_what_is_not_as_it_was_written_is_not_restored(spine: Spine, openitem: Openitem, tmp_path: Path) -> None:
    books = tmp_path / "books"
    await openitem.run("backup", books, "--projections")
    found = json.loads((books / "manifest.json").read_text())
    assert [one["service"] for one in found["dumps"]] == [*SERVICES, "projections"]
    assert {one["rows"]["public.events"] for one in found["dumps"]} == {0}
    assert "is not empty" in await openitem.run("backup", books, status=1)
    path = books / "payment.dump"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    said = await openitem.run("restore", books, "--force", status=1)
    assert "payment.dump is not what was written" in said
    os.unlink(path)
    assert "is missing" in await openitem.run("restore", books, "--force", status=1)
    path.write_bytes(whole)
    conn = await asyncpg.connect(spine.urls["payment"], server_settings={"application_name": "somebody"})
    assert "openitem_payment is in use (somebody)" in await openitem.run("restore", books, status=1)
    await conn.close()
    assert "payment: in its place" in await openitem.run("restore", books, "--service", "payment")
