"""Money that came in and went back, by day and method, and how late each account pays."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from events.payment import PaymentApplied, PaymentReceived, PaymentRefunded, PaymentReversed, PaymentUnapplied
from services.kernel.delivery import Known
from services.projections.deltas import Deltas, Model
from services.projections.table import Row, Table


class CashMovementRow(Row):
    stream: str
    stream_version: int
    cause: str
    receipt_id: UUID
    branch: str
    account_id: UUID | None
    method: str
    currency: str
    received_on: date
    effective_on: date
    recorded_at: datetime
    amount_minor: int


class CashDayRow(Row):
    effective_on: date
    branch: str
    currency: str
    method: str
    received_minor: int = 0
    reversed_minor: int = 0
    refunded_minor: int = 0
    receipts: int = 0


class BehaviourRow(Row):
    account_id: UUID
    branch: str
    currency: str
    paid_minor: int = 0
    late_minor_days: Decimal = 0  # type: ignore[assignment]  # An int here; numeric because the product outgrows bigint.


CASH_MOVEMENT: Final = Table("cash_movement", CashMovementRow)
CASH_DAY: Final = Table("cash_receipt_day", CashDayRow, ["effective_on", "branch", "currency", "method"])
BEHAVIOUR: Final = Table("payment_behaviour", BehaviourRow, ["account_id", "branch", "currency"])


def _moved(
    out: Deltas, known: Known, cause: str, fact: PaymentReceived | PaymentReversed | PaymentRefunded, sign: int
) -> CashDayRow:
    envelope, receipt = known.envelope, out.receipts[fact.receipt_id]
    out.add(
        CASH_MOVEMENT,
        CashMovementRow(
            envelope.stream,
            envelope.stream_version,
            cause,
            fact.receipt_id,
            fact.branch,
            fact.account_id,
            receipt.method,
            fact.amount.currency,
            receipt.received_on,
            fact.effective_on,
            envelope.recorded_at,
            sign * fact.amount.minor,
        ),
    )
    return out.at(CASH_DAY, fact.effective_on, fact.branch, fact.amount.currency, receipt.method)


def _received(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentReceived)
    day = _moved(out, known, "received", fact, +1)
    day.received_minor += fact.amount.minor
    day.receipts += 1


def _reversed(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentReversed)
    _moved(out, known, "reversed", fact, -1).reversed_minor += fact.amount.minor


def _refunded(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, PaymentRefunded)
    _moved(out, known, "refunded", fact, -1).refunded_minor += fact.amount.minor


def _paid(out: Deltas, known: Known) -> None:
    """Late by the day the money came in, not by the day somebody applied it. What is undone no longer counts."""
    fact = known.fact
    assert isinstance(fact, PaymentApplied | PaymentUnapplied)
    sign = 1 if isinstance(fact, PaymentApplied) else -1
    paid_on = out.receipts[fact.receipt_id].received_on
    for line in fact.lines:
        row = out.at(BEHAVIOUR, line.item.account_id, line.item.branch, line.amount.currency)
        minor = sign * line.amount.minor
        row.paid_minor += minor
        row.late_minor_days += minor * (paid_on - line.item.due_on).days


CASH: Final = Model(
    "cash",
    (CASH_MOVEMENT, CASH_DAY, BEHAVIOUR),
    {
        PaymentReceived: _received,
        PaymentReversed: _reversed,
        PaymentRefunded: _refunded,
        PaymentApplied: _paid,
        PaymentUnapplied: _paid,
    },
)
