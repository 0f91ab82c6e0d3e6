"""A payment service on a database of its own: HTTP without a socket, and facts as its consumer would deliver them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from events.codec import wire_of
from events.envelope import Envelope, Fact
from events.invoice import InvoiceIssued
from events.item import Item
from events.money import Money
from services.kernel.delivery import Delivered
from services.kernel.policy import policy_handler
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.payment.app import build
from services.payment.domain import DOMAIN
from services.payment.policy import ACTOR, when
from tests.conftest import MakeDatabase
from tests.support.front_door import headers_of
from tests.support.scenario import stream_of
from tests.support.tokens import ISSUER, Issuer

ACCOUNT = UUID(int=1)
ISSUED = date(2025, 3, 1)
EVERYBODY = "*"


class Desk:
    """What a person at the payment service's door can do, and what its consumer does behind it."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer) -> None:
        self.app = app
        self.client = client
        self.issuer = issuer

    @property
    def store(self) -> Store:
        store: Store = self.app.state.store
        return store

    async def post(
        self,
        path: str,
        body: dict[str, Any],
        *,
        key: str | None = None,
        role: str = "controller",
        branches: Sequence[str] | str = EVERYBODY,
        **headers: str,
    ) -> httpx.Response:
        token = self.issuer.header(roles=[role], branches=branches)
        return await self.client.post(
            path, json=body, headers={"Idempotency-Key": key or str(uuid4()), **token, **headers_of(headers)}
        )

    async def get(
        self, path: str, *, role: str = "auditor", branches: Sequence[str] | str = EVERYBODY, **headers: str
    ) -> httpx.Response:
        return await self.client.get(path, headers={**self.issuer.header(roles=[role], branches=branches), **headers})

    async def upload(self, kind: str, csv: str, **headers: str) -> list[dict[str, Any]]:
        """Send a file; the lines that came back."""
        token = self.issuer.header(roles=["controller"])
        answer = await self.client.post(
            f"/imports/{kind}", content=csv, headers={"Content-Type": "text/csv", **token, **headers}
        )
        assert answer.status_code == 200, answer.text
        return [httpx.Response(200, content=line).json() for line in answer.text.splitlines()]

    async def receipt(self, amount: str, *, branch: str = "CHI", **more: Any) -> str:
        """Record a receipt of ACCOUNT's; its id."""
        body = {
            "branch": branch,
            "account_id": str(ACCOUNT),
            "method": "check",
            "amount": amount,
            "currency": "USD",
            "received_on": "2025-04-10",
        }
        answer = await self.post("/receipts", {**body, **more})
        assert answer.status_code == 201, answer.text
        receipt_id: str = answer.json()["receipt_id"]
        return receipt_id

    async def item(self, original: str, *, branch: str = "CHI") -> str:
        """Let an invoice's fact arrive; the item's id."""
        fact = issued(uuid4(), original, branch=branch)
        await self.arrive(fact)
        return str(fact.item.item_id)

    async def arrive(self, *facts: Fact) -> None:
        """What the consumer does with facts of other topics."""
        handler = policy_handler(self.store, DOMAIN, when, ACTOR)
        async with self.store.pool.acquire() as conn, conn.transaction():
            await handler(conn, [delivered(fact) for fact in facts])

    async def open_of(self, item_id: str) -> str:
        answer = await self.get(f"/items/{item_id}")
        assert answer.status_code == 200, answer.text
        left: str = answer.json()["open"]
        return left

    async def facts(self) -> int:
        """How many facts are on record."""
        async with self.store.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('openitem.branches', '*', true)")
            count: int = await conn.fetchval("SELECT count(*) FROM events")
            return count


def delivered(fact: Fact) -> Delivered:
    envelope = Envelope(
        event_id=uuid4(),
        type=wire_of(fact),
        source="/openitem/test",
        stream=stream_of(fact),
        stream_version=1,
        seq=1,
        recorded_at=datetime(2025, 3, 1, tzinfo=UTC),
        actor="tests",
        branch=fact.branch,
        correlation_id="c",
    )
    return Delivered(envelope, fact)


def issued(invoice_id: UUID, total: str, *, branch: str = "CHI", account: UUID = ACCOUNT) -> InvoiceIssued:
    item = Item(
        item_id=invoice_id,
        invoice_id=invoice_id,
        branch=branch,
        account_id=account,
        issued_on=ISSUED,
        due_on=date(2025, 3, 31),
    )
    zero = Money.zero("USD")
    return InvoiceIssued(
        branch=branch,
        effective_on=ISSUED,
        item=item,
        number="4711",
        terms="net 30",
        total=Money.parse(total, "USD"),
        tax=zero,
        retainage=zero,
    )


@pytest.fixture
async def desk(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[Desk]:
    issuer = Issuer(tmp_path)
    settings = Settings(
        service="payment",
        postgres="postgresql://unused",
        database=await make_database("payment"),
        kafka="unused:9092",
        jwks=str(issuer.path),
        issuer=ISSUER,
    )
    app = build(settings)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app=app)
        client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://payment"))
        yield Desk(app, client, issuer)
