"""Books of a small contractor in the read models, and the reporting API on top."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import MakeDatabase
from tests.integration.reporting.books import Books
from tests.integration.reporting.desk import Desk, reporting
from tests.integration.reporting.story import contractor


@pytest.fixture
async def database(make_database: MakeDatabase) -> str:
    return await make_database("projections")


@pytest.fixture
async def desk(database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """Reports on empty books."""
    async with reporting(database, tmp_path) as desk:
        yield desk


@pytest.fixture
async def books(database: str) -> Books:
    """The contractor's two years, in the read models."""
    books = contractor()
    await books.deliver(database)
    return books
