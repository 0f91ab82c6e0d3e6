"""The escalation service's front door, with an account and its items known from other services' facts."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from events.envelope import Fact
from events.invoice import AccountOpened, BranchRegistered
from events.item import Item
from events.money import Money
from events.payment import ItemChanged, ItemOpened
from services.escalation.app import build
from services.escalation.consumer import consumer
from services.kernel.delivery import Delivered
from tests.conftest import MakeDatabase
from tests.support.delivery import delivered
from tests.support.front_door import FrontDoor, front_door

ACCOUNT, ITEM, SMALL, DALLAS = UUID(int=1), UUID(int=10), UUID(int=11), UUID(int=12)
DAY = date(2025, 3, 3)


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def item(item_id: UUID = ITEM, branch: str = "CHI") -> Item:
    return Item(
        item_id=item_id,
        invoice_id=item_id,
        branch=branch,
        account_id=ACCOUNT,
        issued_on=DAY,
        due_on=date(2025, 4, 2),
    )


def opened(item_id: UUID, minor: int, branch: str = "CHI") -> ItemOpened:
    one = item(item_id, branch)
    return ItemOpened(branch=branch, effective_on=DAY, item=one, number=f"N{item_id.int}", original=usd(minor))


def closed(item_id: UUID = ITEM) -> ItemChanged:
    return ItemChanged(
        branch="CHI",
        effective_on=date(2025, 8, 1),
        item=item(item_id),
        cause="applied",
        caused_by=UUID(int=40),
        change=usd(-900_00),
        open=usd(0),
    )


BOOKS: Sequence[Fact] = (
    BranchRegistered(branch="CHI", effective_on=DAY, name="Chicago", timezone="America/Chicago"),
    AccountOpened(branch="CHI", effective_on=DAY, account_id=ACCOUNT, number="A-1", currency="USD", terms_days=30),
    opened(ITEM, 900_00),
    opened(SMALL, 20_00),
    opened(DALLAS, 300_00, "DAL"),
)


class Desk:
    """The front door, and the consumer beside it."""

    def __init__(self, door: FrontDoor) -> None:
        self.door = door
        self._learn = consumer(door.store)

    async def tell(self, *facts: Fact | Delivered, version: int = 1) -> None:
        """Hand facts of other services to the consumer, in one batch."""
        batch = [fact if isinstance(fact, Delivered) else delivered(fact, version) for fact in facts]
        async with self.door.store.pool.acquire() as conn, conn.transaction():
            await self._learn(conn, batch)

    async def place(self, *items: UUID, **values: Any) -> str:
        """Place items; answers the placement's id."""
        answer = await self.door.post("/placements", placement(*items, **values))
        assert answer.status_code == 201, answer.text
        placement_id: str = answer.json()["placement_id"]
        return placement_id

    async def recoveries(self, placement_id: str) -> list[tuple[str, str, str, str]]:
        shown = (await self.door.get(f"/placements/{placement_id}")).json()
        return [(r["recovered_from"], r["gross"], r["fee"], r["net"]) for r in shown["recoveries"]]


def placement(*items: UUID, **values: Any) -> dict[str, Any]:
    return {
        "account_id": str(ACCOUNT),
        "agency": "Transworld",
        "phase": "contingency",
        "item_ids": [str(item_id) for item_id in items or (ITEM,)],
        "fee_bp": 3_500,
        "placed_on": "2025-07-01",
    } | values


def later() -> datetime:
    """After whatever was recorded so far."""
    return datetime.now(UTC)


@pytest.fixture
async def desk(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Desk]:
    async with front_door(build, "escalation", await make_database("escalation"), tmp_path) as door:
        desk = Desk(door)
        await desk.tell(*BOOKS)
        yield desk
