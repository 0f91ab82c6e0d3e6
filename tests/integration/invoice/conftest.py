"""The invoice service's front door, with two branches and an account behind it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from services.invoice.app import build
from tests.conftest import MakeDatabase
from tests.support.front_door import FrontDoor, front_door

ACCOUNT, JOB, INVOICE = str(UUID(int=1)), str(UUID(int=3)), str(UUID(int=10))


@pytest.fixture
async def empty(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[FrontDoor]:
    async with front_door(build, "invoice", await make_database("invoice"), tmp_path) as door:
        yield door


@pytest.fixture
async def door(empty: FrontDoor) -> FrontDoor:
    for code, city in (("CHI", "Chicago"), ("DAL", "Dallas")):
        body = {"branch": code, "name": city, "timezone": "America/Chicago", "registered_on": "2025-01-02"}
        assert (await empty.post("/branches", body)).status_code == 201
    account = {"account_id": ACCOUNT, "branch": "CHI", "number": "A-1", "currency": "USD", "opened_on": "2025-01-02"}
    account |= {"profile": "commercial_entity", "name": "Granite Builders"}
    assert (await empty.post("/accounts", account)).status_code == 201
    job = {"job_id": JOB, "branch": "CHI", "account_id": ACCOUNT, "number": "J-1", "name": "Riser repipe"}
    assert (await empty.post("/jobs", job)).status_code == 201
    return empty


def invoice(**values: Any) -> dict[str, Any]:
    """The body of the story's invoice."""
    return {
        "invoice_id": INVOICE,
        "branch": "CHI",
        "account_id": ACCOUNT,
        "job_id": JOB,
        "number": "4711",
        "issued_on": "2025-03-03",
        "currency": "USD",
        "total": "1000.00",
        "tax": "70.00",
        "retainage": "100.00",
    } | values
