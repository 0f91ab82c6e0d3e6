"""Which payment facts lead to which commands here."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from events.codec import wire_of
from events.envelope import Envelope, Fact
from events.invoice import BranchRegistered
from events.item import Item
from events.payment import (
    Application,
    ChangeCause,
    ItemChanged,
    PaymentApplied,
    PaymentReceived,
    PaymentReversed,
    PaymentUnapplied,
    UnapplyReason,
)
from services.contact.domain.counting import CountPayment, TakeBackReceipt, UncountPayment
from services.contact.domain.ended_item import EndItem
from services.contact.policy import when
from services.kernel.delivery import Delivered
from tests.support.scenario import stream_of
from tests.unit.contact.build import ACCOUNT, RECEIPT, A, B, usd

DAY, EVENT = date(2026, 3, 10), UUID(int=1001)


def delivered(fact: Fact) -> Delivered:
    envelope = Envelope(
        event_id=EVENT,
        type=wire_of(fact),
        source="/openitem/payment",
        stream=stream_of(fact),
        stream_version=1,
        seq=1,
        recorded_at=datetime(2026, 3, 11, tzinfo=UTC),
        actor="tests",
        branch=fact.branch,
        correlation_id="c",
    )
    return Delivered(envelope, fact)


def item(item_id: UUID) -> Item:
    return Item(item_id=item_id, invoice_id=item_id, branch="CHI", account_id=ACCOUNT, issued_on=DAY, due_on=DAY)


LINES = tuple(Application(item=item(i), amount=usd(n), open=usd(0)) for i, n in ((A, 100), (B, 50), (A, 1)))
MONEY = {"receipt_id": RECEIPT, "account_id": ACCOUNT, "branch": "CHI", "effective_on": DAY}


def unapplied(reason: UnapplyReason) -> PaymentUnapplied:
    return PaymentUnapplied(**MONEY, lines=LINES, reason=reason, returned=usd(151), unapplied=usd(151))


def changed(cause: ChangeCause, left: int) -> ItemChanged:
    return ItemChanged(
        branch="CHI", effective_on=DAY, item=item(A), cause=cause, caused_by=RECEIPT, change=usd(-1), open=usd(left)
    )


def test_an_application_counts_once_for_each_item() -> None:
    fact = PaymentApplied(**MONEY, lines=LINES, applied=usd(151), unapplied=usd(0))
    common = {"receipt_id": RECEIPT, "received_on": DAY, "applied_on": DAY, "caused_by": EVENT}
    assert when(delivered(fact)) == [
        CountPayment(item_id=A, amount=usd(101), **common),
        CountPayment(item_id=B, amount=usd(50), **common),
    ]


@pytest.mark.parametrize("reason", ["correction", "void", "credit_note"])
def test_what_is_unapplied_for_our_own_reasons_is_uncounted(reason: UnapplyReason) -> None:
    common = {"receipt_id": RECEIPT, "unapplied_on": DAY, "caused_by": EVENT}
    assert when(delivered(unapplied(reason))) == [
        UncountPayment(item_id=A, amount=usd(101), **common),
        UncountPayment(item_id=B, amount=usd(50), **common),
    ]


def test_a_reversal_is_taken_from_its_own_fact_which_follows_what_it_unapplied() -> None:
    assert when(delivered(unapplied("reversal"))) == []
    fact = PaymentReversed(**MONEY, method="check", reason="nsf", amount=usd(151))
    assert when(delivered(fact)) == [TakeBackReceipt(receipt_id=RECEIPT, reversed_on=DAY, caused_by=EVENT)]


def test_an_item_that_ends_unpaid_ends_here_too() -> None:
    assert when(delivered(changed("voided", 0))) == [EndItem(item_id=A, end="voided", ended_on=DAY)]
    assert when(delivered(changed("written_off", 0))) == [EndItem(item_id=A, end="written_off", ended_on=DAY)]


def test_one_written_off_in_part_goes_on() -> None:
    assert when(delivered(changed("written_off", 5))) == []


@pytest.mark.parametrize("cause", ["applied", "unapplied", "credited", "write_off_reversed", "retainage_released"])
def test_other_changes_of_an_item_are_told_by_other_facts(cause: ChangeCause) -> None:
    assert when(delivered(changed(cause, 0))) == []


def test_facts_that_promises_are_not_about_lead_to_nothing() -> None:
    received = PaymentReceived(branch="CHI", effective_on=DAY, receipt_id=RECEIPT, method="check", amount=usd(1))
    registered = BranchRegistered(branch="CHI", effective_on=DAY, name="Chicago")
    assert when(delivered(received)) == when(delivered(registered)) == []
