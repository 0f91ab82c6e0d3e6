"""The mirror on a real Postgres: repeats and the order between topics make no difference, and branches stay apart."""

import itertools
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from events.invoice import AccountOpened
from events.money import Money
from events.payment import ItemChanged, ItemOpened
from services.kernel.delivery import Delivered
from services.kernel.store import Pool, open_pool
from services.mirror.fold import keep
from services.mirror.known import KnownItem, accounts_of, items_of, items_of_account
from tests.conftest import MakeDatabase
from tests.support.delivery import delivered
from tests.unit.mirror.test_fold import (
    ACCOUNT,
    DAY,
    INVOICE,
    ITEM,
    account,
    credited,
    issued,
    usd,
    voided,
)


@pytest.fixture
async def pool(make_database: MakeDatabase) -> AsyncIterator[Pool]:
    pool = await open_pool(await make_database("contact"), size_max=2)
    yield pool
    await pool.close()


async def look(pool: Pool, branches: str = "*") -> KnownItem | None:
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('openitem.branches', $1, true)", branches)
        return (await items_of(conn, [INVOICE])).get(INVOICE)


async def tell(pool: Pool, *batch: Delivered) -> None:
    async with pool.acquire() as conn, conn.transaction():
        await keep(conn, batch)


def changed(minor: int, version: int) -> Delivered:
    fact = ItemChanged(
        branch="CHI",
        effective_on=DAY,
        item=ITEM,
        cause="applied",
        caused_by=UUID(int=9),
        change=usd(-1),
        open=usd(minor),
    )
    return delivered(fact, version)


def opened(minor: int) -> Delivered:
    fact = ItemOpened(branch="CHI", effective_on=DAY, item=ITEM, number="4711", original=usd(minor))
    return delivered(fact, 1)


async def test_until_payment_has_spoken_what_was_billed_is_open(pool: Pool) -> None:
    await tell(pool, delivered(issued(), 1))
    known = await look(pool)
    assert known is not None
    assert (known.open, known.item, known.number, known.voided) == (Money(90_00, "USD"), ITEM, "4711", False)
    await tell(pool, delivered(credited(5_00), 2))
    known = await look(pool)
    assert known is not None
    assert known.open == Money(85_00, "USD")


async def test_any_interleaving_of_the_two_topics_leads_to_the_same_mirror(pool: Pool) -> None:
    invoice = [delivered(issued(), 1), delivered(credited(5_00), 2)]
    payment = [opened(90_00), changed(50_00, 2), changed(45_00, 3)]
    results = set()
    for places in itertools.combinations(range(5), 2):
        order = list(payment)
        for place, fact in zip(places, invoice, strict=True):
            order.insert(place, fact)
        async with pool.acquire() as conn:
            attempt = conn.transaction()
            await attempt.start()
            for fact in order:
                await keep(conn, [fact])
                await keep(conn, [fact])  # And everything twice.
            results.add(tuple(map(tuple, await conn.fetch("SELECT * FROM mirror_item"))))
            await attempt.rollback()
    assert len(results) == 1


async def test_a_repeated_old_fact_does_not_take_the_mirror_back(pool: Pool) -> None:
    await tell(pool, delivered(issued(), 1), opened(90_00), changed(10_00, 2))
    await tell(pool, opened(90_00))
    known = await look(pool)
    assert known is not None
    assert known.open == Money(10_00, "USD")


async def test_nothing_is_open_on_a_voided_invoice_even_before_payment_says_so(pool: Pool) -> None:
    await tell(pool, delivered(issued(), 1), opened(90_00), delivered(voided(), 2))
    known = await look(pool)
    assert known is not None
    assert known.open == Money(0, "USD")
    assert known.voided


async def test_items_and_accounts_of_other_branches_are_not_seen(pool: Pool) -> None:
    await tell(pool, delivered(account(AccountOpened, 30), 1), delivered(issued(), 1))
    assert await look(pool, "DAL") is None
    assert await look(pool, "DAL,CHI") is not None
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('openitem.branches', 'CHI', true)")
        assert (await accounts_of(conn, [ACCOUNT]))[ACCOUNT].number == "A-1"
        assert [k.item.item_id for k in await items_of_account(conn, ACCOUNT)] == [INVOICE]


async def test_the_application_cannot_delete_what_is_mirrored(pool: Pool) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("DELETE FROM mirror_item")
