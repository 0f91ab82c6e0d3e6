"""Does the job `init` leave servers as services need them, and may it run again?"""

from __future__ import annotations

import os

import asyncpg
import pytest

from deploy.embedded import Postgres
from deploy.prepare import DATABASES, main, prepare
from services.kernel.settings import database_url
from services.kernel.topics import check, describe
from tests.support.facts import facts_topic


def test_it_makes_databases_and_topics_and_may_run_again(
    private_postgres: Postgres, kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENITEM_POSTGRES", private_postgres.url)
    monkeypatch.setenv("OPENITEM_KAFKA", kafka_bootstrap)
    monkeypatch.setenv("OPENITEM_TOPIC_PREFIX", topic_prefix)
    assert main() == os.EX_OK
    assert main() == os.EX_OK
    for topic in describe(kafka_bootstrap, [facts_topic(service, topic_prefix) for service in DATABASES[:-1]]):
        check(topic)


async def test_every_database_has_its_tables(
    private_postgres: Postgres, kafka_bootstrap: str, topic_prefix: str
) -> None:
    await prepare(private_postgres.url, kafka_bootstrap, topic_prefix)
    for service in DATABASES:
        conn = await asyncpg.connect(database_url(private_postgres.url, service))
        try:
            assert await conn.fetchval("SELECT count(*) FROM migrations") > 0
        finally:
            await conn.close()


@pytest.mark.parametrize("missing", ["OPENITEM_POSTGRES", "OPENITEM_KAFKA"])
def test_it_names_what_is_not_set(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENITEM_POSTGRES", "postgresql://nowhere")
    monkeypatch.setenv("OPENITEM_KAFKA", "nowhere:9092")
    monkeypatch.delenv(missing)
    assert main() == os.EX_CONFIG
    assert missing in capsys.readouterr().err
