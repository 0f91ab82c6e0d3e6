"""Which commands follow from payment facts."""

from uuid import UUID

from events.envelope import Fact
from events.payment import Application, PaymentApplied, PaymentReceived, PaymentUnapplied
from services.escalation.policy import when
from tests.support.delivery import delivered
from tests.unit.escalation.build import ACCOUNT, ITEM, LATER, OTHER_ITEM, RECEIPT, count, seen, usd


def line(item_id: UUID, minor: int) -> Application:
    return Application(item=seen(item_id).item, amount=usd(minor), open=usd(0))


def changes(fact: Fact) -> list[tuple[UUID, int]]:
    return [(command.item_id, command.change.minor) for command in when(delivered(fact))]


APPLIED = PaymentApplied(
    branch="CHI",
    effective_on=LATER,
    receipt_id=RECEIPT,
    account_id=ACCOUNT,
    lines=(line(ITEM, 100_00), line(OTHER_ITEM, 60_00), line(ITEM, 5_00)),
    applied=usd(165_00),
    unapplied=usd(0),
)


def test_every_item_of_an_application_counts_once_with_all_its_lines() -> None:
    assert changes(APPLIED) == [(ITEM, 105_00), (OTHER_ITEM, 60_00)]


def test_the_fact_names_the_recovery_that_follows_from_it() -> None:
    one = delivered(APPLIED)
    [command, _] = when(one)
    assert command == count(105_00, event_id=one.envelope.event_id, recorded_at=one.envelope.recorded_at, placements=())


def test_what_is_unapplied_counts_against() -> None:
    fact = PaymentUnapplied(
        branch="CHI",
        effective_on=LATER,
        receipt_id=RECEIPT,
        account_id=ACCOUNT,
        lines=(line(ITEM, 100_00),),
        reason="reversal",
        returned=usd(100_00),
        unapplied=usd(100_00),
    )
    assert changes(fact) == [(ITEM, -100_00)]


def test_other_facts_lead_to_nothing() -> None:
    fact = PaymentReceived(branch="CHI", effective_on=LATER, receipt_id=RECEIPT, method="check", amount=usd(1))
    assert when(delivered(fact)) == []
