"""Histories of a ledger, drawn at random within the rules, and orders in which they may be delivered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from uuid import UUID

from services.kernel.delivery import Delivered
from tests.support.books import Books

FIRST = date(2025, 1, 1)
DAYS = 420


def history(rng: Random, steps: int) -> Books:
    """A ledger of three branches, four accounts and two currencies after so many steps."""
    books = Books()
    for branch in ("B1", "B2", "B3"):
        books.branch(branch)
    for at in range(4):
        books.account(f"a{at}", f"B{at % 3 + 1}", collector="kim" if at % 2 else None)
    for step in range(steps):
        _step(books, rng, f"s{step}")
    return books


def shuffled(log: Sequence[Delivered], rng: Random) -> list[Delivered]:
    """Another order of delivery: within each stream as it was, between streams any."""
    streams: dict[str, list[Delivered]] = defaultdict(list)
    for known in log:
        streams[known.envelope.stream].append(known)
    left = {name: list(reversed(facts)) for name, facts in streams.items()}
    order = [name for name, facts in left.items() for _ in facts]
    rng.shuffle(order)
    return [left[name].pop() for name in order]


def _step(books: Books, rng: Random, name: str) -> None:
    """One thing that the ledger's present state allows, on a day that may lie before what is recorded already."""
    on = FIRST + timedelta(days=rng.randrange(DAYS))
    currency = rng.choice(("USD", "USD", "CAD"))
    branch, account = f"B{rng.randrange(1, 4)}", f"a{rng.randrange(4)}"
    open_items = [i for i, billed in books.items.items() if billed.open > 0 and not billed.void]
    cash = [r for r in books.receipts.values() if not r.gone]
    match rng.randrange(12):
        case 0 | 1 | 2:
            job = rng.choice((None, "j1", "j2"))
            total = rng.randrange(1, 500)
            held = rng.choice((0, 0, total // 10))
            books.issue(name, branch, account, total, on, retainage=held, job=job, currency=currency)
        case 3 | 4:
            method = rng.choice(("check", "ach", "card"))
            payer = rng.choice((account, account, None))
            books.receive(name, branch, payer, rng.randrange(1, 600), on, method=method, currency=currency)
        case 5 | 6:
            _apply(books, rng, open_items, on)
        case 7:
            unknown = [r for r in cash if r.account_id is None]
            if unknown:
                one = rng.choice(unknown)
                books.identify(one.receipt_id, account, max(on, one.received_on))
        case 8:
            _undo(books, rng, name, on)
        case 9:
            _change_invoice(books, rng, name, on)
        case 10:
            fresh = [i for i in open_items if books.items[i].billed - books.items[i].credited == books.items[i].open]
            if fresh:
                item = rng.choice(fresh)
                books.write_off(item, rng.randrange(1, 200), max(on, books.items[item].item.issued_on))
        case _:
            if open_items:
                books.talk(rng.choice(open_items), on, name)


def _apply(books: Books, rng: Random, open_items: list[UUID], on: date) -> None:
    able = [r for r in books.receipts.values() if not r.gone and r.account_id is not None and r.unapplied > 0]
    if not able:
        return
    one = rng.choice(able)
    items = [i for i in open_items if books.items[i].currency == one.currency]
    lines: dict[UUID, int] = {}
    left = one.unapplied
    for item in rng.sample(items, min(len(items), 3)):
        if left and books.items[item].item.account_id == one.account_id:
            lines[item] = rng.randrange(1, min(left, books.items[item].open) + 1)
            left -= lines[item]
    if lines:
        issued = max(books.items[i].item.issued_on for i in lines)
        books.apply(one.receipt_id, lines, max(on, one.received_on, issued))


def _undo(books: Books, rng: Random, name: str, on: date) -> None:
    cash = [r for r in books.receipts.values() if not r.gone]
    if not cash:
        return
    one = rng.choice(cash)
    day = max(on, one.received_on)
    settled = {item: minor for item, minor in one.applied.items() if minor}
    match rng.randrange(3):
        case 0 if one.amount == one.unapplied + sum(settled.values()):
            books.reverse(one.receipt_id, day)
        case 1 if settled:
            item = rng.choice(list(settled))
            books.unapply(one.receipt_id, {item: rng.randrange(1, settled[item] + 1)}, day)
        case 2 if one.account_id is not None and one.unapplied:
            books.refund(name, one.receipt_id, rng.randrange(1, one.unapplied + 1), day)
        case _:
            pass


def _change_invoice(books: Books, rng: Random, name: str, on: date) -> None:
    standing = [b for b in books.items.values() if not b.void and b.item.item_id == b.item.invoice_id]
    if not standing:
        return
    one = rng.choice(standing)
    day = max(on, one.item.issued_on)
    match rng.randrange(3):
        case 0 if one.retainage > 1:
            books.release(name, one.item.item_id, rng.randrange(1, one.retainage), day)
        case 1:
            paid = sum(r.applied.get(one.item.item_id, 0) for r in books.receipts.values())
            if most := one.open + paid:
                books.credit(name, one.item.item_id, rng.randrange(1, most + 1), day)
        case _:
            books.void(one.item.item_id, day)
