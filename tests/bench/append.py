"""How fast does one fact become durable, with every guard there is, when many clients record one each?"""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg

from events.codec import encode, wire_of
from services.kernel.commands import Domain
from services.kernel.meta import EVERY_BRANCH, Cause, Meta
from services.kernel.store import Store, open_pool
from services.kernel.together import carry_out
from tests.bench.bench import Bench, Missing, crowd
from tests.bench.figure import Figure, at_least
from tests.support.facts import account_fact, stream_of

CLIENTS: Final = 32
EACH: Final = 300
PAST: Final = 300_000  # Facts that are there already: an append costs what its indexes cost.
_EACH_OTHERS: Final = 40  # Theirs takes longer.


async def measure(bench: Bench) -> list[Figure]:
    each = bench.count(EACH, 20)
    async with bench.databases() as make:
        url = await make("invoice")
        await _past(url, bench.count(PAST, 1_000))
        ours = await ours_rate(url, each)
        bare = await bare_rate(url, each)
        theirs = await asyncio.to_thread(eventsourcing_rate, await make("payment"), bench.count(_EACH_OTHERS, 10))
    return [
        Figure(f"durable append, {CLIENTS} clients", ours, "facts/s", bare, "BEGIN, INSERT, COMMIT", at_least(0.5)),
        Figure(
            f"durable append, {CLIENTS} clients",
            ours,
            "facts/s",
            theirs,
            "eventsourcing's save on Postgres",
            at_least(6),
        ),
    ]


async def _past(url: str, facts: int) -> None:
    """Fill the store as if so many facts had been recorded and published."""
    conn = await asyncpg.connect(url)
    try:
        async with conn.transaction():
            await conn.execute(_STREAMS, facts)
            await conn.execute(_EVENTS, wire_of(account_fact(uuid4(), 1)), encode(account_fact(uuid4(), 1)).decode())
        await conn.execute("VACUUM (ANALYZE) streams, events")
    finally:
        await conn.close()


async def ours_rate(url: str, each: int) -> float:
    """One fact under a key of its own: earlier answers looked for, the stream loaded, its version compared and set."""
    pool = await open_pool(url, size_max=CLIENTS, branches=EVERY_BRANCH)
    store = Store(pool)

    async def record(_: int) -> None:
        account_id = uuid4()
        meta = Meta(
            actor="bench",
            cause=Cause(str(account_id)),
            branches=EVERY_BRANCH,
            key=str(account_id),
            request=account_id.bytes,
        )
        await carry_out(store, meta, _ACCOUNTS, account_id)

    try:
        await crowd(CLIENTS, 3, record)  # Connections are opened and statements prepared.
        return await crowd(CLIENTS, each, record)
    finally:
        pool.terminate()


# A domain whose rules cost nothing: an account is opened, once.
_ACCOUNTS: Final[Domain[UUID, bool]] = Domain(
    initial=False,
    subject=stream_of,
    needs=lambda account_id, _: {stream_of(account_id)},
    decide=lambda account_id, states: (
        {} if states[stream_of(account_id)] else {stream_of(account_id): [account_fact(account_id, 1)]}
    ),
    evolve=lambda _, __: True,
)


async def bare_rate(url: str, each: int) -> float:
    """The same data into a table with a key and nothing else."""
    async with asyncpg.create_pool(url, min_size=CLIENTS, max_size=CLIENTS) as pool:
        await pool.execute("CREATE TABLE bare (id uuid PRIMARY KEY, type text, data json)")

        async def record(_: int) -> None:
            account_id: UUID = uuid4()
            fact = account_fact(account_id, 1)
            async with pool.acquire() as conn, conn.transaction():
                await conn.execute(
                    "INSERT INTO bare VALUES ($1, $2, $3)", account_id, wire_of(fact), encode(fact).decode()
                )

        await crowd(CLIENTS, 3, record)
        return await crowd(CLIENTS, each, record)


@cache
def _theirs() -> tuple[Any, Any]:
    """An application of the eventsourcing package and an aggregate like our account. Errors: Missing."""
    try:
        from eventsourcing.application import Application
        from eventsourcing.domain import Aggregate, event
    except ImportError:
        raise Missing("eventsourcing[postgres] is not installed: make lock, make setup") from None

    class Account(Aggregate):  # It keeps the class by its name, so there may be one only.
        @event("Opened")
        def __init__(self, branch: str, number: str, currency: str, terms_days: int, effective_on: str) -> None:
            self.branch, self.number, self.currency = branch, number, currency
            self.terms_days, self.effective_on = terms_days, effective_on

    return Application, Account


def eventsourcing_rate(url: str, each: int) -> float:
    """Aggregates of one event each, saved by as many threads. Errors: Missing."""
    application, account = _theirs()
    parts = urlsplit(url)
    environment = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts.path.lstrip("/"),
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": os.environ.get("PGPASSWORD", "none"),
        "POSTGRES_POOL_SIZE": str(CLIENTS),
        "POSTGRES_MAX_OVERFLOW": "0",
        "POSTGRES_MAX_WAITING": str(CLIENTS),
    }
    app = application(environment)

    def client(count: int) -> None:
        for _ in range(count):
            app.save(account("B01", str(uuid4()), "USD", 30, "2026-07-01"))

    try:
        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(client, [2] * CLIENTS))
            began = time.perf_counter()
            list(threads.map(client, [each] * CLIENTS))
            return CLIENTS * each / (time.perf_counter() - began)
    finally:
        app.close()


_STREAMS: Final = "INSERT INTO streams SELECT 'account-' || gen_random_uuid(), 1 FROM generate_series(1, $1::int)"
_EVENTS: Final = """
INSERT INTO events (stream, stream_version, type, branch, effective_on, data, actor, correlation_id)
SELECT stream, 1, $1::text, 'B01', '2026-07-01', $2::text::json, 'bench', 'bench' FROM streams
"""
