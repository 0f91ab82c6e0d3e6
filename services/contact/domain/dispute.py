"""Disputes: which part of an item the customer contests, and how that ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

import msgspec

from events.contact import DisputeOpened, DisputeOutcome, DisputeReason, DisputeResolved
from events.money import Money
from services.contact.domain.absent import Absent
from services.contact.domain.named import CurrencyDiffers, ItemOfOtherAccount, Named, require_positive
from services.kernel.errors import Kind, Refused, Unknown
from services.mirror.known import ItemNotKnown, KnownItem


class DisputeChanged(Refused):
    """The dispute is on record with other values."""

    code = "dispute_changed"


class DisputeAboveOpen(Refused):
    """More would be contested than the item has left."""

    code = "dispute_above_open"


class DisputeAboveBilled(Refused):
    """More would be contested than was ever billed."""

    code = "dispute_above_billed"
    kind = Kind.INVALID


class DisputeOver(Refused):
    """The dispute was resolved before, in another way."""

    code = "dispute_already_resolved"


class UpheldInconsistent(Refused):
    """What is upheld does not go with the outcome."""

    code = "dispute_upheld_inconsistent"
    kind = Kind.INVALID


class ResolvedBeforeOpened(Refused):
    """A dispute cannot be resolved before it was opened."""

    code = "dispute_resolved_before_opened"
    kind = Kind.INVALID


class OpenDispute(msgspec.Struct, frozen=True, kw_only=True):
    """The customer contests `amount` of an item.

    `historic` is a dispute of the past, brought over from elsewhere: it is held against what was billed, for what is
    open today says nothing of then. `beside` are the other disputes of the item.
    """

    dispute_id: UUID
    item_id: UUID
    amount: Money
    reason: DisputeReason
    opened_on: date
    account_id: UUID | None = None
    owner: str | None = None
    note_id: UUID | None = None
    historic: bool = False
    named: Named = Named()
    beside: tuple[UUID, ...] = ()


class ResolveDispute(msgspec.Struct, frozen=True, kw_only=True):
    """The dispute ended. `upheld` is told by the outcome, except where only part is upheld."""

    dispute_id: UUID
    outcome: DisputeOutcome
    resolved_on: date
    upheld: Money | None = None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute on record; `resolved` is the fact that ended it."""

    fact: DisputeOpened
    resolved: DisputeResolved | None = None


def dispute_stream(dispute_id: UUID) -> str:
    return f"dispute-{dispute_id}"


def open_dispute(
    command: OpenDispute, state: Dispute | Absent, beside: Iterable[Dispute | Absent]
) -> Sequence[DisputeOpened]:
    """Errors in this order: AmountNotPositive, ItemNotKnown, ItemOfOtherAccount, CurrencyDiffers, DisputeChanged,
    then DisputeAboveOpen, or DisputeAboveBilled for history.

    Holds    the disputes that are open on an item never contest more than was open when the last of them was opened.
    Source   services/contact/decisions/0002-history-is-held-against-what-was-billed.md
    """
    require_positive(command.amount)
    known = _item(command)
    fact = DisputeOpened(
        branch=known.item.branch,
        effective_on=command.opened_on,
        dispute_id=command.dispute_id,
        account_id=known.item.account_id,
        item_id=command.item_id,
        amount=command.amount,
        reason=command.reason,
        owner=command.owner,
        note_id=command.note_id,
    )
    match state:
        case Absent():
            _within_bounds(command, known, beside)
            return [fact]
        case Dispute(fact=recorded):
            if recorded != fact:
                raise DisputeChanged("the dispute is on record with other values", field="dispute_id")
            return []


def resolve_dispute(command: ResolveDispute, state: Dispute | Absent) -> Sequence[DisputeResolved]:
    """Errors in this order: Unknown, ResolvedBeforeOpened, CurrencyDiffers, UpheldInconsistent, DisputeOver."""
    if isinstance(state, Absent):
        raise Unknown("no such dispute")
    opened = state.fact
    if command.resolved_on < opened.effective_on:
        raise ResolvedBeforeOpened("resolved before it was opened", field="resolved_on", opened_on=opened.effective_on)
    fact = resolution(state, command.outcome, _upheld(command, opened.amount), command.resolved_on)
    if state.resolved is None:
        return [fact]
    if state.resolved != fact:
        raise DisputeOver("it was resolved before", outcome=state.resolved.outcome, upheld=state.resolved.upheld)
    return []


def resolution(dispute: Dispute, outcome: DisputeOutcome, upheld: Money, resolved_on: date) -> DisputeResolved:
    """The fact that ends a dispute."""
    opened = dispute.fact
    return DisputeResolved(
        branch=opened.branch,
        effective_on=resolved_on,
        dispute_id=opened.dispute_id,
        account_id=opened.account_id,
        item_id=opened.item_id,
        amount=opened.amount,
        outcome=outcome,
        upheld=upheld,
    )


def _item(command: OpenDispute) -> KnownItem:
    known = next((known for known in command.named.items if known.item.item_id == command.item_id), None)
    if known is None:
        raise ItemNotKnown("no such item, or not in your branches", field="item_id", item_id=command.item_id)
    if command.account_id not in (None, known.item.account_id):
        raise ItemOfOtherAccount("the item is another account's", field="account_id", item_id=command.item_id)
    if command.amount.currency != known.open.currency:
        raise CurrencyDiffers("the item is in another currency", field="currency", currency=known.open.currency)
    return known


def _within_bounds(command: OpenDispute, known: KnownItem, beside: Iterable[Dispute | Absent]) -> None:
    if command.historic:
        billed = command.named.billed_of(command.item_id)
        if command.amount.minor > billed.minor:
            raise DisputeAboveBilled("more than was billed", field="amount", billed=billed)
        return
    contested = sum(
        other.fact.amount.minor
        for other in beside
        if isinstance(other, Dispute) and other.resolved is None and other.fact.item_id == command.item_id
    )
    if contested + command.amount.minor > known.open.minor:
        raise DisputeAboveOpen(
            "more than is open and not contested yet",
            field="amount",
            open=known.open,
            contested=Money(contested, known.open.currency),
        )


def _upheld(command: ResolveDispute, contested: Money) -> Money:
    """What is upheld. Errors: CurrencyDiffers, UpheldInconsistent."""
    given = command.upheld
    if given is not None and given.currency != contested.currency:
        raise CurrencyDiffers("the dispute is in another currency", field="currency", currency=contested.currency)
    nothing = Money.zero(contested.currency)
    match command.outcome:
        case "upheld":
            if given not in (None, contested):
                raise UpheldInconsistent(
                    "all of it is upheld, or it is partly_upheld", field="upheld", amount=contested
                )
            return contested
        case "partly_upheld":
            if given is None or not 0 < given.minor < contested.minor:
                raise UpheldInconsistent("say which part, less than all of it", field="upheld", amount=contested)
            return given
        case "rejected" | "withdrawn":
            if given not in (None, nothing):
                raise UpheldInconsistent("nothing is upheld", field="upheld", amount=contested)
            return nothing
