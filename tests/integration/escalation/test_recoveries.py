"""Payments to us on items that an agency has, as the payment service's facts tell of them."""

import asyncio
from datetime import date
from uuid import UUID, uuid4

from events.envelope import Fact
from events.payment import Application, PaymentApplied, PaymentReceived, PaymentUnapplied
from tests.integration.escalation.conftest import ACCOUNT, ITEM, SMALL, Desk, item, later, usd
from tests.support.delivery import delivered

RECEIPT = UUID(int=40)
PAID_ON = date(2025, 8, 1)


def line(item_id: UUID, minor: int) -> Application:
    return Application(item=item(item_id), amount=usd(minor), open=usd(0))


def applied(minor: int, item_id: UUID = ITEM, receipt_id: UUID = RECEIPT, on: date = PAID_ON) -> PaymentApplied:
    return PaymentApplied(
        branch="CHI",
        effective_on=on,
        receipt_id=receipt_id,
        account_id=ACCOUNT,
        lines=(line(item_id, minor),),
        applied=usd(minor),
        unapplied=usd(0),
    )


def unapplied(minor: int) -> PaymentUnapplied:
    return PaymentUnapplied(
        branch="CHI",
        effective_on=PAID_ON,
        receipt_id=RECEIPT,
        account_id=ACCOUNT,
        lines=(line(ITEM, minor),),
        reason="reversal",
        returned=usd(minor),
        unapplied=usd(minor),
    )


def received(on: date) -> Fact:
    return PaymentReceived(branch="CHI", effective_on=on, receipt_id=RECEIPT, method="check", amount=usd(300_00))


async def test_a_payment_to_us_earns_the_agency_its_fee_once(desk: Desk) -> None:
    placement_id = await desk.place(ITEM, SMALL)
    fact = delivered(applied(300_00))
    await desk.tell(fact)
    await desk.tell(fact)
    assert await desk.recoveries(placement_id) == [("direct", "300.00", "105.00", "195.00")]


async def test_a_reversed_payment_takes_the_fee_back(desk: Desk) -> None:
    placement_id = await desk.place(ITEM)
    await desk.tell(applied(300_00), unapplied(300_00))
    assert await desk.recoveries(placement_id) == [
        ("direct", "300.00", "105.00", "195.00"),
        ("direct", "-300.00", "-105.00", "-195.00"),
    ]
    assert (await desk.door.get(f"/placements/{placement_id}")).json()["recovered"] == "0.00"


async def test_what_was_on_record_before_the_placement_earns_nothing_however_late_it_is_heard(desk: Desk) -> None:
    before = delivered(applied(300_00), recorded_at=later())
    placement_id = await desk.place(ITEM)
    await desk.tell(before)
    assert await desk.recoveries(placement_id) == []


async def test_money_deposited_before_the_placement_earns_nothing(desk: Desk) -> None:
    placement_id = await desk.place(ITEM)
    await desk.tell(received(date(2025, 6, 30)), applied(300_00))
    assert await desk.recoveries(placement_id) == []


async def test_money_on_items_that_no_agency_has_leads_to_nothing(desk: Desk) -> None:
    before = await desk.door.facts()
    await desk.tell(applied(300_00), unapplied(300_00))
    assert await desk.door.facts() == before


async def test_many_payments_in_one_batch_all_count(desk: Desk) -> None:
    placement_id = await desk.place(ITEM)
    await desk.tell(*(applied(1_00, receipt_id=uuid4()) for _ in range(300)))
    assert (await desk.door.get(f"/placements/{placement_id}")).json()["recovered"] == "300.00"


async def test_a_payment_that_comes_while_the_item_is_being_placed_is_decided_one_way(desk: Desk) -> None:
    facts = [delivered(applied(1_00, receipt_id=uuid4()), recorded_at=later()) for _ in range(10)]
    placing = asyncio.create_task(desk.place(ITEM))
    await asyncio.gather(*(desk.tell(fact) for fact in facts))
    placement_id = await placing
    await desk.tell(*facts)
    assert await desk.recoveries(placement_id) == []


async def test_the_agencys_remittance_is_not_counted_again_as_paid_to_us(desk: Desk) -> None:
    placement_id = await desk.place(ITEM)
    await desk.tell(applied(300_00))
    recovery = {"gross": "300.00", "currency": "USD", "receipt_id": str(RECEIPT), "reported_on": "2025-08-02"}
    answer = await desk.door.post(f"/placements/{placement_id}/recoveries", recovery)
    assert answer.status_code == 201
    assert await desk.recoveries(placement_id) == [
        ("direct", "300.00", "105.00", "195.00"),
        ("direct", "-300.00", "-105.00", "-195.00"),
        ("agency", "300.00", "105.00", "195.00"),
    ]
