"""Facts of the invoice service: branches, customer accounts, jobs, invoices, credit notes and retainage."""

from __future__ import annotations

from datetime import date
from typing import Literal
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.item import Item
from events.money import Currency, Money
from events.registry import event

Profile = Literal["commercial_entity", "commercial_natural", "consumer"]
CreditReason = Literal["price", "scope", "warranty", "return", "tax", "duplicate", "goodwill", "other"]


@event("invoice.branch_registered", version=1)
class BranchRegistered(Fact, frozen=True, kw_only=True):
    """A branch exists. `timezone` is an IANA name; contact windows and "today" of the branch follow it."""

    name: str
    region: str | None = None
    timezone: str = "America/New_York"


class _AccountState(Fact, frozen=True, kw_only=True):
    account_id: UUID
    number: str
    # A trade name. A natural person's name never stands in a fact: the contact service keeps it, and can forget it.
    name: str | None = None
    profile: Profile = "consumer"
    currency: Currency
    terms_days: int
    collector: str | None = None


@event("invoice.account_opened", version=1)
class AccountOpened(_AccountState, frozen=True, kw_only=True):
    """A customer account was opened at its home branch. An unknown profile is the strictest one, consumer."""


@event("invoice.account_changed", version=1)
class AccountChanged(_AccountState, frozen=True, kw_only=True):
    """The account as it is from now on. Number, currency and home branch never change."""


@event("invoice.job_opened", version=1)
class JobOpened(Fact, frozen=True, kw_only=True):
    """Work for one account at one site, to which invoices are billed."""

    job_id: UUID
    account_id: UUID
    number: str
    name: str | None = None


@event("invoice.issued", version=1)
class InvoiceIssued(Fact, frozen=True, kw_only=True):
    """An invoice was issued; `effective_on` is its date.

    `total` includes `tax`. `retainage` is the part of `total` that the customer withholds by contract: it is not due
    until released, so what ages from `item.due_on` is `total - retainage`.
    """

    item: Item
    number: str
    po: str | None = None
    terms: str
    total: Money
    tax: Money
    retainage: Money


@event("invoice.credit_note_issued", version=1)
class CreditNoteIssued(Fact, frozen=True, kw_only=True):
    """Part of an invoice was taken back. `credited` is the sum of its credit notes after this one."""

    item: Item
    credit_note_id: UUID
    number: str
    amount: Money
    reason: CreditReason
    credited: Money


class ReleaseCancelled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A released part of retainage that a void takes back with its invoice."""

    item: Item
    amount: Money


@event("invoice.voided", version=1)
class InvoiceVoided(Fact, frozen=True, kw_only=True):
    """The invoice should never have been. What was paid on it becomes unapplied cash.

    `cancelled` is what had been billed and not credited, `retainage_cancelled` what was still withheld.
    """

    item: Item
    reason: str
    cancelled: Money
    retainage_cancelled: Money
    releases: tuple[ReleaseCancelled, ...] = ()


@event("invoice.retainage_released", version=1)
class RetainageReleased(Fact, frozen=True, kw_only=True):
    """Part of the retainage became due, as an open item of its own (`item.item_id` is the release).

    `parent` is the invoice's item, `retainage` what stays withheld on it.
    """

    item: Item
    parent: Item
    number: str
    amount: Money
    retainage: Money


def due_by_terms(issued_on: date, terms_days: int) -> date:
    """Net terms: due so many calendar days after the invoice date."""
    return date.fromordinal(issued_on.toordinal() + terms_days)
