"""A clerk who works on accounts of his own through all four services, at random from a seed, and keeps his own books.

Nobody else touches his items, so he knows how each command must end and what is open after it, whatever arrives late.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar
from uuid import UUID

from tests.support.counter import Counter
from tests.support.papers import Item, Receipt, days_ago, lines_of, text
from tests.support.said import KEY_PREFIX

T = TypeVar("T")
BRANCHES = ("FIRE1", "FIRE2", "FIRE3")
HOT_ACCOUNT = str(UUID(int=0xF1))  # Every clerk changes it: its version is never what one has just read.
IMPORT_ROWS = 25
ITEMS_MAX = 12  # A clerk's open work; more would make every choice rarer.


class Clerk:
    """`name` is part of every key and id, so that a seed always makes the same ones."""

    def __init__(self, counter: Counter, name: str, chance: Random) -> None:
        self.counter = counter
        self.name = name
        self.chance = chance
        self.account = self._id()
        self.branch = chance.choice(BRANCHES)
        self.items: dict[str, Item] = {}
        self.receipts: dict[str, Receipt] = {}
        self.held = False
        self._count = 0
        self._works: dict[Callable[[], Awaitable[None]], int] = {
            self.bill: 5,
            self.receive: 4,
            self.apply: 8,
            self.apply_too_much: 1,
            self.reverse: 1,
            self.credit: 2,
            self.void: 1,
            self.promise: 2,
            self.dispute: 2,
            self.call: 2,
            self.hold: 2,
            self.give_up: 1,
            self.change_the_hot_one: 2,
            self.repeat_myself: 1,
            self.import_receipts: 1,
        }

    async def begin(self) -> None:
        await self._ask("invoice", "/accounts", "invoice.account_opened", **self._account(self.account, self.name))

    async def work(self) -> None:
        """One piece of work: one command, sometimes two."""
        [piece] = self.chance.choices(list(self._works), list(self._works.values()))
        await piece()

    async def bill(self) -> None:
        if len([item for item in self.items.values() if item.open]) > ITEMS_MAX:
            return
        item = Item(self._id(), self.branch, self.chance.randint(50_00, 900_00))
        retained = item.open // 10 if self.chance.random() < 0.2 else 0
        await self._ask(
            "invoice",
            "/invoices",
            "invoice.issued",
            invoice_id=item.id,
            branch=item.branch,
            account_id=self.account,
            number=f"F-{item.id[:13]}",
            issued_on=days_ago(self.chance.randint(1, 150)),
            currency="USD",
            total=text(item.open + retained),
            retainage=text(retained),
        )
        self.items[item.id] = item
        self._know(item)

    async def receive(self) -> None:
        receipt = Receipt(self._id(), self.chance.randint(20_00, 1500_00))
        await self._ask("payment", "/receipts", "payment.received", **self._receipt(receipt))
        self.receipts[receipt.id] = receipt
        self._know(receipt)

    async def apply(self) -> None:
        receipt, items = self._some_receipt(), self._open_items()
        if receipt is None or not items:
            return
        lines: dict[str, int] = {}
        left = receipt.unapplied
        for item in self.chance.sample(items, min(len(items), self.chance.randint(1, 3))):
            if item.id in receipt.shares or left == 0:  # A second line of the same receipt would change the first.
                continue
            most = min(left, item.open)
            lines[item.id] = most if self.chance.random() < 0.4 else self.chance.randint(1, most)
            left -= lines[item.id]
        if not lines:
            return
        await self._ask("payment", f"/receipts/{receipt.id}/applications", "payment.applied", **lines_of(lines))
        receipt.unapplied = left
        for item_id, minor in lines.items():
            receipt.shares[item_id] = minor
            self.items[item_id].open -= minor
            self.items[item_id].touched = True
            self._know(self.items[item_id])
        self._know(receipt)

    async def apply_too_much(self) -> None:
        receipt, items = self._some_receipt(), self._open_items()
        if receipt is None or not items or items[0].id in receipt.shares:
            return
        body = lines_of({items[0].id: receipt.unapplied + items[0].open + 1})
        codes = {"more_than_open", "more_than_unapplied"}
        await self.counter.ask_in_vain("payment", f"/receipts/{receipt.id}/applications", body, codes, key=self._key())

    async def reverse(self) -> None:
        receipt = self._some([each for each in self.receipts.values() if not each.reversed])
        if receipt is None:
            return
        said = {"reason": "nsf", "reversed_on": days_ago(0)}
        await self._ask("payment", f"/receipts/{receipt.id}/reversal", "payment.reversed", **said)
        receipt.unapplied, receipt.reversed = 0, True
        for item_id, minor in receipt.shares.items():
            self.items[item_id].open += minor
            self.items[item_id].raised = True
            self._know(self.items[item_id])
        self._know(receipt)

    async def credit(self) -> None:
        item = self._some(self._open_items())
        if item is None:
            return
        minor = self.chance.randint(1, item.open)
        await self._ask(
            "invoice",
            f"/invoices/{item.id}/credit-notes",
            "invoice.credit_note_issued",
            credit_note_id=self._id(),
            currency="USD",
            amount=text(minor),
            reason="price",
            issued_on=days_ago(0),
        )
        item.open -= minor
        item.touched = True
        self._know(item)

    async def void(self) -> None:
        item = self._some([each for each in self._open_items() if not each.touched and not each.disputed])
        if item is None:
            return
        await self._ask("invoice", f"/invoices/{item.id}/void", "invoice.voided", reason="entry_error")
        item.open = 0
        item.given_up = True
        self._know(item)

    async def promise(self) -> None:
        item = self._some([each for each in self._open_items() if not each.raised])
        if item is None:
            return
        await self._ask(
            "contact",
            "/promises",
            "contact.promise_made",
            promise_id=self._id(),
            account_id=self.account,
            item_ids=[item.id],
            amount=text(self.chance.randint(1, item.open)),
            currency="USD",
            made_on=days_ago(0),
            promised_on=days_ago(-self.chance.randint(5, 20)),
        )

    async def dispute(self) -> None:
        item = self._some([each for each in self._open_items() if not each.raised and not each.disputed])
        if item is None:
            return
        dispute_id = self._id()
        await self._ask(
            "contact",
            "/disputes",
            "contact.dispute_opened",
            dispute_id=dispute_id,
            item_id=item.id,
            amount=text(self.chance.randint(1, item.open)),
            currency="USD",
            reason="PRC",
            opened_on=days_ago(0),
        )
        item.disputed = True
        if self.chance.random() < 0.5:
            ended = {"outcome": "rejected", "resolved_on": days_ago(0)}
            await self._ask("contact", f"/disputes/{dispute_id}/resolution", "contact.dispute_resolved", **ended)

    async def call(self) -> None:
        await self._ask(
            "contact",
            "/attempts",
            "contact.attempt_logged",
            attempt_id=self._id(),
            account_id=self.account,
            channel="call",
            outcome="no_answer",
            attempted_on=days_ago(0),
        )

    async def hold(self) -> None:
        if self.held:
            await self._ask("escalation", f"/holds/{self.account}/release", "escalation.hold_released")
        else:
            body = {"account_id": self.account, "reason": "past_due"}
            await self._ask("escalation", "/holds", "escalation.hold_placed", **body)
        self.held = not self.held

    async def give_up(self) -> None:
        """Request a write-off, and have somebody else approve it; the payment service then closes the item."""
        item = self._some([each for each in self._open_items() if not each.raised and not each.given_up])
        if item is None:
            return
        write_off_id, minor = self._id(), self.chance.randint(1, item.open)
        await self._ask(
            "escalation",
            "/write-offs",
            "escalation.write_off_requested",
            write_off_id=write_off_id,
            item_id=item.id,
            amount=text(minor),
            currency="USD",
            reason="small_balance",
        )
        item.given_up = item.touched = True
        path = f"/write-offs/{write_off_id}/approval"
        await self.counter.ask(
            "escalation", path, {}, key=self._key(), wire="escalation.write_off_approved", as_="controller"
        )
        item.open -= minor
        self._know(item)

    async def change_the_hot_one(self) -> None:
        collector = f"{self.name}.{self._count}"
        path = f"/accounts/{HOT_ACCOUNT}/changes"
        await self._ask("invoice", path, "invoice.account_changed", collector=collector)

    async def repeat_myself(self) -> None:
        """The same key and request again is answered the same; the same key with another request is refused."""
        account_id, key = self._id(), self._key()
        body = self._account(account_id, f"{self.name}-{self._count}")
        wire = "invoice.account_opened"
        first = await self.counter.ask("invoice", "/accounts", body, key=key, wire=wire)
        again = await self.counter.ask("invoice", "/accounts", body, key=key, wire=wire)
        assert again == first, f"{key}: {again} and not {first}"
        other = body | {"terms_days": 77}
        await self.counter.ask_in_vain("invoice", "/accounts", other, {"idempotency_key_reused"}, key=key)

    async def import_receipts(self) -> None:
        receipts = [Receipt(self._id(), self.chance.randint(20_00, 300_00)) for _ in range(IMPORT_ROWS)]
        streams = [f"receipt-{receipt.id}" for receipt in receipts]
        rows = [self._receipt(receipt) for receipt in receipts]
        await self.counter.import_("payment", "receipts", rows, streams, f"imp-{self._key()}")
        for receipt in receipts:
            self._know(receipt)

    async def _ask(self, service: str, path: str, wire: str, **body: object) -> None:
        await self.counter.ask(service, path, body, key=self._key(), wire=wire)

    def _account(self, account_id: str, number: str) -> dict[str, object]:
        return {
            "account_id": account_id,
            "branch": self.branch,
            "number": number[:30],
            "currency": "USD",
            "opened_on": days_ago(200),
        }

    def _receipt(self, receipt: Receipt) -> dict[str, object]:
        return {
            "receipt_id": receipt.id,
            "branch": self.branch,
            "account_id": self.account,
            "method": "check",
            "reference": receipt.id[:8],
            "amount": text(receipt.unapplied),
            "currency": "USD",
            "received_on": days_ago(1),
        }

    def _know(self, thing: Item | Receipt) -> None:
        books = self.counter.said.open_minor
        books[thing.id] = thing.open if isinstance(thing, Item) else -thing.unapplied

    def _open_items(self) -> list[Item]:
        return [item for item in self.items.values() if item.open > 0]

    def _some_receipt(self) -> Receipt | None:
        return self._some([each for each in self.receipts.values() if each.unapplied])

    def _some(self, things: list[T]) -> T | None:
        return self.chance.choice(things) if things else None

    def _id(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))

    def _key(self) -> str:
        self._count += 1
        return f"{KEY_PREFIX}{self.name}-{self._count:05d}"
