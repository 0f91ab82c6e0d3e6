"""Entries of the ledger: accounts, invoices, money."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from events import invoice, payment
from events.item import Item
from events.money import Money
from tests.integration.reporting.record import Bill, Receipt, Record, some_id


class Ledger(Record):
    """What is billed, paid and taken back."""

    def branch(self, code: str, name: str | None = None) -> str:
        fact = invoice.BranchRegistered(branch=code, effective_on=date(2020, 1, 1), name=name or f"Branch {code}")
        self._tell(fact)
        return code

    def account(
        self, branch: str, number: str, currency: str = "USD", collector: str | None = None, name: str | None = None
    ) -> UUID:
        account_id = some_id("account", number)
        self._tell(
            invoice.AccountOpened(
                branch=branch,
                effective_on=date(2020, 1, 1),
                account_id=account_id,
                number=number,
                name=name or f"Customer {number}",
                currency=currency,
                terms_days=30,
                collector=collector,
            )
        )
        self.collectors[account_id], self.numbers[account_id] = collector, number
        return account_id

    def job(self, branch: str, account_id: UUID, number: str) -> UUID:
        job_id = some_id("job", number)
        fact = invoice.JobOpened(
            branch=branch,
            effective_on=date(2020, 1, 1),
            job_id=job_id,
            account_id=account_id,
            number=number,
            name=f"Job {number}",
        )
        self._tell(fact)
        self.numbers[job_id] = number
        return job_id

    def issue(
        self,
        branch: str,
        account_id: UUID,
        minor: int,
        issued_on: date,
        due_on: date,
        *,
        currency: str = "USD",
        retainage: int = 0,
        job_id: UUID | None = None,
        number: str | None = None,
    ) -> Bill:
        number = number or f"INV-{self._next():05d}"
        item_id = some_id("invoice", number)
        item = Item(
            item_id=item_id,
            invoice_id=item_id,
            branch=branch,
            account_id=account_id,
            job_id=job_id,
            issued_on=issued_on,
            due_on=due_on,
        )
        bill = Bill(item, currency)
        fact = invoice.InvoiceIssued(
            branch=branch,
            effective_on=issued_on,
            item=item,
            number=number,
            terms="NET 30",
            total=Money(minor, currency),
            tax=Money(0, currency),
            retainage=Money(retainage, currency),
        )
        at = self._tell(fact)
        self.numbers[item_id] = number
        self._post("open", "issued", bill, minor - retainage, issued_on, at)
        self._post("retainage", "issued", bill, retainage, issued_on, at)
        return bill

    def credit(self, bill: Bill, minor: int, on: date) -> None:
        fact = invoice.CreditNoteIssued(
            branch=bill.item.branch,
            effective_on=on,
            item=bill.item,
            credit_note_id=some_id("credit", self._next()),
            number=f"CN-{self._names}",
            amount=Money(minor, bill.currency),
            reason="price",
            credited=Money(minor, bill.currency),
        )
        self._post("open", "credited", bill, -minor, on, self._tell(fact))

    def void(self, bill: Bill, minor: int, on: date, retainage: int = 0) -> None:
        fact = invoice.InvoiceVoided(
            branch=bill.item.branch,
            effective_on=on,
            item=bill.item,
            reason="duplicate",
            cancelled=Money(minor, bill.currency),
            retainage_cancelled=Money(retainage, bill.currency),
        )
        at = self._tell(fact)
        self._post("open", "voided", bill, -minor, on, at)
        self._post("retainage", "voided", bill, -retainage, on, at)

    def release(self, bill: Bill, minor: int, on: date, due_on: date) -> Bill:
        release = Bill(replace_item(bill.item, some_id("release", self._next()), on, due_on), bill.currency)
        fact = invoice.RetainageReleased(
            branch=bill.item.branch,
            effective_on=on,
            item=release.item,
            parent=bill.item,
            number=f"{self.numbers[bill.id]}-R",
            amount=Money(minor, bill.currency),
            retainage=Money(0, bill.currency),
        )
        at = self._tell(fact)
        self.numbers[release.id] = fact.number
        self._post("retainage", "released", bill, -minor, on, at)
        self._post("open", "released", release, minor, on, at)
        return release

    def receive(
        self, branch: str, account_id: UUID | None, minor: int, on: date, method: str = "check", currency: str = "USD"
    ) -> Receipt:
        receipt = Receipt(some_id("receipt", self._next()), branch, on, method, currency, minor)
        fact = payment.PaymentReceived(
            branch=branch,
            effective_on=on,
            receipt_id=receipt.id,
            account_id=account_id,
            method=method,  # type: ignore[arg-type]
            reference=f"CHK {self._names}",
            amount=Money(minor, currency),
        )
        self._payer[receipt.id] = account_id
        self._cash("received", receipt, -minor, on, self._tell(fact))
        return receipt

    def identify(self, receipt: Receipt, account_id: UUID, unapplied: int, on: date) -> None:
        fact = payment.PaymentIdentified(
            branch=receipt.branch,
            effective_on=on,
            receipt_id=receipt.id,
            account_id=account_id,
            unapplied=Money(unapplied, receipt.currency),
        )
        at = self._tell(fact)
        self._cash("identified", receipt, unapplied, on, at)
        self._payer[receipt.id] = account_id
        self._cash("identified", receipt, -unapplied, on, at)

    def apply(self, receipt: Receipt, bill: Bill, minor: int, on: date | None = None) -> None:
        self._settle(payment.PaymentApplied, receipt, bill, minor, on or receipt.on, +1)

    def unapply(self, receipt: Receipt, bill: Bill, minor: int, on: date) -> None:
        self._settle(payment.PaymentUnapplied, receipt, bill, minor, on, -1)

    def pay(self, bill: Bill, minor: int, on: date, method: str = "check") -> Receipt:
        """Received and applied on one day."""
        receipt = self.receive(bill.item.branch, bill.item.account_id, minor, on, method, bill.currency)
        self.apply(receipt, bill, minor)
        return receipt

    def reverse(self, receipt: Receipt, on: date) -> None:
        fact = payment.PaymentReversed(
            branch=receipt.branch,
            effective_on=on,
            receipt_id=receipt.id,
            account_id=self._payer[receipt.id],
            method=receipt.method,  # type: ignore[arg-type]
            reason="nsf",
            amount=Money(receipt.minor, receipt.currency),
        )
        self._cash("reversed", receipt, receipt.minor, on, self._tell(fact))

    def refund(self, receipt: Receipt, minor: int, on: date) -> None:
        account_id = self._payer[receipt.id]
        assert account_id is not None
        fact = payment.PaymentRefunded(
            branch=receipt.branch,
            effective_on=on,
            receipt_id=receipt.id,
            refund_id=some_id("refund", self._next()),
            account_id=account_id,
            amount=Money(minor, receipt.currency),
            unapplied=Money(0, receipt.currency),
        )
        self._cash("refunded", receipt, minor, on, self._tell(fact))

    def _settle(
        self,
        kind: type[payment.PaymentApplied] | type[payment.PaymentUnapplied],
        receipt: Receipt,
        bill: Bill,
        minor: int,
        on: date,
        sign: int,
    ) -> None:
        account_id = self._payer[receipt.id]
        assert account_id is not None
        money = Money(minor, bill.currency)
        line = payment.Application(item=bill.item, amount=money, open=Money(0, bill.currency))
        more: dict[str, Any] = {"applied": money} if sign > 0 else {"returned": money, "reason": "correction"}
        fact = kind(
            branch=receipt.branch,
            effective_on=on,
            receipt_id=receipt.id,
            account_id=account_id,
            lines=(line,),
            unapplied=Money(0, bill.currency),
            **more,
        )
        at = self._tell(fact)
        cause = "applied" if sign > 0 else "unapplied"
        self._cash(cause, receipt, sign * minor, on, at)
        self._post("open", cause, bill, -sign * minor, on, at)
        self.settled.append((bill, sign * minor, (receipt.on - bill.item.due_on).days))


def replace_item(item: Item, item_id: UUID, issued_on: date, due_on: date) -> Item:
    """The same dimensions, another item."""
    return Item(
        item_id=item_id,
        invoice_id=item.invoice_id,
        branch=item.branch,
        account_id=item.account_id,
        job_id=item.job_id,
        issued_on=issued_on,
        due_on=due_on,
    )
