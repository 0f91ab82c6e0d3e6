"""Facts of other services on a real Postgres: what they do to items, and how long they wait for one."""

from datetime import date
from uuid import UUID, uuid4

import pytest

from events.escalation import WriteOffApproved, WriteOffReversed
from events.invoice import CreditNoteIssued, InvoiceIssued, InvoiceVoided
from events.money import Money
from services.kernel.delivery import Delivered
from services.kernel.policy import policy_handler
from services.kernel.store import Conn
from services.payment.domain import DOMAIN
from services.payment.domain.refusals import ItemUnknown
from services.payment.policy import ACTOR, when
from services.payment.waiting import NotArrived, patient
from tests.integration.payment.conftest import ACCOUNT, Desk, delivered, issued

OFF = UUID(int=0x21)
ON = date(2025, 5, 1)


def usd(text: str) -> Money:
    return Money.parse(text, "USD")


def voided(invoice: InvoiceIssued) -> InvoiceVoided:
    return InvoiceVoided(
        branch="CHI",
        effective_on=ON,
        item=invoice.item,
        reason="duplicate",
        cancelled=invoice.total,
        retainage_cancelled=usd("0"),
    )


def approved(invoice: InvoiceIssued, amount: str) -> WriteOffApproved:
    return WriteOffApproved(
        branch="CHI",
        effective_on=ON,
        write_off_id=OFF,
        account_id=ACCOUNT,
        item_id=invoice.item.item_id,
        amount=usd(amount),
        reason="uncollectable",
        requested_by="r",
        approved_by="a",
    )


async def paid(desk: Desk, invoice: InvoiceIssued, amount: str) -> str:
    receipt = await desk.receipt(amount)
    body = {"currency": "USD", "lines": [{"item_id": str(invoice.item.item_id), "amount": amount}]}
    assert (await desk.post(f"/receipts/{receipt}/applications", body)).status_code == 200
    return receipt


async def test_a_void_of_a_partly_paid_invoice_gives_the_money_back_to_its_receipts(desk: Desk) -> None:
    invoice = issued(uuid4(), "100.00")
    await desk.arrive(invoice)
    receipts = [await paid(desk, invoice, "30.00"), await paid(desk, invoice, "20.00")]
    await desk.arrive(voided(invoice))
    for receipt, amount in zip(receipts, ("30.00", "20.00"), strict=True):
        assert (await desk.get(f"/receipts/{receipt}")).json()["unapplied"] == amount
    body = (await desk.get(f"/items/{invoice.item.item_id}")).json()
    assert (body["open"], body["voided"], body["applications"]) == ("0.00", "100.00", [])


async def test_a_credit_note_above_what_is_open_frees_the_newest_receipt(desk: Desk) -> None:
    invoice = issued(uuid4(), "100.00")
    await desk.arrive(invoice)
    old, new = await paid(desk, invoice, "60.00"), await paid(desk, invoice, "40.00")
    await desk.arrive(
        CreditNoteIssued(
            branch="CHI",
            effective_on=ON,
            item=invoice.item,
            credit_note_id=uuid4(),
            number="C1",
            amount=usd("30.00"),
            reason="price",
            credited=usd("30.00"),
        )
    )
    assert (await desk.get(f"/receipts/{old}")).json()["unapplied"] == "0.00"
    assert (await desk.get(f"/receipts/{new}")).json()["unapplied"] == "30.00"
    assert await desk.open_of(str(invoice.item.item_id)) == "0.00"


async def test_a_write_off_closes_what_is_open_and_its_reversal_opens_it_again(desk: Desk) -> None:
    invoice = issued(uuid4(), "100.00")
    item = str(invoice.item.item_id)
    await desk.arrive(invoice)
    await paid(desk, invoice, "60.00")
    await desk.arrive(approved(invoice, "100.00"))
    assert (await desk.get(f"/items/{item}")).json()["written_off"] == "40.00"
    back = WriteOffReversed(
        branch="CHI",
        effective_on=ON,
        write_off_id=OFF,
        account_id=ACCOUNT,
        item_id=invoice.item.item_id,
        amount=usd("100.00"),
        reversed_by="a",
    )
    await desk.arrive(back)
    assert await desk.open_of(item) == "40.00"


async def test_facts_that_come_again_add_nothing(desk: Desk) -> None:
    invoice = issued(uuid4(), "100.00")
    facts = [invoice, approved(invoice, "10.00"), voided(invoice)]
    await desk.arrive(*facts)
    before = await desk.facts()
    await desk.arrive(*facts)
    assert await desk.facts() == before


async def test_what_follows_from_a_fact_says_so(desk: Desk) -> None:
    fact = delivered(issued(uuid4(), "100.00"))
    handler = policy_handler(desk.store, DOMAIN, when, ACTOR)
    async with desk.store.pool.acquire() as conn, conn.transaction():
        await handler(conn, [fact])
        row = await conn.fetchrow("SELECT actor, causation_id, correlation_id FROM events")
    assert row is not None
    assert tuple(row) == (ACTOR, str(fact.envelope.event_id), "c")


class TestWaiting:
    """A write-off may be read before the invoice that it is about."""

    async def test_it_is_tried_again_for_a_while_then_refused_at_once_whatever_the_batch(self, desk: Desk) -> None:
        clock = [0.0]
        handler = patient(policy_handler(desk.store, DOMAIN, when, ACTOR), wait_s=20, clock=lambda: clock[0])
        early, fine = delivered(approved(issued(uuid4(), "1"), "1")), delivered(issued(uuid4(), "5"))

        async def deliver(*batch: Delivered) -> None:
            async with desk.store.pool.acquire() as conn, conn.transaction():
                await handler(conn, batch)

        for now in (0.0, 19.9):
            clock[0] = now
            with pytest.raises(NotArrived):
                await deliver(early, fine)
        clock[0] = 20.0
        with pytest.raises(ItemUnknown):
            await deliver(early, fine)
        with pytest.raises(ItemUnknown):  # The consumer halves the batch to find it, and must not wait again.
            await deliver(early)
        await deliver(fine)
        assert await desk.facts() == 1

    async def test_it_goes_on_when_the_item_arrives_meanwhile(self, desk: Desk) -> None:
        invoice = issued(uuid4(), "100.00")
        handler = patient(policy_handler(desk.store, DOMAIN, when, ACTOR))
        fact = delivered(approved(invoice, "100.00"))

        async def deliver(conn: Conn) -> None:
            async with conn.transaction():
                await handler(conn, [fact])

        async with desk.store.pool.acquire() as conn:
            with pytest.raises(NotArrived):
                await deliver(conn)
            await desk.arrive(invoice)
            await deliver(conn)
        assert await desk.open_of(str(invoice.item.item_id)) == "0.00"
