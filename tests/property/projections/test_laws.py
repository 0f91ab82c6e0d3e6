"""What must hold for every history, in whatever order and batches it is delivered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from random import Random

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.kernel.delivery import Delivered
from services.projections.laws import laws
from tests.conftest import MakeDatabase
from tests.support.histories import DAYS, FIRST, history, shuffled
from tests.support.read_models import absorb, aging, dump, expected_aging, reader

# An example writes to a real Postgres: a few dozen are seconds. The fixture's connection is emptied between examples.
few = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
seeds = st.integers(0, 2**32)


@pytest.fixture
async def conn(make_database: MakeDatabase) -> AsyncIterator[asyncpg.Connection]:
    async with reader(await make_database("projections")) as conn:
        yield conn


async def clear(conn: asyncpg.Connection) -> None:
    for (name,) in await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'live'"):
        await conn.execute(f"DELETE FROM {name}")


@few
@given(seed=seeds, steps=st.integers(1, 90), sizes=st.tuples(st.integers(1, 200), st.integers(1, 200)))
async def test_order_between_streams_and_size_of_batches_make_no_difference(
    conn: asyncpg.Connection, seed: int, steps: int, sizes: tuple[int, int]
) -> None:
    rng = Random(seed)
    books = history(rng, steps)
    told = []
    for log, size in zip((books.log, shuffled(books.log, rng)), sizes, strict=True):
        await clear(conn)
        await absorb(conn, log, size)
        told.append(await dump(conn))
    assert told[0] == told[1]


@few
@given(seed=seeds, steps=st.integers(1, 90), size=st.integers(1, 60))
async def test_the_laws_hold_after_every_batch_in_any_order(
    conn: asyncpg.Connection, seed: int, steps: int, size: int
) -> None:
    rng = Random(seed)
    log = shuffled(history(rng, steps).log, rng)
    await clear(conn)
    for at in range(0, len(log), size):
        await absorb(conn, log[at : at + size])
        broken = [law for law in await laws(conn, thorough=True, quiet=timedelta(days=9999)) if not law.holds]
        assert not broken
    # All is said: now the payment service's word must be ours too.
    assert all(law.holds for law in await laws(conn, quiet=timedelta(0)))


@few
@given(seed=seeds, steps=st.integers(1, 90), day=st.integers(-5, DAYS + 100), by=st.sampled_from(["branch", "account"]))
async def test_aging_is_what_the_books_say_on_any_day_as_known_at_any_time(
    conn: asyncpg.Connection, seed: int, steps: int, day: int, by: str
) -> None:
    rng = Random(seed)
    books = history(rng, steps)
    await clear(conn)
    await absorb(conn, shuffled(books.log, rng))
    as_of, known_at = FIRST + timedelta(days=day), rng.choice(books.log).envelope.recorded_at
    for known in (None, known_at):
        assert await aging(conn, by, as_of, known) == expected_aging(books, by, as_of, known)


def later(log: Sequence[Delivered], as_of: date) -> list[Delivered]:
    """Facts effective after the day, of each stream up to its first that is not: a hole would be parked."""
    found: list[Delivered] = []
    held: set[str] = set()
    for known in log:
        if known.fact.effective_on > as_of and known.envelope.stream not in held:
            found.append(known)
        else:
            held.add(known.envelope.stream)
    return found


@few
@given(seed=seeds, steps=st.integers(2, 90), day=st.integers(0, DAYS))
async def test_later_facts_leave_a_day_alone_and_earlier_knowledge_leaves_out_later_facts(
    conn: asyncpg.Connection, seed: int, steps: int, day: int
) -> None:
    rng = Random(seed)
    books = history(rng, steps)
    as_of, half = FIRST + timedelta(days=day), len(books.log) // 2
    then = books.log[half - 1].envelope.recorded_at
    await clear(conn)
    await absorb(conn, books.log[:half])
    before = await aging(conn, "item", as_of)
    await absorb(conn, later(books.log[half:], as_of))
    assert await aging(conn, "item", as_of) == before
    await clear(conn)
    await absorb(conn, books.log)
    assert await aging(conn, "item", as_of, then) == before
