"""Fixtures of the tests about commands on tallies, and about moving facts.

What the latter need is imported late: kafka-python warns when it is imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg
import pytest

if TYPE_CHECKING:
    from services.kernel.settings import Settings
    from services.kernel.store import Pool, Store

MakeDatabase = Callable[[str], Awaitable[str]]


@pytest.fixture
async def url(make_database: MakeDatabase) -> str:
    """A database of tallies, empty."""
    return await make_database("tally")


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    """Connections to it that see every branch."""
    from services.kernel.meta import EVERY_BRANCH
    from services.kernel.store import open_pool

    async with await open_pool(url, size_max=10, branches=EVERY_BRANCH) as pool:
        yield pool


@pytest.fixture
async def settings(
    make_database: MakeDatabase, kafka_bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """An invoice service with an empty database, in which the table `noted` is, and topics of its own."""
    from services.kernel import consume
    from services.kernel.topics import create_topics
    from tests.support.facts import settings_of
    from tests.support.flow import TABLE

    monkeypatch.setattr(consume, "_TICK_S", 0.1)  # What consumers of this process do once a second.
    await asyncio.to_thread(create_topics, kafka_bootstrap, topic_prefix, services=["invoice"])
    database = await make_database("invoice")
    owner = await asyncpg.connect(database)
    await owner.execute(TABLE)
    await owner.close()
    return settings_of("invoice", database, kafka_bootstrap, topic_prefix)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    from tests.support.facts import store_of

    async with store_of(settings.database_url, size_max=30) as opened:
        yield opened
