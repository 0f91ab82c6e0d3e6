"""Facts and commands of payment with the values a test does not care about filled in. Amounts are dollars as text."""

from datetime import date, timedelta
from uuid import UUID

from events.item import Item
from events.money import Money
from events.payment import (
    Application,
    ChangeCause,
    ItemChanged,
    ItemOpened,
    Method,
    PaymentApplied,
    PaymentReceived,
    PaymentRefunded,
    PaymentReversed,
    PaymentUnapplied,
    UnapplyReason,
)
from services.payment.domain.commands import ApplyReceipt, ImportReceipt, Line, RecordReceipt

DAY = date(2025, 3, 1)  # Invoices are issued.
PAID = date(2025, 4, 10)  # Receipts come in.
ACCOUNT, OTHER_ACCOUNT = UUID(int=1), UUID(int=2)
A, B, C = UUID(int=0xA), UUID(int=0xB), UUID(int=0xC)  # Items.
R, R2, R3 = UUID(int=0x10), UUID(int=0x11), UUID(int=0x12)  # Receipts.
NOTE, OFF, REFUND = UUID(int=0x20), UUID(int=0x21), UUID(int=0x22)


def day(after: int) -> date:
    """So many days after the receipts came in."""
    return PAID + timedelta(days=after)


def usd(text: str) -> Money:
    return Money.parse(text, "USD")


def item(item_id: UUID = A, *, account: UUID = ACCOUNT, branch: str = "CHI", issued_on: date = DAY) -> Item:
    return Item(
        item_id=item_id,
        invoice_id=item_id,
        branch=branch,
        account_id=account,
        issued_on=issued_on,
        due_on=issued_on + timedelta(days=30),
    )


def opened(of: Item | None = None, original: str = "100") -> ItemOpened:
    of = of or item()
    return ItemOpened(branch=of.branch, effective_on=of.issued_on, item=of, number="4711", original=usd(original))


def changed(
    cause: ChangeCause, change: str, left: str, *, by: UUID = R, of: Item | None = None, on: date = PAID
) -> ItemChanged:
    of = of or item()
    return ItemChanged(
        branch=of.branch, effective_on=on, item=of, cause=cause, caused_by=by, change=usd(change), open=usd(left)
    )


def received(
    amount: str = "100",
    *,
    receipt: UUID = R,
    account: UUID | None = ACCOUNT,
    on: date = PAID,
    branch: str = "CHI",
    method: Method = "check",
    reference: str | None = None,
) -> PaymentReceived:
    return PaymentReceived(
        branch=branch,
        effective_on=on,
        receipt_id=receipt,
        account_id=account,
        method=method,
        reference=reference,
        amount=usd(amount),
    )


def share(amount: str, left: str, of: Item | None = None) -> Application:
    """A line of an application: the item's share and its balance afterwards."""
    return Application(item=of or item(), amount=usd(amount), open=usd(left))


def applied(*lines: Application, unapplied: str, receipt: UUID = R, on: date = PAID) -> PaymentApplied:
    return PaymentApplied(
        branch="CHI",
        effective_on=on,
        receipt_id=receipt,
        account_id=ACCOUNT,
        lines=lines,
        applied=total(lines),
        unapplied=usd(unapplied),
    )


def unapplied(
    *lines: Application, unapplied: str, reason: UnapplyReason = "correction", receipt: UUID = R, on: date = PAID
) -> PaymentUnapplied:
    return PaymentUnapplied(
        branch="CHI",
        effective_on=on,
        receipt_id=receipt,
        account_id=ACCOUNT,
        lines=lines,
        reason=reason,
        returned=total(lines),
        unapplied=usd(unapplied),
    )


def reversed_(amount: str = "100", *, on: date = PAID, account: UUID | None = ACCOUNT) -> PaymentReversed:
    return PaymentReversed(
        branch="CHI",
        effective_on=on,
        receipt_id=R,
        account_id=account,
        method="check",
        reason="nsf",
        amount=usd(amount),
    )


def refunded(amount: str, left: str, *, on: date = PAID) -> PaymentRefunded:
    return PaymentRefunded(
        branch="CHI",
        effective_on=on,
        receipt_id=R,
        refund_id=REFUND,
        account_id=ACCOUNT,
        amount=usd(amount),
        unapplied=usd(left),
    )


def total(lines: tuple[Application, ...]) -> Money:
    return Money(sum(line.amount.minor for line in lines), lines[0].amount.currency)


def paid_in_full(on: date = PAID) -> list[ItemOpened | PaymentReceived | PaymentApplied | ItemChanged]:
    """Item A of 100, settled by receipt R of 100."""
    return [
        opened(),
        received(),
        applied(share("100", "0"), unapplied="0", on=on),
        changed("applied", "-100", "0", on=on),
    ]


def record(
    amount: str = "100",
    *,
    receipt: UUID = R,
    account: UUID | None = ACCOUNT,
    method: Method = "check",
    reference: str | None = None,
    on: date = PAID,
) -> RecordReceipt:
    return RecordReceipt(
        receipt_id=receipt,
        branch="CHI",
        account_id=account,
        method=method,
        reference=reference,
        amount=usd(amount),
        received_on=on,
    )


def apply(*lines: tuple[UUID, str], receipt: UUID = R, on: date | None = None) -> ApplyReceipt:
    return ApplyReceipt(receipt_id=receipt, lines=tuple(Line(item_id, usd(amount)) for item_id, amount in lines), on=on)


def row(amount: str, item_id: UUID | None = None, settled: str = "0", *, on: date | None = None) -> ImportReceipt:
    line = Line(item_id, usd(settled)) if item_id is not None else None
    return ImportReceipt(receipt=record(amount), line=line, on=on)
