"""Rows of imports, and the command of each. A row's ids are given, so that a second run finds everything on record."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec

from events.envelope import Branch
from events.money import Currency
from events.payment import Method, ReversalReason
from services.kernel.bulk import BulkKind
from services.kernel.errors import Kind, Refused
from services.kernel.rim import money
from services.payment.domain import DOMAIN
from services.payment.domain.commands import ImportReceipt, Line, RecordReceipt, ReverseReceipt
from services.payment.rim import RowReference


class ApplicationIncomplete(Refused):
    """A row that applies names both the item and the amount."""

    code = "application_incomplete"
    kind: ClassVar[Kind] = Kind.INVALID


class ReceiptRow(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt, with what it settled of one item on one day. A receipt that settled more has a row for each."""

    receipt_id: UUID
    branch: Branch
    account_id: UUID | None = None
    method: Method
    reference: RowReference | None = None
    amount: str
    currency: Currency
    received_on: date
    item_id: UUID | None = None
    applied: str | None = None
    applied_on: date | None = None


class ReversalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt that the bank took back."""

    receipt_id: UUID
    reason: ReversalReason
    reversed_on: date


def import_receipt(row: ReceiptRow, _actor: str) -> ImportReceipt:
    """Errors: AmountInvalid, ApplicationIncomplete."""
    receipt = RecordReceipt(
        receipt_id=row.receipt_id,
        branch=row.branch,
        account_id=row.account_id,
        method=row.method,
        reference=row.reference,
        amount=money(row.amount, row.currency),
        received_on=row.received_on,
    )
    if row.item_id is None and row.applied is None:
        return ImportReceipt(receipt=receipt)
    if row.item_id is None:
        raise ApplicationIncomplete("name the item that it settled", field="item_id")
    if row.applied is None:
        raise ApplicationIncomplete("say how much of the item it settled", field="applied")
    line = Line(row.item_id, money(row.applied, row.currency, "applied"))
    return ImportReceipt(receipt=receipt, line=line, on=row.applied_on)


def reverse_receipt(row: ReversalRow, _actor: str) -> ReverseReceipt:
    return ReverseReceipt(receipt_id=row.receipt_id, reason=row.reason, on=row.reversed_on)


KINDS: Final[list[BulkKind[Any, Any]]] = [
    BulkKind("receipts", ReceiptRow, import_receipt, DOMAIN),
    BulkKind("reversals", ReversalRow, reverse_receipt, DOMAIN),
]
