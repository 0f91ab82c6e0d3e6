"""Facts of other services on a real Postgres: what they do to items, in which order they may come."""

from datetime import date
from uuid import UUID, uuid4

import pytest

from events.escalation import WriteOffApproved, WriteOffReversed
from events.invoice import CreditNoteIssued, InvoiceIssued, InvoiceVoided
from events.money import Money
from services.kernel.policy import policy_handler
from services.kernel.store import Arriving
from services.payment.domain import DOMAIN
from services.payment.policy import ACTOR, when
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


async def test_a_write_off_that_is_read_before_its_invoice_changes_nothing_until_that_arrives(desk: Desk) -> None:
    invoice = issued(uuid4(), "100.00")
    with pytest.raises(Arriving):  # The consumer puts it aside and tries again by itself.
        await desk.arrive(issued(uuid4(), "5.00"), approved(invoice, "100.00"))
    assert await desk.facts() == 0
    await desk.arrive(invoice)
    await desk.arrive(approved(invoice, "100.00"))
    assert await desk.open_of(str(invoice.item.item_id)) == "0.00"
