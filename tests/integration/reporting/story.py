"""Two years of a contractor with three branches, made of every sort of entry; the same at every run."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random

from tests.integration.reporting.books import Books
from tests.integration.reporting.record import Bill, Receipt

FIRST, DAYS = date(2024, 1, 1), 730
METHODS = ("check", "ach", "wire", "card", "lockbox", "cash")
# Recorded late: these were true before, and unknown for long.
LATE = datetime(2025, 11, 30, 12, tzinfo=UTC)


def contractor(bills: int = 120, seed: int = 11) -> Books:
    """Branches CHI, DAL and TYO (yen); an account of CHI is billed by DAL too, one in Kuwaiti dinars."""
    books, chance = Books(), Random(seed)
    for code in ("CHI", "DAL", "TYO"):
        books.branch(code)
    accounts = [
        (books.account("CHI", f"C-{n}", collector="kim" if n % 2 else "lee"), ("CHI", "DAL")[n % 2], "USD")
        for n in range(4)
    ]
    accounts += [(books.account("DAL", f"D-{n}", collector="lee" if n else None), "DAL", "USD") for n in range(3)]
    accounts += [(books.account("TYO", "T-1", "JPY"), "TYO", "JPY"), (books.account("DAL", "K-1", "KWD"), "DAL", "KWD")]
    jobs = {account: books.job(branch, account, f"J-{at}") for at, (account, branch, _) in enumerate(accounts[:5])}
    made: list[Bill] = []
    for _ in range(bills):
        account, branch, currency = chance.choice(accounts)
        issued = FIRST + timedelta(days=chance.randrange(DAYS - 60))
        minor = chance.randrange(1_00, 90_000_00)
        books.at = LATE if chance.random() < 0.1 else None
        made.append(
            books.issue(
                branch,
                account,
                minor,
                issued,
                issued + timedelta(days=chance.choice((0, 10, 30, 60))),
                currency=currency,
                retainage=minor // 10 if chance.random() < 0.3 else 0,
                job_id=jobs.get(account) if chance.random() < 0.5 else None,
            )
        )
        _lives(books, chance, made[-1], minor)
    books.at = None
    _money_alone(books, chance)
    return books


def _lives(books: Books, chance: Random, bill: Bill, minor: int) -> None:
    """What happens to a bill, from fully paid to voided; a third stays as it is."""
    day = bill.item.due_on + timedelta(days=chance.randrange(-8, 70))
    held = sum(p.minor for p in books.postings if p.id == bill.id and p.kind == "retainage")
    open_ = minor - held
    fate = chance.randrange(12)
    if fate < 3:
        books.pay(bill, open_, day, chance.choice(METHODS))
    elif fate == 3:
        books.pay(bill, open_ // 3, day, chance.choice(METHODS))
        books.credit(bill, open_ // 5, day + timedelta(days=4))
    elif fate == 4:
        books.void(bill, open_, day, held)
    elif fate == 5:
        receipt = books.pay(bill, open_, day, "check")
        books.unapply(receipt, bill, open_, day + timedelta(days=5))
        books.reverse(receipt, day + timedelta(days=5))
    elif fate == 6:
        write_off = books.write_off(bill, open_, day + timedelta(days=90))
        if chance.random() < 0.4:
            books.reverse_write_off(bill, write_off, open_, day + timedelta(days=120))
    elif fate == 7 and held:
        release = books.release(bill, held, day, day + timedelta(days=30))
        if chance.random() < 0.5:
            books.pay(release, held // 2, day + timedelta(days=33))
    elif fate == 8:
        books.dispute(bill, open_ // 2, day)


def _money_alone(books: Books, chance: Random) -> None:
    """Money on account, money of nobody, money that went back."""
    accounts = [account for account, number in books.numbers.items() if number.startswith("C-")]
    for n, account in enumerate(accounts):
        receipt = books.receive("CHI", account, 500_00 + n, FIRST + timedelta(days=300 + 40 * n), "wire")
        if n % 2:
            books.refund(receipt, 200_00, receipt.on + timedelta(days=20))
    nobody: list[Receipt] = [
        books.receive("DAL", None, 77_00 + n, FIRST + timedelta(days=400 + n), "lockbox") for n in range(4)
    ]
    books.identify(nobody[0], accounts[0], nobody[0].minor, nobody[0].on + timedelta(days=30))
    books.reverse(nobody[1], nobody[1].on + timedelta(days=3))
