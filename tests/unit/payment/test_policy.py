"""Facts of the invoice and escalation topics become commands on items; all others become none."""

from events.escalation import WriteOffApproved, WriteOffReversed
from events.invoice import (
    BranchRegistered,
    CreditNoteIssued,
    InvoiceIssued,
    InvoiceVoided,
    ReleaseCancelled,
    RetainageReleased,
)
from services.payment.domain.commands import CreditItem, OpenItem, ReverseWriteOff, VoidItem, WriteOffItem
from services.payment.policy import commands_of
from tests.unit.payment.build import ACCOUNT, DAY, NOTE, OFF, A, B, day, item, usd


def test_an_invoice_opens_an_item_without_its_retainage() -> None:
    fact = InvoiceIssued(
        branch="CHI",
        effective_on=DAY,
        item=item(),
        number="4711",
        terms="net 30",
        total=usd("100"),
        tax=usd("8"),
        retainage=usd("10"),
    )
    assert commands_of(fact) == [OpenItem(item=item(), number="4711", original=usd("90"), on=DAY)]


def test_a_release_of_retainage_opens_an_item_of_its_own() -> None:
    fact = RetainageReleased(
        branch="CHI",
        effective_on=day(0),
        item=item(B),
        parent=item(),
        number="4711-R1",
        amount=usd("10"),
        retainage=usd("0"),
    )
    assert commands_of(fact) == [OpenItem(item=item(B), number="4711-R1", original=usd("10"), on=day(0))]


def test_a_credit_note_credits_the_item() -> None:
    fact = CreditNoteIssued(
        branch="CHI",
        effective_on=day(0),
        item=item(),
        credit_note_id=NOTE,
        number="C1",
        amount=usd("5"),
        reason="price",
        credited=usd("5"),
    )
    assert commands_of(fact) == [CreditItem(item_id=A, credit_note_id=NOTE, amount=usd("5"), on=day(0))]


def test_a_void_closes_the_item_and_every_release() -> None:
    fact = InvoiceVoided(
        branch="CHI",
        effective_on=day(0),
        item=item(),
        reason="duplicate",
        cancelled=usd("90"),
        retainage_cancelled=usd("0"),
        releases=(ReleaseCancelled(item=item(B), amount=usd("10")),),
    )
    assert commands_of(fact) == [
        VoidItem(item_id=A, invoice_id=A, on=day(0)),
        VoidItem(item_id=B, invoice_id=A, on=day(0)),
    ]


def test_an_approved_write_off_closes_the_item_and_its_reversal_opens_it() -> None:
    approved = WriteOffApproved(
        branch="CHI",
        effective_on=day(0),
        write_off_id=OFF,
        account_id=ACCOUNT,
        item_id=A,
        amount=usd("5"),
        reason="uncollectable",
        requested_by="r",
        approved_by="a",
    )
    taken_back = WriteOffReversed(
        branch="CHI",
        effective_on=day(1),
        write_off_id=OFF,
        account_id=ACCOUNT,
        item_id=A,
        amount=usd("5"),
        reversed_by="a",
    )
    assert commands_of(approved) == [WriteOffItem(item_id=A, write_off_id=OFF, amount=usd("5"), on=day(0))]
    assert commands_of(taken_back) == [ReverseWriteOff(item_id=A, write_off_id=OFF, on=day(1))]


def test_what_is_not_about_money_owed_is_left_alone() -> None:
    assert commands_of(BranchRegistered(branch="CHI", effective_on=DAY, name="Chicago")) == []
