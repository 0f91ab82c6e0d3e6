"""What rebuilds are tried on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from events.topics import SERVICES
from tests.conftest import MakeDatabase
from tests.support.read_models import reader
from tests.support.rebuilding import System


@pytest.fixture
async def system(make_database: MakeDatabase) -> AsyncIterator[System]:
    live = await make_database("projections")
    stores = {service: await make_database(service) for service in SERVICES}
    async with reader(live) as conn, reader(live) as look:
        yield System(live, stores, conn, look)
