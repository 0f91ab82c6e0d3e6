"""What the streams of this service fold to. States hold the facts themselves, so that nothing can drift from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.invoice import (
    AccountChanged,
    AccountOpened,
    BranchRegistered,
    CreditNoteIssued,
    InvoiceIssued,
    InvoiceVoided,
    JobOpened,
    RetainageReleased,
)
from events.item import Item
from events.money import Money


class Absent(msgspec.Struct, frozen=True):
    """Nothing is on record."""


class Branch(msgspec.Struct, frozen=True):
    """A registered branch."""

    registered: BranchRegistered


class Account(msgspec.Struct, frozen=True):
    """An account as it was opened, and as it is."""

    opened: AccountOpened
    current: AccountOpened | AccountChanged


class Job(msgspec.Struct, frozen=True):
    """A job that invoices may be billed to."""

    opened: JobOpened


class Invoice(msgspec.Struct, frozen=True):
    """An issued invoice with what was taken back of it, and what of its retainage became due."""

    issued: InvoiceIssued
    credits: tuple[CreditNoteIssued, ...] = ()
    releases: tuple[RetainageReleased, ...] = ()
    voided: InvoiceVoided | None = None

    @property
    def item(self) -> Item:
        return self.issued.item

    @property
    def billed(self) -> Money:
        """What the invoice's own item asks for: without the retainage, which is never due as part of it."""
        return self.issued.total - self.issued.retainage

    @property
    def credited(self) -> Money:
        return self.credits[-1].credited if self.credits else Money.zero(self.issued.total.currency)

    @property
    def withheld(self) -> Money:
        """The retainage that was not released yet."""
        return self.releases[-1].retainage if self.releases else self.issued.retainage


State: TypeAlias = Absent | Branch | Account | Job | Invoice
States: TypeAlias = Mapping[str, State]
ABSENT = Absent()
# Writes a UUID out in a quarter of the time that `str` takes, which was a tenth of an import's.
_text: Final = msgspec.to_builtins


def branch_stream(code: str) -> str:
    return f"branch-{code}"


def account_stream(account_id: UUID) -> str:
    return f"account-{_text(account_id)}"


def job_stream(job_id: UUID) -> str:
    return f"job-{_text(job_id)}"


def invoice_stream(invoice_id: UUID) -> str:
    return f"invoice-{_text(invoice_id)}"


def evolve(state: State, fact: Fact) -> State:
    """Fold one recorded fact. Total over the facts of this service: it never refuses."""
    match fact:
        case BranchRegistered():
            return Branch(fact)
        case AccountOpened():
            return Account(fact, fact)
        case AccountChanged():
            assert isinstance(state, Account), "stream is corrupt: changed before opened"
            return Account(state.opened, fact)
        case JobOpened():
            return Job(fact)
        case InvoiceIssued():
            assert isinstance(state, Absent), "stream is corrupt: issued twice"
            return Invoice(fact)
        case CreditNoteIssued():
            assert isinstance(state, Invoice), "stream is corrupt: credited before issued"
            return msgspec.structs.replace(state, credits=(*state.credits, fact))
        case RetainageReleased():
            assert isinstance(state, Invoice), "stream is corrupt: released before issued"
            return msgspec.structs.replace(state, releases=(*state.releases, fact))
        case InvoiceVoided():
            assert isinstance(state, Invoice), "stream is corrupt: voided before issued"
            return msgspec.structs.replace(state, voided=fact)
        case _:
            raise AssertionError(f"{type(fact).__name__} is no fact of this service")
