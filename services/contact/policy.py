"""Facts of the payment service become commands on the promises and disputes here. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from events.money import Money
from events.payment import Application, ItemChanged, PaymentApplied, PaymentReversed, PaymentUnapplied
from services.contact.domain import PolicyCommand
from services.contact.domain.counting import CountPayment, TakeBackReceipt, UncountPayment
from services.contact.domain.ended_item import EndItem, end_of
from services.kernel.delivery import Delivered

ACTOR: Final = "contact.policy"


def when(delivered: Delivered) -> list[PolicyCommand]:
    """The commands that follow from one fact; none from a fact that promises and disputes are not about."""
    event_id, fact = delivered.envelope.event_id, delivered.fact
    match fact:
        case PaymentApplied(lines=lines):
            return [
                CountPayment(
                    receipt_id=fact.receipt_id,
                    item_id=item_id,
                    amount=amount,
                    # Until the receipt's own fact is looked up; a receipt is never applied before it is received.
                    received_on=fact.effective_on,
                    applied_on=fact.effective_on,
                    caused_by=event_id,
                )
                for item_id, amount in _by_item(lines)
            ]
        case PaymentUnapplied(reason="reversal"):
            # The reversal itself follows, in the same decision, and takes back whatever is left of the receipt.
            return []
        case PaymentUnapplied(lines=lines):
            return [
                UncountPayment(
                    receipt_id=fact.receipt_id,
                    item_id=item_id,
                    amount=amount,
                    unapplied_on=fact.effective_on,
                    caused_by=event_id,
                )
                for item_id, amount in _by_item(lines)
            ]
        case PaymentReversed():
            return [TakeBackReceipt(receipt_id=fact.receipt_id, reversed_on=fact.effective_on, caused_by=event_id)]
        case ItemChanged(item=item) if (end := end_of(fact)) is not None:
            return [EndItem(item_id=item.item_id, end=end, ended_on=fact.effective_on)]
        case _:
            return []


def _by_item(lines: Iterable[Application]) -> list[tuple[UUID, Money]]:
    """One amount per item: a receipt may name an item in several lines."""
    sums: defaultdict[UUID, int] = defaultdict(int)
    currency = ""
    for line in lines:
        sums[line.item.item_id] += line.amount.minor
        currency = line.amount.currency
    return [(item_id, Money(minor, currency)) for item_id, minor in sums.items()]
