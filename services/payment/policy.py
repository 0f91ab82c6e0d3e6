"""Facts of other services become commands on the items here. Pure: whoever calls carries the commands out."""

from __future__ import annotations

from typing import Final

from events.envelope import Fact
from events.escalation import WriteOffApproved, WriteOffReversed
from events.invoice import CreditNoteIssued, InvoiceIssued, InvoiceVoided, RetainageReleased
from services.kernel.delivery import Delivered
from services.payment.domain.commands import (
    CreditItem,
    ItemCommand,
    OpenItem,
    ReverseWriteOff,
    VoidItem,
    WriteOffItem,
)

ACTOR: Final = "payment.policy"


def when(delivered: Delivered) -> list[ItemCommand]:
    """The commands that follow from one fact; none from a fact that is not about what is owed."""
    return commands_of(delivered.fact)


def commands_of(fact: Fact) -> list[ItemCommand]:
    match fact:
        case InvoiceIssued():
            # What is withheld is not owed yet: its release opens an item of its own.
            original = fact.total - fact.retainage
            return [OpenItem(item=fact.item, number=fact.number, original=original, on=fact.effective_on)]
        case RetainageReleased():
            return [OpenItem(item=fact.item, number=fact.number, original=fact.amount, on=fact.effective_on)]
        case CreditNoteIssued():
            return [
                CreditItem(
                    item_id=fact.item.item_id,
                    credit_note_id=fact.credit_note_id,
                    amount=fact.amount,
                    on=fact.effective_on,
                )
            ]
        case InvoiceVoided():
            items = [fact.item, *(release.item for release in fact.releases)]
            return [
                VoidItem(item_id=item.item_id, invoice_id=fact.item.invoice_id, on=fact.effective_on) for item in items
            ]
        case WriteOffApproved():
            return [
                WriteOffItem(
                    item_id=fact.item_id, write_off_id=fact.write_off_id, amount=fact.amount, on=fact.effective_on
                )
            ]
        case WriteOffReversed():
            return [ReverseWriteOff(item_id=fact.item_id, write_off_id=fact.write_off_id, on=fact.effective_on)]
        case _:
            return []
