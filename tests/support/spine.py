"""The whole spine in a test's own event loop: relays of the four services, every consumer there is, and commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

import asyncpg

from events.money import Money
from events.topics import SERVICES, topic_of
from services.contact import worker as contact_worker
from services.contact.domain.promise import MakePromise
from services.contact.handlers import handle as contact
from services.contact.lookups import index as contact_index
from services.escalation import worker as escalation_worker
from services.escalation.lookups import index as escalation_index
from services.invoice.claims import index as invoice_index
from services.invoice.domain.account import OpenAccount
from services.invoice.domain.branch import RegisterBranch
from services.invoice.domain.invoice import IssueInvoice
from services.invoice.handlers import handle as invoice
from services.kernel.consume import Consumer
from services.kernel.delivery import ConsumerSpec
from services.kernel.meta import EVERY_BRANCH, Cause, Meta
from services.kernel.migrate import create_database, migrate
from services.kernel.relay import Relay
from services.kernel.settings import Settings, database_url
from services.kernel.store import Index, Store, open_pool
from services.payment import laws as payment_laws
from services.payment import worker as payment_worker
from services.payment.domain.commands import ApplyReceipt, Line, RecordReceipt
from services.payment.handlers import handle as payment
from services.projections import schema
from services.projections.laws import laws
from services.projections.worker import CONSUMERS as PROJECTIONS
from tests.support.facts import settings_of, topic_records
from tests.support.patience import PATIENCE_S, until

DATABASES = (*SERVICES, "projections")
BRANCH, ACCOUNT = "CHI", UUID(int=1)
BILLED_ON = date(2026, 3, 2)
INDEXES: dict[str, Index] = {"invoice": invoice_index, "contact": contact_index, "escalation": escalation_index}
SPECS: dict[str, Callable[[Store], Sequence[ConsumerSpec]]] = {
    "payment": payment_worker.consumers,
    "contact": contact_worker.consumers,
    "escalation": escalation_worker.consumers,
    "projections": lambda _: PROJECTIONS,
}
_numbers = count(1)


async def create_databases(postgres: str) -> None:
    """The databases of all services on a server of the test's own."""
    for service in DATABASES:
        await create_database(database_url(postgres, service))
    await asyncio.gather(*(migrate(database_url(postgres, service), service) for service in DATABASES))


class Spine:
    """The system on one PostgreSQL and one Kafka. `store` exists while it runs."""

    def __init__(self, postgres: str, kafka: str, prefix: str) -> None:
        self.urls = {service: database_url(postgres, service) for service in DATABASES}
        self.kafka, self.prefix = kafka, prefix
        self.store: dict[str, Store] = {}
        self.specs: dict[str, Sequence[ConsumerSpec]] = {}

    def settings(self, service: str) -> Settings:
        return settings_of(service, self.urls[service], self.kafka, self.prefix)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything runs; at the end it stops and nothing is connected any more."""
        async with AsyncExitStack() as stack:
            parts: list[Relay | Consumer] = []
            for service in DATABASES:
                settings = self.settings(service)
                pool = await open_pool(settings.database_url, size_max=6, branches=EVERY_BRANCH)
                stack.push_async_callback(pool.close)
                store = self.store[service] = Store(pool, INDEXES.get(service))
                relay = Relay(settings) if service in SERVICES else None
                parts += [relay] if relay else []
                self.specs[service] = SPECS[service](store) if service in SPECS else []
                wake = relay.wake if relay else _nothing
                parts += [Consumer(settings, spec, pool, then=wake) for spec in self.specs[service]]
            try:
                for part in parts:
                    await part.start()
                yield
            finally:
                # Consumers first: their relays publish what they last decided.
                await asyncio.gather(*(part.stop() for part in parts if isinstance(part, Consumer)))
                await asyncio.gather(*(part.stop() for part in parts if isinstance(part, Relay)))

    async def open_books(self) -> None:
        """A branch and an account."""
        now = datetime.now(UTC)
        branch = RegisterBranch(branch=BRANCH, name="Chicago", region=None, timezone="America/Chicago", now=now)
        await invoice(self.store["invoice"], meta(), branch)
        await invoice(
            self.store["invoice"],
            meta(),
            OpenAccount(
                account_id=ACCOUNT,
                branch=BRANCH,
                number="A-1",
                name="Granite Builders",
                profile="commercial_entity",
                currency="USD",
                terms_days=30,
                now=now,
            ),
        )

    async def trade(self, times: int = 1) -> None:
        """Bill, receive part of it, apply it, and have the rest promised: facts of three services, some by policies."""
        for _ in range(times):
            item, receipt, number = uuid4(), uuid4(), next(_numbers)
            usd = lambda minor: Money(minor, "USD")  # noqa: E731
            await invoice(
                self.store["invoice"],
                meta(),
                IssueInvoice(
                    invoice_id=item,
                    branch=BRANCH,
                    account_id=ACCOUNT,
                    number=str(number),
                    issued_on=BILLED_ON,
                    total=usd(100_00 + number),
                    tax=usd(0),
                    retainage=usd(0),
                ),
            )
            await payment(
                self.store["payment"],
                meta(),
                RecordReceipt(
                    receipt_id=receipt,
                    branch=BRANCH,
                    account_id=ACCOUNT,
                    method="check",
                    amount=usd(60_00),
                    received_on=BILLED_ON + timedelta(days=20),
                ),
            )
            await contact(
                self.store["contact"],
                meta(),
                MakePromise(
                    promise_id=uuid4(),
                    account_id=ACCOUNT,
                    item_ids=(item,),
                    amount=usd(20_00),
                    made_on=BILLED_ON + timedelta(days=5),
                    promised_on=BILLED_ON + timedelta(days=30),
                ),
            )
            apply = ApplyReceipt(receipt_id=receipt, lines=(Line(item, usd(50_00)),))
            await payment(self.store["payment"], meta(), apply)

    async def quiet(self) -> None:
        """Wait until everything recorded is published and everything published is applied, by everybody."""
        await until(self._still)

    async def _still(self) -> bool:
        # First what is applied, then what there is: a policy that applies a fact in between has recorded its own, which
        # would be missing the other way round.
        applied = [
            (spec, dict(await self.store[service].pool.fetch(_APPLIED, spec.name)))
            for service, specs in self.specs.items()
            for spec in specs
        ]
        heads: dict[str, dict[str, int]] = {}
        for service in SERVICES:
            pool = self.store[service].pool
            waiting = "SELECT EXISTS (SELECT FROM outbox) OR (SELECT seq_assigned > seq_acknowledged FROM relay)"
            if await pool.fetchval(waiting):
                return False
            heads[service] = dict(await pool.fetch("SELECT stream, version FROM streams"))
        return all(rows == {s: v for topic in spec.topics for s, v in heads[topic].items()} for spec, rows in applied)

    async def log(self, service: str) -> list[tuple[object, ...]]:
        """Every published fact of a service with all that it says, but for its place in the table."""
        conn = await asyncpg.connect(self.urls[service])
        try:
            return [tuple(row) for row in await conn.fetch(_LOG)]
        finally:
            await conn.close()

    async def topic(self, service: str) -> dict[int, set[tuple[str, str, int]]]:
        """Sequence to what the topic has under it: id, stream and version."""
        found: dict[int, set[tuple[str, str, int]]] = {}
        for record in await asyncio.to_thread(topic_records, self.kafka, topic_of(service, self.prefix)):
            key = (record.headers["ce_id"].decode(), record.stream, record.version)
            found.setdefault(record.seq, set()).add(key)
        return found

    async def check(self) -> None:
        """Every law, and that each topic is exactly its store: the same facts under the same numbers, without holes."""
        for service in SERVICES:
            log = await self.log(service)
            said = {seq: {(str(event_id), stream, version)} for seq, event_id, stream, version, *_ in log}
            assert list(said) == list(range(1, len(log) + 1)), service
            assert await self.topic(service) == said, service
        async with self.store["payment"].pool.acquire() as conn, conn.transaction():
            assert await payment_laws.check(conn, 0, 10**9, []) == []
        async with self.store["projections"].pool.acquire() as conn, conn.transaction():
            await schema.use(conn, schema.LIVE)
            found = await laws(conn, thorough=True, quiet=timedelta(0))
        assert found
        assert [law for law in found if not law.holds] == []
        for service, specs in self.specs.items():
            if specs:
                assert await self.store[service].pool.fetchval("SELECT count(*) FROM parked") == 0, service


def meta(actor: str = "tester") -> Meta:
    """A command that waits for what other services are about to make known."""
    return Meta(actor=actor, cause=Cause(str(uuid4())), branches=EVERY_BRANCH, key=str(uuid4()), wait_s=PATIENCE_S)


def _nothing() -> None:
    pass


_APPLIED = "SELECT stream, version FROM consumer_stream WHERE consumer = $1"
_LOG = """
SELECT p.seq, e.event_id, e.stream, e.stream_version, e.type, e.branch, e.effective_on, e.data::text,
       e.actor, e.correlation_id, e.causation_id, e.traceparent, e.recorded_at
FROM published p JOIN events e USING (position) ORDER BY p.seq
"""
