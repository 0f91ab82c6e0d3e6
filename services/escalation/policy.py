"""What follows here from facts of others: money on items that an agency has is a recovery it may earn on. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final
from uuid import UUID

from events.money import Money
from events.payment import Application, PaymentApplied, PaymentUnapplied
from services.escalation.domain.recovery import CountPayment
from services.kernel.delivery import Delivered

ACTOR: Final = "escalation.policy"


def when(delivered: Delivered) -> list[CountPayment]:
    """One command for each item of a receipt, whether an agency has it or not: the command is prepared with that."""
    match delivered.fact:
        case PaymentApplied(receipt_id=receipt_id, lines=lines):
            return _count(delivered, receipt_id, lines, sign=1)
        case PaymentUnapplied(receipt_id=receipt_id, lines=lines):
            return _count(delivered, receipt_id, lines, sign=-1)
        case _:
            return []


def _count(delivered: Delivered, receipt_id: UUID, lines: Iterable[Application], *, sign: int) -> list[CountPayment]:
    """An item may have several lines, and counts once: the fact's id and the item's name the recovery."""
    changes: defaultdict[UUID, list[Money]] = defaultdict(list)
    for line in lines:
        changes[line.item.item_id].append(line.amount)
    return [
        CountPayment(
            event_id=delivered.envelope.event_id,
            receipt_id=receipt_id,
            item_id=item_id,
            change=Money(sign * sum(amount.minor for amount in amounts), amounts[0].currency),
            on=delivered.fact.effective_on,
            recorded_at=delivered.envelope.recorded_at,
        )
        for item_id, amounts in changes.items()
    ]
