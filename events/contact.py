"""Facts of the contact service: attempts, promises to pay, disputes and follow-ups.

People's names, numbers and words are not here: a fact carries ids, and the contact service can forget what they name.
"""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

from events.envelope import Fact
from events.money import Money
from events.registry import event

Channel = Literal["call", "email", "letter", "certified_mail", "text", "visit"]
Outcome = Literal[
    "reached",
    "left_message",
    "no_answer",
    "wrong_number",
    "sent",
    "delivered",
    "bounced",
    "refused",
    "returned",
]
DisputeReason = Literal[
    "RET", "PRC", "SCP", "WAR", "CO", "BCK", "TAX", "DOC", "DUP", "PO", "FEE", "DSC", "UNK"
]  # Retainage, price, scope, warranty, change order, backcharge, tax, documents, duplicate, missing PO, fee, discount.
DisputeOutcome = Literal["upheld", "partly_upheld", "rejected", "withdrawn"]
BrokenReason = Literal["not_paid", "payment_reversed"]
CancelReason = Literal["renegotiated", "withdrawn", "entry_error", "invoice_voided"]


@event("contact.attempt_logged", version=1)
class AttemptLogged(Fact, frozen=True, kw_only=True):
    """Somebody was contacted, or it was tried. One attempt may cover many items of the account."""

    attempt_id: UUID
    account_id: UUID
    channel: Channel
    outcome: Outcome
    item_ids: tuple[UUID, ...] = ()
    person_id: UUID | None = None
    note_id: UUID | None = None


@event("contact.promise_made", version=1)
class PromiseMade(Fact, frozen=True, kw_only=True):
    """The customer promised `amount` by `promised_on`, for the items named.

    It is kept once `threshold_pct` of the amount is applied by receipts dated no later than
    `promised_on + grace_days`.
    """

    promise_id: UUID
    account_id: UUID
    item_ids: tuple[UUID, ...]
    amount: Money
    promised_on: date
    grace_days: int
    threshold_pct: int
    plan_id: UUID | None = None


class _PromiseProgress(Fact, frozen=True, kw_only=True):
    promise_id: UUID
    account_id: UUID
    amount: Money
    promised_on: date
    paid: Money  # Counted towards the promise after this fact.


@event("contact.promise_paid", version=1)
class PromisePaid(_PromiseProgress, frozen=True, kw_only=True):
    """A receipt's money on the promised items counts towards the promise; `change` is negative when it is undone.

    `item_id` is the item the money was applied to, `caused_by` the payment fact that did it: absent where the money was
    on record before the promise was.
    """

    receipt_id: UUID
    item_id: UUID | None = None
    change: Money
    caused_by: UUID | None = None


@event("contact.promise_kept", version=1)
class PromiseKept(_PromiseProgress, frozen=True, kw_only=True):
    """Enough was paid in time."""


@event("contact.promise_broken", version=1)
class PromiseBroken(_PromiseProgress, frozen=True, kw_only=True):
    """The date and its grace passed, or a payment that had kept it was reversed: a new fact, the kept one stays."""

    reason: BrokenReason


@event("contact.promise_cancelled", version=1)
class PromiseCancelled(_PromiseProgress, frozen=True, kw_only=True):
    """The promise no longer counts, neither as kept nor as broken."""

    reason: CancelReason


@event("contact.dispute_opened", version=1)
class DisputeOpened(Fact, frozen=True, kw_only=True):
    """The customer contests `amount` of an item. Only that part pauses; the rest is still chased."""

    dispute_id: UUID
    account_id: UUID
    item_id: UUID
    amount: Money
    reason: DisputeReason
    owner: str | None = None
    note_id: UUID | None = None


@event("contact.dispute_resolved", version=1)
class DisputeResolved(Fact, frozen=True, kw_only=True):
    """The dispute ended. `upheld` is the part the customer was right about; a credit note for it is its own fact."""

    dispute_id: UUID
    account_id: UUID
    item_id: UUID
    amount: Money
    outcome: DisputeOutcome
    upheld: Money


@event("contact.follow_up_scheduled", version=1)
class FollowUpScheduled(Fact, frozen=True, kw_only=True):
    """Somebody is to look at the account again on `due_on`."""

    follow_up_id: UUID
    account_id: UUID
    item_ids: tuple[UUID, ...] = ()
    due_on: date
    owner: str | None = None
    note_id: UUID | None = None


@event("contact.follow_up_done", version=1)
class FollowUpDone(Fact, frozen=True, kw_only=True):
    """The follow-up was done, by the attempt named where there was one."""

    follow_up_id: UUID
    account_id: UUID
    attempt_id: UUID | None = None
