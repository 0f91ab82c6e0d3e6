"""Receipts: received, identified, applied, undone, reversed, refunded."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from events.money import Money
from events.payment import (
    Application,
    Method,
    PaymentApplied,
    PaymentIdentified,
    PaymentReceived,
    PaymentRefunded,
    PaymentReversed,
    PaymentUnapplied,
    UnapplyReason,
)
from tests.support.books.base import Cash, Log, uid


class Receipts(Log):
    """What can be done with money."""

    def receive(
        self,
        name: str,
        branch: str,
        account: str | None,
        minor: int,
        on: date,
        *,
        method: Method = "check",
        currency: str = "USD",
    ) -> UUID:
        cash = Cash(uid(name), branch, uid(account) if account else None, currency, method, on, minor, minor)
        self.receipts[cash.receipt_id] = cash
        fact = PaymentReceived(
            branch=branch,
            effective_on=on,
            receipt_id=cash.receipt_id,
            account_id=cash.account_id,
            method=method,
            reference=name,
            amount=Money(minor, currency),
        )
        self._cash(cash, on, self.say(f"receipt-{cash.receipt_id}", fact), -minor)
        return cash.receipt_id

    def identify(self, receipt_id: UUID, account: str, on: date) -> None:
        cash = self.receipts[receipt_id]
        fact = PaymentIdentified(
            branch=cash.branch,
            effective_on=on,
            receipt_id=receipt_id,
            account_id=uid(account),
            unapplied=Money(cash.unapplied, cash.currency),
        )
        known = self.say(f"receipt-{receipt_id}", fact)
        self._cash(cash, on, known, cash.unapplied)
        cash.account_id = uid(account)
        self._cash(cash, on, known, -cash.unapplied)

    def apply(self, receipt_id: UUID, lines: dict[UUID, int], on: date) -> None:
        cash = self.receipts[receipt_id]
        shares = []
        for item_id, minor in lines.items():
            billed = self.items[item_id]
            billed.open -= minor
            cash.unapplied -= minor
            cash.applied[item_id] = cash.applied.get(item_id, 0) + minor
            money, left = Money(minor, cash.currency), Money(billed.open, cash.currency)
            shares.append(Application(item=billed.item, amount=money, open=left))
        assert cash.account_id is not None
        cash.last_on = max(cash.last_on, on)
        fact = PaymentApplied(
            branch=cash.branch,
            effective_on=on,
            receipt_id=receipt_id,
            account_id=cash.account_id,
            lines=tuple(shares),
            applied=Money(sum(lines.values()), cash.currency),
            unapplied=Money(cash.unapplied, cash.currency),
        )
        known = self.say(f"receipt-{receipt_id}", fact)
        self._cash(cash, on, known, sum(lines.values()))
        for share in shares:
            self._post("open", share.item, cash.currency, on, known, -share.amount.minor)
            self._changed(share.item, "applied", receipt_id, -share.amount.minor, share.open.minor, cash.currency, on)

    def unapply(self, receipt_id: UUID, lines: dict[UUID, int], on: date) -> None:
        self._undo(self.receipts[receipt_id], lines, on, "correction")

    def reverse(self, receipt_id: UUID, on: date) -> None:
        cash = self.receipts[receipt_id]
        if applied := {item_id: minor for item_id, minor in cash.applied.items() if minor}:
            self._undo(cash, applied, on, "reversal")
        fact = PaymentReversed(
            branch=cash.branch,
            effective_on=on,
            receipt_id=receipt_id,
            account_id=cash.account_id,
            method=cash.method,
            reason="nsf",
            amount=Money(cash.amount, cash.currency),
        )
        cash.unapplied, cash.gone = 0, True
        self._cash(cash, on, self.say(f"receipt-{receipt_id}", fact), cash.amount)

    def refund(self, name: str, receipt_id: UUID, minor: int, on: date) -> None:
        cash = self.receipts[receipt_id]
        cash.unapplied -= minor
        assert cash.account_id is not None
        fact = PaymentRefunded(
            branch=cash.branch,
            effective_on=on,
            receipt_id=receipt_id,
            refund_id=uid(name),
            account_id=cash.account_id,
            amount=Money(minor, cash.currency),
            unapplied=Money(cash.unapplied, cash.currency),
        )
        self._cash(cash, on, self.say(f"receipt-{receipt_id}", fact), minor)

    def _undo(self, cash: Cash, lines: dict[UUID, int], on: date, reason: UnapplyReason) -> None:
        shares = []
        on = max(on, cash.last_on)
        for item_id, minor in lines.items():
            billed = self.items[item_id]
            billed.open += minor
            cash.unapplied += minor
            cash.applied[item_id] -= minor
            money, left = Money(minor, cash.currency), Money(billed.open, cash.currency)
            shares.append(Application(item=billed.item, amount=money, open=left))
        assert cash.account_id is not None
        fact = PaymentUnapplied(
            branch=cash.branch,
            effective_on=on,
            receipt_id=cash.receipt_id,
            account_id=cash.account_id,
            lines=tuple(shares),
            reason=reason,
            returned=Money(sum(lines.values()), cash.currency),
            unapplied=Money(cash.unapplied, cash.currency),
        )
        known = self.say(f"receipt-{cash.receipt_id}", fact)
        self._cash(cash, on, known, -sum(lines.values()))
        for share in shares:
            self._post("open", share.item, cash.currency, on, known, share.amount.minor)
            args = (share.item, "unapplied", cash.receipt_id, share.amount.minor, share.open.minor, cash.currency, on)
            self._changed(*args)
