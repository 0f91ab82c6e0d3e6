"""A contact service on a database of its own: HTTP without a socket, and facts as its consumer would deliver them."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from events.codec import wire_of
from events.envelope import Envelope, Fact
from events.invoice import AccountOpened, InvoiceIssued
from events.item import Item
from events.money import Money
from events.payment import Application, ItemOpened, PaymentApplied, PaymentReceived, PaymentReversed, PaymentUnapplied
from services.contact.app import build
from services.contact.consumer import consumer
from services.kernel.delivery import Delivered
from tests.conftest import MakeDatabase
from tests.support.front_door import FrontDoor, front_door
from tests.support.scenario import stream_of

ACCOUNT, DALLAS_ACCOUNT = UUID(int=1), UUID(int=2)
A, B, DALLAS = UUID(int=10), UUID(int=11), UUID(int=12)  # 1,000.00 open each.
RECEIPT = UUID(int=70)
ISSUED_ON, MADE_ON, PAID_ON, PROMISED_ON = date(2026, 1, 2), date(2026, 3, 2), date(2026, 3, 10), date(2026, 3, 13)
BRANCHES = {A: "CHI", B: "CHI", DALLAS: "DAL"}
ACCOUNTS = {A: ACCOUNT, B: ACCOUNT, DALLAS: DALLAS_ACCOUNT}


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def item(item_id: UUID) -> Item:
    return Item(
        item_id=item_id,
        invoice_id=item_id,
        branch=BRANCHES.get(item_id, "CHI"),
        account_id=ACCOUNTS.get(item_id, ACCOUNT),
        issued_on=ISSUED_ON,
        due_on=date(2026, 2, 1),
    )


class Topics:
    """Delivers facts of the other services, each stream in order, as the consumer hands them on."""

    def __init__(self, door: FrontDoor) -> None:
        self._pool = door.store.pool
        self._handle = consumer(door.store)
        self._versions: Counter[str] = Counter()

    def envelop(self, fact: Fact) -> Delivered:
        stream = stream_of(fact)
        self._versions[stream] += 1
        envelope = Envelope(
            event_id=uuid4(),
            type=wire_of(fact),
            source="/openitem/test",
            stream=stream,
            stream_version=self._versions[stream],
            seq=sum(self._versions.values()),
            recorded_at=datetime.now(UTC),
            actor="tests",
            branch=fact.branch,
            correlation_id="their-request",
        )
        return Delivered(envelope, fact)

    async def deliver(self, *facts: Fact) -> list[Delivered]:
        """One batch, in one transaction; answers it, to be delivered again."""
        batch = [self.envelop(fact) for fact in facts]
        await self.again(batch)
        return batch

    async def again(self, batch: list[Delivered]) -> None:
        async with self._pool.acquire() as conn, conn.transaction():
            await self._handle(conn, batch)


def account(account_id: UUID = ACCOUNT, branch: str = "CHI") -> AccountOpened:
    return AccountOpened(
        branch=branch,
        effective_on=ISSUED_ON,
        account_id=account_id,
        number=f"A-{account_id.int}",
        currency="USD",
        terms_days=30,
    )


def issued(item_id: UUID, minor: int = 1_000_00) -> tuple[Fact, Fact]:
    """What both owners say of a new item."""
    at, dimensions = {"branch": BRANCHES.get(item_id, "CHI"), "effective_on": ISSUED_ON}, item(item_id)
    number, none = str(item_id.int), usd(0)
    return (
        InvoiceIssued(**at, item=dimensions, number=number, terms="net 30", total=usd(minor), tax=none, retainage=none),
        ItemOpened(**at, item=dimensions, number=number, original=usd(minor)),
    )


def received(on: date = PAID_ON, minor: int = 1_000_00, receipt_id: UUID = RECEIPT) -> PaymentReceived:
    return PaymentReceived(
        branch="CHI", effective_on=on, receipt_id=receipt_id, account_id=ACCOUNT, method="check", amount=usd(minor)
    )


def _lines(shares: dict[UUID, int]) -> dict[str, Any]:
    lines = tuple(Application(item=item(i), amount=usd(minor), open=usd(0)) for i, minor in shares.items())
    return {"branch": "CHI", "account_id": ACCOUNT, "lines": lines, "unapplied": usd(0)}


def applied(shares: dict[UUID, int], on: date = PAID_ON, receipt_id: UUID = RECEIPT) -> PaymentApplied:
    total = usd(sum(shares.values()))
    return PaymentApplied(**_lines(shares), effective_on=on, receipt_id=receipt_id, applied=total)


def unapplied(shares: dict[UUID, int], reason: Any, on: date = PAID_ON, receipt_id: UUID = RECEIPT) -> PaymentUnapplied:
    total = usd(sum(shares.values()))
    return PaymentUnapplied(**_lines(shares), effective_on=on, receipt_id=receipt_id, reason=reason, returned=total)


def reversed_(on: date, receipt_id: UUID = RECEIPT, minor: int = 1_000_00) -> PaymentReversed:
    return PaymentReversed(
        branch="CHI", effective_on=on, receipt_id=receipt_id, method="check", reason="nsf", amount=usd(minor)
    )


def attempt(**values: Any) -> dict[str, Any]:
    common = {"account_id": str(ACCOUNT), "channel": "call", "outcome": "reached", "item_ids": [str(A)]}
    return common | {"attempted_on": MADE_ON.isoformat()} | values


def promise(**values: Any) -> dict[str, Any]:
    common = {"account_id": str(ACCOUNT), "item_ids": [str(A)], "amount": "500.00", "currency": "USD"}
    return common | {"made_on": MADE_ON.isoformat(), "promised_on": PROMISED_ON.isoformat()} | values


def dispute(**values: Any) -> dict[str, Any]:
    common = {"item_id": str(A), "amount": "400.00", "currency": "USD", "reason": "PRC"}
    return common | {"opened_on": MADE_ON.isoformat()} | values


def follow_up(**values: Any) -> dict[str, Any]:
    common = {"account_id": str(ACCOUNT), "item_ids": [str(A)], "owner": "maria"}
    return common | {"scheduled_on": MADE_ON.isoformat(), "due_on": PROMISED_ON.isoformat()} | values


@pytest.fixture
async def database(make_database: MakeDatabase) -> str:
    return await make_database("contact")


@pytest.fixture
async def empty(database: str, tmp_path: Path) -> AsyncIterator[FrontDoor]:
    """Nothing has arrived here yet."""
    async with front_door(build, "contact", database, tmp_path) as door:
        yield door


@pytest.fixture
async def topics(empty: FrontDoor) -> Topics:
    return Topics(empty)


@pytest.fixture
async def door(empty: FrontDoor, topics: Topics) -> FrontDoor:
    """Two accounts and three items are known."""
    await topics.deliver(account(), account(DALLAS_ACCOUNT, "DAL"), *issued(A), *issued(B), *issued(DALLAS))
    return empty


async def make(door: FrontDoor, **values: Any) -> str:
    """Make a promise; its id."""
    made = await door.post("/promises", promise(**values))
    assert made.status_code == 201, made.text
    promise_id: str = made.json()["promise_id"]
    return promise_id


async def seen(door: FrontDoor, promise_id: str) -> tuple[str, str, str | None, str | None]:
    """Status, what is paid, when and why it ended."""
    answer = (await door.get(f"/promises/{promise_id}")).json()
    return answer["status"], answer["paid"], answer["ended_on"], answer["because"]
