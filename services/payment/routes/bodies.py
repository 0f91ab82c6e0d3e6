"""What commands on receipts are asked with. Amounts are decimal strings; currencies stand beside them."""

from __future__ import annotations

from datetime import date
from typing import Any, Final
from uuid import UUID

from pydantic import ConfigDict, Field

from events.payment import Method, ReversalReason
from services.kernel.rim import AmountText, BranchText, CurrencyText
from services.kernel.route import Body
from services.payment.rim import LINES_MAX, Reference

_ACCOUNT: Final = "5b2f8f0c-6f0e-4f57-8f6a-0a1a7d1d3c01"
_ITEM: Final = "3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11"


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [example]})


class ReceiptBody(Body):
    """Money that came in. Without an account, its payer is unknown until identified."""

    model_config = _example(
        branch="B010",
        account_id=_ACCOUNT,
        method="check",
        reference="1002",
        amount="1204.50",
        currency="USD",
        received_on="2025-04-10",
    )
    receipt_id: UUID | None = Field(default=None, description="Made from the Idempotency-Key where absent.")
    branch: BranchText
    account_id: UUID | None = None
    method: Method
    reference: Reference | None = None
    amount: AmountText
    currency: CurrencyText
    received_on: date = Field(description="The day of the deposit.")


class IdentificationBody(Body):
    """The payer of an unidentified receipt."""

    model_config = _example(account_id=_ACCOUNT)
    account_id: UUID
    identified_on: date | None = Field(default=None, description="The day of the deposit where absent.")


class LineBody(Body):
    """One item's share."""

    item_id: UUID
    amount: AmountText


class ApplicationBody(Body):
    """The items that a receipt settles: all of them, or none is."""

    model_config = _example(currency="USD", lines=[{"item_id": _ITEM, "amount": "1204.50"}])
    currency: CurrencyText
    lines: list[LineBody] = Field(min_length=1, max_length=LINES_MAX)
    applied_on: date | None = Field(
        default=None,
        description="The day of the deposit where absent. A line never counts before the date of its invoice.",
    )


class UndoLineBody(Body):
    """An item whose application is undone, wholly where no amount is given."""

    item_id: UUID
    amount: AmountText | None = None


class UnapplicationBody(Body):
    """The applications that are undone: all of the receipt's where no line is given."""

    model_config = _example(currency="USD", lines=[{"item_id": _ITEM, "amount": "200.00"}])
    currency: CurrencyText
    lines: list[UndoLineBody] = Field(default_factory=list, max_length=LINES_MAX)
    unapplied_on: date | None = Field(
        default=None, description="Where absent, each is undone as though it had never been."
    )


class ReversalBody(Body):
    """The bank took the money back."""

    model_config = _example(reason="nsf", reversed_on="2025-04-15")
    reason: ReversalReason
    reversed_on: date


class RefundBody(Body):
    """Unapplied money that goes back to the customer."""

    model_config = _example(amount="50.00", currency="USD", refunded_on="2025-05-02")
    refund_id: UUID | None = Field(default=None, description="Made from the Idempotency-Key where absent.")
    amount: AmountText
    currency: CurrencyText
    refunded_on: date
