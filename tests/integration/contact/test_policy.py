"""What payment facts do to promises and disputes, as the consumer delivers them."""

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from events.payment import ChangeCause, ItemChanged
from tests.integration.contact.conftest import (
    PAID_ON,
    RECEIPT,
    A,
    B,
    Topics,
    applied,
    dispute,
    issued,
    item,
    make,
    received,
    reversed_,
    seen,
    unapplied,
    usd,
)
from tests.support.front_door import FrontDoor

BOUNCED_ON = date(2026, 3, 18)


def changed(item_id: UUID, cause: ChangeCause, left: int = 0) -> ItemChanged:
    return ItemChanged(
        branch="CHI",
        effective_on=PAID_ON,
        item=item(item_id),
        cause=cause,
        caused_by=UUID(int=90),
        change=usd(-1),
        open=usd(left),
    )


async def test_a_payment_keeps_the_promise_and_its_reversal_breaks_it(door: FrontDoor, topics: Topics) -> None:
    promise_id = await make(door)
    await topics.deliver(received(), applied({A: 200_00}))
    assert await seen(door, promise_id) == ("open", "200.00", None, None)
    await topics.deliver(applied({A: 300_00}))
    assert await seen(door, promise_id) == ("kept", "500.00", "2026-03-10", None)
    await topics.deliver(unapplied({A: 500_00}, "reversal", BOUNCED_ON), reversed_(BOUNCED_ON))
    assert await seen(door, promise_id) == ("broken", "0.00", "2026-03-18", "payment_reversed")
    names = [name for stream, _, name in await door.facts() if stream == f"promise-{promise_id}"]
    assert [name.split(".")[2] for name in names] == [
        "promise_made",
        "promise_paid",
        "promise_paid",
        "promise_kept",
        "promise_paid",
        "promise_broken",
    ]


@pytest.mark.parametrize("promise_first", [True, False])
@pytest.mark.parametrize("bounces", [True, False])
async def test_the_order_in_which_promise_and_payment_are_learned_makes_no_difference(
    door: FrontDoor, topics: Topics, promise_first: bool, bounces: bool
) -> None:
    """A promise of last week that somebody enters today counts what was paid since it was made."""
    facts: list[Any] = [received(), applied({A: 500_00, B: 100_00})]
    if bounces:
        facts += [unapplied({A: 500_00, B: 100_00}, "reversal", BOUNCED_ON), reversed_(BOUNCED_ON)]
    if promise_first:
        promise_id = await make(door)
        await topics.deliver(*facts)
    else:
        await topics.deliver(*facts)
        promise_id = await make(door)
    status, paid, *_ = await seen(door, promise_id)
    if not bounces:
        assert (status, paid) == ("kept", "500.00")
    elif promise_first:
        assert (status, paid) == ("broken", "0.00")
    else:
        assert (status, paid) == ("open", "0.00")  # That money never stayed: the promise may yet be kept.


async def test_facts_in_one_batch_do_what_they_do_one_by_one(door: FrontDoor, topics: Topics) -> None:
    promise_id = await make(door)
    await topics.deliver(
        received(),
        applied({A: 300_00}),
        unapplied({A: 100_00}, "correction"),
        applied({A: 300_00}),
        unapplied({A: 500_00}, "reversal", BOUNCED_ON),
        reversed_(BOUNCED_ON),
    )
    assert await seen(door, promise_id) == ("broken", "0.00", "2026-03-18", "payment_reversed")


async def test_receipts_of_any_order_count_by_their_deposit_dates(door: FrontDoor, topics: Topics) -> None:
    late, in_time = UUID(int=71), UUID(int=72)
    promise_id = await make(door)
    booked = date(2026, 3, 20)  # After the last day, 16 March.
    await topics.deliver(received(date(2026, 3, 17), receipt_id=late), applied({A: 100_00}, booked, late))
    assert await seen(door, promise_id) == ("open", "0.00", None, None)
    await topics.deliver(received(date(2026, 3, 16), receipt_id=in_time), applied({A: 500_00}, booked, in_time))
    assert await seen(door, promise_id) == ("kept", "500.00", "2026-03-20", None)


async def test_a_fact_delivered_twice_counts_once(door: FrontDoor, topics: Topics) -> None:
    promise_id = await make(door)
    batch = await topics.deliver(received(), applied({A: 200_00}))
    before = await door.facts()
    await topics.again(batch)
    assert await door.facts() == before
    batch = await topics.deliver(unapplied({A: 50_00}, "credit_note"))
    await topics.again(batch)
    assert await seen(door, promise_id) == ("open", "150.00", None, None)


async def test_what_follows_says_which_fact_caused_it(door: FrontDoor, topics: Topics) -> None:
    await make(door)
    [_, application] = await topics.deliver(received(), applied({A: 500_00}))
    rows = await events(door, "openitem.contact.promise_paid.v1", "openitem.contact.promise_kept.v1")
    assert len(rows) == 2
    for row in rows:
        assert row["causation_id"] == str(application.envelope.event_id)
        assert (row["correlation_id"], row["actor"]) == ("their-request", "contact.policy")


async def events(door: FrontDoor, *types: str) -> list[Any]:
    async with door.store.pool.acquire() as conn, conn.transaction():
        await conn.execute("SELECT set_config('openitem.branches', '*', true)")
        return await conn.fetch("SELECT * FROM events WHERE type = ANY ($1) ORDER BY position", list(types))


async def test_a_receipt_moved_elsewhere_keeps_the_promise_until_it_bounces(door: FrontDoor, topics: Topics) -> None:
    promise_id = await make(door)
    await topics.deliver(received(), applied({A: 500_00}))
    await topics.deliver(unapplied({A: 500_00}, "correction"), applied({B: 500_00}))
    assert (await seen(door, promise_id))[0] == "kept"
    await topics.deliver(unapplied({B: 500_00}, "reversal", BOUNCED_ON), reversed_(BOUNCED_ON))
    assert await seen(door, promise_id) == ("broken", "0.00", "2026-03-18", "payment_reversed")


async def test_a_void_cancels_promises_and_upholds_disputes_of_the_item(door: FrontDoor, topics: Topics) -> None:
    single, both = await make(door), await make(door, item_ids=[str(B)], amount="1.00")
    dispute_id = (await door.post("/disputes", dispute())).json()["dispute_id"]
    await topics.deliver(changed(A, "voided"))
    assert await seen(door, single) == ("cancelled", "0.00", "2026-03-10", "invoice_voided")
    answer = (await door.get(f"/disputes/{dispute_id}")).json()
    assert (answer["outcome"], answer["upheld"]) == ("upheld", "400.00")
    assert (await seen(door, both))[0] == "open"


async def test_a_promise_over_two_items_ends_with_the_last_of_them_in_either_order(
    door: FrontDoor, topics: Topics
) -> None:
    promise_id = await make(door, item_ids=[str(A), str(B)])
    await topics.deliver(changed(A, "written_off"))
    assert (await seen(door, promise_id))[0] == "open"
    await topics.deliver(changed(A, "write_off_reversed", 1_000_00))
    await topics.deliver(changed(B, "voided"))
    assert (await seen(door, promise_id))[0] == "open"
    await topics.deliver(changed(A, "written_off"))
    assert await seen(door, promise_id) == ("cancelled", "0.00", "2026-03-10", "withdrawn")


async def test_a_promise_made_while_its_payment_is_booked_counts_it_once(door: FrontDoor, topics: Topics) -> None:
    """Whichever is first, the other sees it: neither is forgotten and nothing counts twice."""
    for n in range(12):
        item_id, receipt_id = UUID(int=1000 + n), UUID(int=2000 + n)
        await topics.deliver(*issued(item_id), received(receipt_id=receipt_id))
        pay = topics.deliver(applied({item_id: 200_00}, receipt_id=receipt_id))
        promise_id, _ = await asyncio.gather(make(door, item_ids=[str(item_id)]), pay)
        assert await seen(door, promise_id) == ("open", "200.00", None, None)


async def test_a_reversal_of_a_receipt_that_paid_nothing_promised_is_passed_over(
    door: FrontDoor, topics: Topics
) -> None:
    promise_id = await make(door)
    await topics.deliver(received(), applied({B: 500_00}), reversed_(PAID_ON + timedelta(days=1), RECEIPT))
    assert await seen(door, promise_id) == ("open", "0.00", None, None)
