"""An item came to an end without being paid: what that does to its promises and disputes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from events.contact import CancelReason
from events.envelope import Fact
from events.payment import ItemChanged
from services.contact.domain.dispute import Dispute, dispute_stream, resolution
from services.contact.domain.promise import Promise, cancelled_as, promise_stream

End = Literal["voided", "written_off"]
_REASONS: dict[End, CancelReason] = {"voided": "invoice_voided", "written_off": "withdrawn"}


class EndItem(msgspec.Struct, frozen=True, kw_only=True):
    """The item was voided, or all that was left of it written off.

    `ended` are all items known to have come to such an end, of those its promises cover.
    """

    item_id: UUID
    end: End
    ended_on: date
    promises: tuple[UUID, ...] = ()
    disputes: tuple[UUID, ...] = ()
    ended: tuple[UUID, ...] = ()


def end_of(fact: ItemChanged) -> End | None:
    """How the item ended without being paid, if this is what happened. One written off in part goes on."""
    match fact.cause:
        case "voided":
            return "voided"
        case "written_off" if fact.open.minor == 0:
            return "written_off"
        case _:
            return None


def end_item(
    command: EndItem, promises: Sequence[Promise], disputes: Sequence[Dispute]
) -> Mapping[str, Sequence[Fact]]:
    """Open promises that have no other item left are cancelled, neither kept nor broken. A void upholds the disputes of
    the item in full; a write-off leaves them, for it may be reversed and says nothing of who was right.

    Source   services/contact/decisions/0003-items-that-end-unpaid.md
    """
    ended = {*command.ended, command.item_id}
    facts: dict[str, Sequence[Fact]] = {
        promise_stream(promise.made.promise_id): [cancelled_as(promise, _REASONS[command.end], _on(command, promise))]
        for promise in promises
        if promise.status == "open" and ended.issuperset(promise.made.item_ids)
    }
    if command.end == "voided":
        facts.update(
            (dispute_stream(dispute.fact.dispute_id), [_upheld(command, dispute)])
            for dispute in disputes
            if dispute.resolved is None
        )
    return facts


def _on(command: EndItem, promise: Promise) -> date:
    """A void dated back to before the promise ends it on the day it was made."""
    return max(command.ended_on, promise.made.effective_on)


def _upheld(command: EndItem, dispute: Dispute) -> Fact:
    on = max(command.ended_on, dispute.fact.effective_on)
    return resolution(dispute, "upheld", dispute.fact.amount, on)
