"""The receivables control account, by branch and currency: what the ledger's facts say, without a look at any item."""

from __future__ import annotations

from typing import Final

from events.invoice import CreditNoteIssued, InvoiceIssued, InvoiceVoided
from events.payment import (
    ItemChanged,
    PaymentApplied,
    PaymentReceived,
    PaymentRefunded,
    PaymentReversed,
    PaymentUnapplied,
)
from services.kernel.delivery import Known
from services.projections.deltas import Deltas, Model
from services.projections.models.movement import WRITTEN_OFF
from services.projections.table import Row, Table


class ControlRow(Row):
    branch: str
    currency: str
    invoiced_minor: int = 0
    credited_minor: int = 0
    voided_minor: int = 0
    received_minor: int = 0
    reversed_minor: int = 0
    refunded_minor: int = 0
    written_off_minor: int = 0
    applied_minor: int = 0
    transferred_minor: int = 0


CONTROL: Final = Table("control", ControlRow, ["branch", "currency"])


def _issued(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, InvoiceIssued)
    out.at(CONTROL, fact.item.branch, fact.total.currency).invoiced_minor += fact.total.minor


def _credited(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, CreditNoteIssued)
    out.at(CONTROL, fact.item.branch, fact.amount.currency).credited_minor += fact.amount.minor


def _voided(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, InvoiceVoided)
    minor = fact.cancelled.minor + fact.retainage_cancelled.minor
    minor += sum(release.amount.minor for release in fact.releases)
    out.at(CONTROL, fact.item.branch, fact.cancelled.currency).voided_minor += minor


def _received(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentReceived)
    out.at(CONTROL, fact.branch, fact.amount.currency).received_minor += fact.amount.minor


def _reversed(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentReversed)
    out.at(CONTROL, fact.branch, fact.amount.currency).reversed_minor += fact.amount.minor


def _refunded(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentRefunded)
    out.at(CONTROL, fact.branch, fact.amount.currency).refunded_minor += fact.amount.minor


def _applied(out: Deltas, known: Known) -> None:
    """`applied` is as the fact sums it up. Money of one branch on another's item moves receivables between the two."""
    fact = known.fact
    assert isinstance(fact, PaymentApplied | PaymentUnapplied)
    sign, total = (1, fact.applied) if isinstance(fact, PaymentApplied) else (-1, fact.returned)
    ours = out.at(CONTROL, fact.branch, total.currency)
    ours.applied_minor += sign * total.minor
    for line in fact.lines:
        if line.item.branch != fact.branch:
            ours.transferred_minor += sign * line.amount.minor
            out.at(CONTROL, line.item.branch, total.currency).transferred_minor -= sign * line.amount.minor


def _written_off(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, ItemChanged)
    if fact.cause in WRITTEN_OFF:
        out.at(CONTROL, fact.item.branch, fact.change.currency).written_off_minor -= fact.change.minor


CONTROLS: Final = Model(
    "control",
    (CONTROL,),
    {
        InvoiceIssued: _issued,
        CreditNoteIssued: _credited,
        InvoiceVoided: _voided,
        PaymentReceived: _received,
        PaymentReversed: _reversed,
        PaymentRefunded: _refunded,
        PaymentApplied: _applied,
        PaymentUnapplied: _applied,
        ItemChanged: _written_off,
    },
)
