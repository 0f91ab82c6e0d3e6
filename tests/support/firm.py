"""All five applications in this process, each on a database of its own; facts go from one to the next without Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import asyncpg
import httpx
from fastapi import FastAPI

from events import codec
from events.envelope import Envelope
from events.topics import SERVICES
from services.contact.app import build as contact
from services.contact.consumer import consumer as contact_consumer
from services.escalation.app import build as escalation
from services.escalation.consumer import consumer as escalation_consumer
from services.invoice.app import build as invoice
from services.kernel.delivery import Delivered, Handler
from services.kernel.policy import policy_handler
from services.kernel.settings import Settings
from services.kernel.store import Store
from services.payment.app import build as payment
from services.payment.domain import DOMAIN as PAYMENT
from services.payment.policy import ACTOR, when
from services.projections.project import handler as project
from services.reporting.app import build as reporting
from services.reporting.settings import ReportingSettings
from tests.support.tokens import ISSUER, Issuer

MakeDatabase = Callable[[str], Awaitable[str]]
Build = Callable[[Any], FastAPI]
BUILD: Final[dict[str, Build]] = {
    "invoice": invoice,
    "payment": payment,
    "contact": contact,
    "escalation": escalation,
    "reporting": reporting,
}
APPS: Final = tuple(BUILD)
# Whose facts each consumer takes, as the workers say.
_READS: Final = {
    "payment": ("invoice", "escalation"),
    "contact": ("invoice", "payment"),
    "escalation": ("invoice", "payment", "contact"),
    "projections": SERVICES,
}


def settings_for(service: str, database: str, issuer: Issuer) -> Settings:
    kind = ReportingSettings if service == "reporting" else Settings
    return kind(
        service=service,
        postgres=database,
        database=database,
        kafka="127.0.0.1:1",  # An app never speaks to Kafka: its worker does.
        jwks=str(issuer.path),
        issuer=ISSUER,
    )


class Firm:
    """The applications, and how facts travel between them. `databases` names the projections' as reporting's."""

    def __init__(self, databases: Mapping[str, str], issuer: Issuer) -> None:
        self.databases = databases
        self.issuer = issuer
        self.apps = {name: BUILD[name](settings_for(name, databases[name], issuer)) for name in databases}
        self.clients: dict[str, httpx.AsyncClient] = {}
        self._told: dict[str, int] = dict.fromkeys(SERVICES, 0)

    def store(self, service: str) -> Store:
        store: Store = self.apps[service].state.store
        return store

    def caller(self, branches: Sequence[str] | str = "*", role: str = "admin", sub: str = "ann") -> dict[str, str]:
        """The Authorization header of somebody."""
        return self.issuer.header(sub, (role,), branches)

    async def send(
        self, service: str, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """One request, under a key of its own; somebody who may do everything unless `headers` say who asks."""
        given = {"Idempotency-Key": uuid4().hex, **(self.caller() if headers is None else headers)}
        return await self.clients[service].request(method, path, headers=given, **more)

    async def facts(self, service: str) -> int:
        """How many facts are on record."""
        async with self.store(service).pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('openitem.branches', '*', true)")
            count: int = await conn.fetchval("SELECT count(*) FROM events")
        return count

    async def settle(self) -> None:
        """Hand on what is new, and what follows from it, until nothing does: as the relays and consumers would."""
        handlers = self._handlers()
        while any([await self._hand_on(source, handlers) for source in SERVICES]):
            pass

    async def _hand_on(self, source: str, handlers: Mapping[str, tuple[str, Handler]]) -> bool:
        batch = await self._new_of(source)
        for reader, (url, handler) in handlers.items():
            if batch and source in _READS[reader]:
                settings = {"role": "openitem_app", "openitem.branches": "*"}
                conn = await asyncpg.connect(url, server_settings=settings)
                try:
                    async with conn.transaction():
                        await handler(conn, batch)
                finally:
                    await conn.close()
        return bool(batch)

    def _handlers(self) -> dict[str, tuple[str, Handler]]:
        at = self.databases
        return {
            "payment": (at["payment"], policy_handler(self.store("payment"), PAYMENT, when, ACTOR)),
            "contact": (at["contact"], contact_consumer(self.store("contact"))),
            "escalation": (at["escalation"], escalation_consumer(self.store("escalation"))),
            "projections": (at["reporting"], project),
        }

    async def _new_of(self, service: str) -> list[Delivered]:
        async with self.store(service).pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('openitem.branches', '*', true)")
            rows = await conn.fetch("SELECT * FROM events WHERE position > $1 ORDER BY position", self._told[service])
        if rows:
            self._told[service] = rows[-1]["position"]
        return [_delivered(service, row) for row in rows]


def _delivered(service: str, row: asyncpg.Record) -> Delivered:
    envelope = Envelope(
        event_id=row["event_id"],
        type=row["type"],
        source=f"/openitem/{service}",
        stream=row["stream"],
        stream_version=row["stream_version"],
        seq=row["position"],
        recorded_at=row["recorded_at"],
        actor=row["actor"],
        branch=row["branch"],
        correlation_id=row["correlation_id"],
    )
    return Delivered(envelope, codec.decode(row["type"], row["data"]))


@asynccontextmanager
async def open_firm(make_database: MakeDatabase, issuer: Issuer, apps: Sequence[str] = APPS) -> AsyncIterator[Firm]:
    """A firm without any facts, with its applications' lifespans. Facts travel only where it has all of them."""
    databases = {name: await make_database("projections" if name == "reporting" else name) for name in apps}
    firm = Firm(databases, issuer)
    async with AsyncExitStack() as stack:
        for name, app in firm.apps.items():
            await stack.enter_async_context(app.router.lifespan_context(app))
            transport = httpx.ASGITransport(app=app)
            client = httpx.AsyncClient(transport=transport, base_url=f"http://{name}.test")
            firm.clients[name] = await stack.enter_async_context(client)
        yield firm
