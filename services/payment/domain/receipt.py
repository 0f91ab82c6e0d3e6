"""A receipt's own life: recorded, identified, refunded, reversed; and the rows of files that bring receipts in."""

from __future__ import annotations

from typing import Final

from events.money import Money
from events.payment import PaymentIdentified, PaymentReceived, PaymentRefunded, PaymentReversed
from services.kernel.card_numbers import holds_card_number
from services.kernel.commands import States
from services.payment.domain import application
from services.payment.domain.application import Written, in_ledger, not_before
from services.payment.domain.commands import (
    IdentifyReceipt,
    ImportReceipt,
    RecordReceipt,
    RefundReceipt,
    ReverseReceipt,
)
from services.payment.domain.fold import evolve
from services.payment.domain.refusals import (
    AlreadyIdentified,
    ApplicationChanged,
    CardNumber,
    ItemUnknown,
    MoreThanUnapplied,
    NotPositive,
    OtherCurrency,
    ReceiptChanged,
    RefundChanged,
    Refunded,
    ReversalChanged,
    Reversed,
    Unidentified,
)
from services.payment.domain.state import MirroredItem, Receipt, State, item_stream, receipt_stream

_TRACE_DIGITS: Final = 15
_AMEX: Final = ("34", "37")


def record(command: RecordReceipt, state: State, written: Written) -> None:
    """Record that money came in. Errors: CardNumber, NotPositive, DateOutOfRange, ReceiptChanged."""
    reference = command.reference
    # A number may be an ACH trace number only where the money came by ACH.
    traced = command.method == "ach" and reference is not None and _is_trace_number(reference)
    if reference is not None and not traced and holds_card_number(reference):
        raise CardNumber("this looks like a card number; keep its last four digits only", field="reference")
    if command.amount.minor <= 0:
        raise NotPositive("money that came in is more than nothing", field="amount")
    in_ledger(command.received_on, "received_on")
    if isinstance(state, Receipt):
        _same(command, state)
        return
    written[receipt_stream(command.receipt_id)] = [
        PaymentReceived(
            branch=command.branch,
            effective_on=command.received_on,
            receipt_id=command.receipt_id,
            account_id=command.account_id,
            method=command.method,
            reference=reference,
            amount=command.amount,
        )
    ]


def _same(command: RecordReceipt, receipt: Receipt) -> None:
    """Errors: ReceiptChanged, naming the first field that differs from what was recorded."""
    recorded = {
        "branch": (command.branch, receipt.branch),
        "account_id": (command.account_id, receipt.recorded_account_id),
        "method": (command.method, receipt.method),
        "reference": (command.reference, receipt.reference),
        "amount": (command.amount, Money(receipt.amount, receipt.currency)),
        "received_on": (command.received_on, receipt.received_on),
    }
    for field, (given, known) in recorded.items():
        if given != known:
            raise ReceiptChanged("recorded before with another value", field=field, recorded=known)


def take_in(command: ImportReceipt, states: States[State], written: Written) -> None:
    """Record a row's receipt where it is not on record, and apply it where that is not.

    Errors   those of `record`; ItemUnknown, ApplicationChanged; those of `application.apply`.
    """
    stream = receipt_stream(command.receipt.receipt_id)
    state = states[stream]
    record(command.receipt, state, written)
    if command.line is None:
        return
    receipt = state
    for fact in written.get(stream, ()):
        receipt = evolve(receipt, fact)
    assert isinstance(receipt, Receipt)
    item = states[item_stream(command.line.item_id)]
    if not isinstance(item, MirroredItem):
        raise ItemUnknown("no such item", field="item_id", item_id=command.line.item_id)
    share = receipt.shares.get(item.item.item_id)
    if share is not None:
        before = share.ever_on(max(command.on or receipt.received_on, item.item.issued_on))
        if before == command.line.amount.minor and receipt.currency == command.line.amount.currency:
            return
        if before is not None:
            was = str(Money(before, receipt.currency))
            raise ApplicationChanged("applied on that day with another amount", field="applied", was=was)
    application.apply(receipt, (command.line,), command.on, states, written)


def identify(command: IdentifyReceipt, receipt: Receipt, written: Written) -> None:
    """Name the payer. Errors: AlreadyIdentified, Reversed, BeforeReceived."""
    if receipt.account_id == command.account_id:
        return
    if receipt.account_id is not None:
        raise AlreadyIdentified("the payer is another account", field="account_id", account_id=receipt.account_id)
    if receipt.reversal is not None:
        raise Reversed("the bank took the money back", receipt_id=receipt.receipt_id)
    on = command.on or receipt.received_on
    not_before(receipt, on, "identified_on")
    written[receipt_stream(receipt.receipt_id)] = [
        PaymentIdentified(
            branch=receipt.branch,
            effective_on=on,
            receipt_id=receipt.receipt_id,
            account_id=command.account_id,
            unapplied=Money(receipt.unapplied, receipt.currency),
        )
    ]


def reverse(command: ReverseReceipt, receipt: Receipt, states: States[State], written: Written) -> None:
    """Undo every application, then take the whole receipt back.

    Errors   ReversalChanged, BeforeReceived, Refunded.
    """
    if receipt.reversal is not None:
        if (receipt.reversal.reason, receipt.reversal.on) != (command.reason, command.on):
            raise ReversalChanged("reversed before, with another reason or day", reversed_on=receipt.reversal.on)
        return
    not_before(receipt, command.on, "reversed_on")
    if receipt.refunds:
        refunded = str(Money(receipt.refunded, receipt.currency))
        raise Refunded("part of it went back to the customer already", refunded=refunded)
    application.undo(
        receipt,
        application.everything(receipt),
        application.opens_of(receipt, states),
        written,
        on=command.on,
        reason="reversal",
    )
    written.setdefault(receipt_stream(receipt.receipt_id), []).append(
        PaymentReversed(
            branch=receipt.branch,
            effective_on=command.on,
            receipt_id=receipt.receipt_id,
            account_id=receipt.account_id,
            method=receipt.method,
            reason=command.reason,
            amount=Money(receipt.amount, receipt.currency),
        )
    )


def refund(command: RefundReceipt, receipt: Receipt, written: Written) -> None:
    """Pay unapplied money back.

    Errors   RefundChanged, Reversed, Unidentified, BeforeReceived, NotPositive, OtherCurrency, MoreThanUnapplied.
    """
    minor = command.amount.minor
    before = receipt.refunds.get(command.refund_id)
    if before is not None:
        if Money(before, receipt.currency) != command.amount:
            raise RefundChanged("refunded before with another amount", field="amount")
        return
    if receipt.reversal is not None:
        raise Reversed("the bank took the money back", receipt_id=receipt.receipt_id)
    if receipt.account_id is None:
        raise Unidentified("the payer is unknown", receipt_id=receipt.receipt_id)
    not_before(receipt, command.on, "refunded_on")
    if minor <= 0:
        raise NotPositive("a refund is more than nothing", field="amount")
    if command.amount.currency != receipt.currency:
        raise OtherCurrency(f"the receipt is in {receipt.currency}", field="currency")
    if minor > receipt.unapplied:
        left = str(Money(receipt.unapplied, receipt.currency))
        raise MoreThanUnapplied("more than is left of the receipt", field="amount", unapplied=left)
    written[receipt_stream(receipt.receipt_id)] = [
        PaymentRefunded(
            branch=receipt.branch,
            effective_on=command.on,
            receipt_id=receipt.receipt_id,
            refund_id=command.refund_id,
            account_id=receipt.account_id,
            amount=command.amount,
            unapplied=Money(receipt.unapplied - minor, receipt.currency),
        )
    ]


def _is_trace_number(text: str) -> bool:
    """Whether it has the form of an ACH trace number, one in ten of which passes for a card number.

    Its 15 digits begin with a bank's routing number. Cards of 15 digits begin with 34 or 37, routing numbers never do.
    """
    return len(text) == _TRACE_DIGITS and text.isdecimal() and not text.startswith(_AMEX)
