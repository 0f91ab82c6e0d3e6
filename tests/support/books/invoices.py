"""Branches, accounts, invoices and what becomes of them short of being paid."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from events.escalation import WriteOffApproved, WriteOffRequested
from events.invoice import (
    AccountOpened,
    BranchRegistered,
    CreditNoteIssued,
    InvoiceIssued,
    InvoiceVoided,
    ReleaseCancelled,
    RetainageReleased,
)
from events.item import Item
from events.money import Money
from events.payment import ItemOpened
from tests.support.books.base import Billed, uid
from tests.support.books.receipts import Receipts


class Invoices(Receipts):
    """What can be done with invoices; undoing one frees the money on it."""

    def branch(self, code: str, on: date = date(2020, 1, 1)) -> None:
        self.say(f"branch-{code}", BranchRegistered(branch=code, effective_on=on, name=f"Branch {code}"))

    def account(self, name: str, branch: str, currency: str = "USD", collector: str | None = None) -> UUID:
        account_id = uid(name)
        fact = AccountOpened(
            branch=branch,
            effective_on=date(2020, 1, 1),
            account_id=account_id,
            number=name,
            name=name.title(),
            currency=currency,
            terms_days=30,
            collector=collector,
        )
        self.say(f"account-{account_id}", fact)
        return account_id

    def issue(
        self,
        name: str,
        branch: str,
        account: str,
        total: int,
        on: date,
        *,
        due_on: date | None = None,
        retainage: int = 0,
        job: str | None = None,
        currency: str = "USD",
    ) -> UUID:
        item = Item(
            item_id=uid(name),
            invoice_id=uid(name),
            branch=branch,
            account_id=uid(account),
            job_id=uid(job) if job else None,
            issued_on=on,
            due_on=due_on or on + timedelta(days=30),
        )
        self.items[item.item_id] = Billed(item, currency, total - retainage, total - retainage, retainage)
        fact = InvoiceIssued(
            branch=branch,
            effective_on=on,
            item=item,
            number=name,
            terms="net 30",
            total=Money(total, currency),
            tax=Money(0, currency),
            retainage=Money(retainage, currency),
        )
        self._post("open", item, currency, on, self.say(f"invoice-{item.item_id}", fact), total - retainage)
        self._post("retainage", item, currency, on, self.log[-1], retainage)
        opened = ItemOpened(
            branch=branch, effective_on=on, item=item, number=name, original=Money(total - retainage, currency)
        )
        self.say(f"item-{item.item_id}", opened)
        return item.item_id

    def release(self, name: str, invoice_id: UUID, minor: int, on: date, due_on: date | None = None) -> UUID:
        parent = self.items[invoice_id]
        item = Item(
            item_id=uid(name),
            invoice_id=invoice_id,
            branch=parent.item.branch,
            account_id=parent.item.account_id,
            job_id=parent.item.job_id,
            issued_on=on,
            due_on=due_on or on + timedelta(days=30),
        )
        parent.retainage -= minor
        parent.releases.append(item.item_id)
        self.items[item.item_id] = Billed(item, parent.currency, minor, minor)
        fact = RetainageReleased(
            branch=item.branch,
            effective_on=on,
            item=item,
            parent=parent.item,
            number=name,
            amount=Money(minor, parent.currency),
            retainage=Money(parent.retainage, parent.currency),
        )
        known = self.say(f"invoice-{invoice_id}", fact)
        self._post("retainage", parent.item, parent.currency, on, known, -minor)
        self._post("open", item, parent.currency, on, known, minor)
        return item.item_id

    def credit(self, name: str, item_id: UUID, minor: int, on: date) -> None:
        billed = self.items[item_id]
        billed.credited += minor
        fact = CreditNoteIssued(
            branch=billed.item.branch,
            effective_on=on,
            item=billed.item,
            credit_note_id=uid(name),
            number=name,
            amount=Money(minor, billed.currency),
            reason="price",
            credited=Money(billed.credited, billed.currency),
        )
        known = self.say(f"invoice-{billed.item.invoice_id}", fact)
        self._post("open", billed.item, billed.currency, on, known, -minor)
        for cash in self.receipts.values():
            needed = minor - billed.open
            if needed > 0 and (taken := min(needed, cash.applied.get(item_id, 0))):
                self._undo(cash, {item_id: taken}, on, "credit_note")
        self._change(billed, "credited", uid(name), -minor, on)

    def void(self, invoice_id: UUID, on: date) -> None:
        billed = self.items[invoice_id]
        releases = [self.items[each] for each in billed.releases]
        fact = InvoiceVoided(
            branch=billed.item.branch,
            effective_on=on,
            item=billed.item,
            reason="entry_error",
            cancelled=Money(billed.billed - billed.credited, billed.currency),
            retainage_cancelled=Money(billed.retainage, billed.currency),
            releases=tuple(ReleaseCancelled(item=r.item, amount=Money(r.billed, r.currency)) for r in releases),
        )
        known = self.say(f"invoice-{invoice_id}", fact)
        self._post("open", billed.item, billed.currency, on, known, -(billed.billed - billed.credited))
        self._post("retainage", billed.item, billed.currency, on, known, -billed.retainage)
        billed.retainage = 0
        for each in (billed, *releases):
            if each is not billed:
                self._post("open", each.item, each.currency, on, known, -each.billed)
            for cash in self.receipts.values():
                if taken := cash.applied.get(each.item.item_id, 0):
                    self._undo(cash, {each.item.item_id: taken}, on, "void")
            written = each.billed - each.credited - each.open
            if written:
                self._change(each, "write_off_reversed", uid(f"off {each.item.item_id}"), written, on, post=True)
            self._change(each, "voided", invoice_id, -each.open, on)
            each.void = True

    def write_off(self, item_id: UUID, minor: int, on: date) -> None:
        """Requested, approved, and closed by the payment service. At most one per item."""
        billed = self.items[item_id]
        write_off_id = uid(f"off {item_id}")
        common = {
            "branch": billed.item.branch,
            "effective_on": on,
            "write_off_id": write_off_id,
            "account_id": billed.item.account_id,
            "item_id": item_id,
            "amount": Money(minor, billed.currency),
            "reason": "uncollectable",
            "requested_by": "ann",
        }
        self.say(f"write-off-{write_off_id}", WriteOffRequested(**common))  # type: ignore[arg-type]
        self.say(f"write-off-{write_off_id}", WriteOffApproved(**common, approved_by="bob"))  # type: ignore[arg-type]
        self._change(billed, "written_off", write_off_id, -min(minor, billed.open), on, post=True)
