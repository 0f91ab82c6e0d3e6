"""Makes a ledger of a mechanical contractor that never was: branches, customers, jobs, two years of invoices, and how
they were paid, promised, contested, placed and given up. The same seed and day make the same ledger.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from events.money import decimal_text

Record = dict[str, str]
CURRENCY: Final = "USD"
# City, state, IANA zone and share of the business: branches are never of one size.
BRANCHES: Final = (
    ("DAL-01", "Dallas", "TX", "America/Chicago", 20),
    ("HOU-02", "Houston", "TX", "America/Chicago", 16),
    ("ATL-03", "Atlanta", "GA", "America/New_York", 12),
    ("PHX-04", "Phoenix", "AZ", "America/Phoenix", 10),
    ("DEN-05", "Denver", "CO", "America/Denver", 9),
    ("CHI-06", "Chicago", "IL", "America/Chicago", 8),
    ("TPA-07", "Tampa", "FL", "America/New_York", 7),
    ("SEA-08", "Seattle", "WA", "America/Los_Angeles", 6),
    ("CLT-09", "Charlotte", "NC", "America/New_York", 5),
    ("CMH-10", "Columbus", "OH", "America/New_York", 4),
    ("PIT-11", "Pittsburgh", "PA", "America/New_York", 2),
    ("EWR-12", "Newark", "NJ", "America/New_York", 1),
)
_TRADE: Final = ("Property Group", "Builders", "Hospital Partners", "School District", "Logistics", "Hotels", "Foods")
_NAMES: Final = ("Alder", "Beacon", "Cypress", "Delta", "Ember", "Foxglove", "Granite", "Harbor", "Ironwood", "Juniper")
_METHODS: Final = (("check", 45), ("ach", 25), ("lockbox", 15), ("card", 9), ("wire", 5), ("cash", 1))
_DISPUTES: Final = ("PRC", "SCP", "WAR", "CO", "DOC", "PO", "RET", "TAX")
AGENCY: Final = "Transworld"
CONTINGENCY_BP: Final = 3_500  # Industry contingency is quoted at 30 to 50 percent.


@dataclass(frozen=True, slots=True)
class Account:
    """A customer and how he pays: `lateness` is his usual days after the due date."""

    id: str
    branch: str
    number: str
    terms_days: int
    lateness: float
    reliable: float
    jobs: tuple[str, ...]
    weight: float


@dataclass(slots=True)
class Invoice:
    """An invoice and what the story has left open of it, in minor units."""

    id: str
    account: Account
    issued_on: date
    due_on: date
    open: int
    paid_on: date | None = None
    promised: bool = False
    disputed: bool = False


@dataclass
class Story:
    """One run of the generator: a source of chance, the last day, and the invoices so far."""

    seed: int
    today: date
    invoices_wanted: int
    months: int = 24
    rng: random.Random = field(init=False)
    invoices: list[Invoice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)  # noqa: S311 - a ledger to show, not a secret

    @property
    def first_day(self) -> date:
        return self.today - timedelta(days=round(self.months * 30.44))

    def id(self) -> str:
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def day(self, first: date, last: date) -> date:
        """Any working day between the two."""
        span = max(0, (last - first).days)
        day = first + timedelta(days=self.rng.randint(0, span))
        return day - timedelta(days=max(0, day.weekday() - 4))


def records(seed: int, today: date, invoices: int = 5_000) -> Iterator[Record]:
    """The ledger's records, each with its `kind`, in an order in which they can be taken.

    Shapes   about `invoices` invoices over 12 branches and the 24 months before `today`.
    """
    story = Story(seed, today, invoices)
    for code, city, state, zone, _share in BRANCHES:
        yield _record("branches", story.first_day, "registered_on", branch=code, name=city, region=state, timezone=zone)
    accounts = yield from _accounts(story)
    yield from _invoices(story, accounts)
    yield from _receipts(story)
    yield from _aftermath(story)


def _record(kind: str, on: date, on_field: str, **fields: str | int | None) -> Record:
    kept = {name: str(value) for name, value in fields.items() if value is not None}
    return {"kind": kind, on_field: on.isoformat(), **kept}


def _accounts(story: Story) -> Generator[Record, None, list[Account]]:
    rng, accounts = story.rng, list[Account]()
    codes, shares = [b[0] for b in BRANCHES], [b[4] for b in BRANCHES]
    for number in range(1, max(24, story.invoices_wanted // 14)):
        code = codes[number - 1] if number <= len(codes) else rng.choices(codes, shares)[0]
        commercial = rng.random() < 0.85
        opened_on = story.first_day - timedelta(days=rng.randint(30, 900))
        account = Account(
            id=story.id(),
            branch=code,
            number=f"C{number:05d}",
            terms_days=rng.choices((30, 45, 60, 10), (70, 12, 8, 10))[0] if commercial else 10,
            lateness=rng.gauss(9, 12),
            reliable=rng.betavariate(9, 1.2),
            jobs=tuple(story.id() for _ in range(rng.choices((0, 1, 2, 4), (55, 25, 14, 6))[0])) if commercial else (),
            weight=rng.paretovariate(1.4),
        )
        accounts.append(account)
        yield _record(
            "accounts",
            opened_on,
            "opened_on",
            account_id=account.id,
            branch=code,
            number=account.number,
            name=f"{rng.choice(_NAMES)} {rng.choice(_TRADE)}" if commercial else None,
            profile="commercial_entity" if commercial else "consumer",
            currency=CURRENCY,
            terms_days=account.terms_days,
            collector=f"collector.{codes.index(code) // 3 + 1}",
        )
        for at, job in enumerate(account.jobs, start=1):
            yield _record(
                "jobs",
                story.first_day,
                "opened_on",
                job_id=job,
                branch=code,
                account_id=account.id,
                number=f"J{number:05d}-{at}",
                name=rng.choice(
                    ("Chiller replacement", "Tenant fit-out", "Boiler room", "Riser repipe", "VAV retrofit")
                ),
            )
    return accounts


def _invoices(story: Story, accounts: list[Account]) -> Iterator[Record]:
    rng = story.rng
    weights = [account.weight for account in accounts]
    days = sorted(story.day(story.first_day, story.today) for _ in range(story.invoices_wanted))
    for number, (issued_on, account) in enumerate(
        zip(days, rng.choices(accounts, weights, k=len(days)), strict=True), start=1
    ):
        job = rng.choice(account.jobs) if account.jobs and rng.random() < 0.6 else None
        total = max(9_500, round(rng.lognormvariate(7.6 if job else 6.4, 1.1) * 100))
        retainage = total * rng.choice((5, 10)) // 100 if job and rng.random() < 0.5 else 0
        invoice = Invoice(
            story.id(), account, issued_on, issued_on + timedelta(days=account.terms_days), total - retainage
        )
        story.invoices.append(invoice)
        yield _record(
            "invoices",
            issued_on,
            "issued_on",
            invoice_id=invoice.id,
            branch=account.branch,
            account_id=account.id,
            job_id=job,
            number=f"{account.branch[:3]}{number:06d}",
            po=f"PO-{rng.randint(1000, 99999)}" if rng.random() < 0.4 else None,
            due_on=invoice.due_on.isoformat(),
            terms=f"net {account.terms_days}",
            total=decimal_text(total, CURRENCY),
            tax=decimal_text(total * 7 // 107, CURRENCY) if not job else None,
            retainage=decimal_text(retainage, CURRENCY) if retainage else None,
            currency=CURRENCY,
        )


def _receipts(story: Story) -> Iterator[Record]:
    """Customers pay: mostly late by their habit, often several invoices at once, sometimes short or too much."""
    rng = story.rng
    paying: dict[tuple[str, date], list[Invoice]] = {}
    for invoice in story.invoices:
        account = invoice.account
        paid_on = invoice.due_on + timedelta(days=round(rng.gauss(account.lateness, 8)))
        if rng.random() > account.reliable:
            if rng.random() < 0.3:
                continue  # Never pays of his own accord.
            paid_on += timedelta(days=rng.randint(30, 150))
        paid_on = max(paid_on, invoice.issued_on + timedelta(days=2))
        if rng.random() < 0.4:
            paid_on += timedelta(days=14 - paid_on.toordinal() % 14)  # A fortnightly payment run covers many invoices.
        if paid_on <= story.today:
            invoice.paid_on = paid_on
            paying.setdefault((account.id, paid_on), []).append(invoice)
    for (_, paid_on), invoices in sorted(paying.items(), key=lambda pair: (pair[0][1], pair[0][0])):
        yield from _receipt(story, paid_on, invoices)
    for _ in range(max(1, story.invoices_wanted // 400)):  # Money whose payer nobody knows yet.
        yield _record(
            "receipts",
            story.day(story.today - timedelta(days=60), story.today),
            "received_on",
            receipt_id=story.id(),
            branch=rng.choice(BRANCHES)[0],
            method="wire",
            reference=f"W{rng.randint(10**7, 10**8)}",
            amount=decimal_text(rng.randint(20_000, 900_000), CURRENCY),
            currency=CURRENCY,
        )


def _receipt(story: Story, paid_on: date, invoices: list[Invoice]) -> Iterator[Record]:
    rng, account = story.rng, invoices[0].account
    shares = {invoice.id: invoice.open for invoice in invoices}
    if rng.random() < 0.06:  # A short payment leaves the last invoice partly open.
        last = invoices[-1]
        shares[last.id] = max(1, last.open * rng.randint(40, 95) // 100)
    surplus = rng.randint(1_000, 80_000) if rng.random() < 0.02 else 0
    methods, weights = zip(*_METHODS, strict=True)
    method = rng.choices(methods, weights)[0]
    header = {
        "receipt_id": story.id(),
        "branch": account.branch,
        "account_id": account.id,
        "method": method,
        "reference": f"{method[:2].upper()}{rng.randint(10**5, 10**7)}",
        "amount": decimal_text(sum(shares.values()) + surplus, CURRENCY),
        "currency": CURRENCY,
    }
    returned = method in ("check", "ach") and rng.random() < 0.012
    for invoice in invoices:
        applied = shares[invoice.id]
        yield _record(
            "receipts", paid_on, "received_on", **header, item_id=invoice.id, applied=decimal_text(applied, CURRENCY)
        )
        if not returned:
            invoice.open -= applied
    returned_on = paid_on + timedelta(days=rng.randint(2, 6))
    if returned and returned_on <= story.today:
        reason = "nsf" if method == "check" else "ach_return"
        yield _record("reversals", returned_on, "reversed_on", receipt_id=header["receipt_id"], reason=reason)
    elif returned:
        for invoice in invoices:
            invoice.open -= shares[invoice.id]


def _aftermath(story: Story) -> Iterator[Record]:
    """What is done about invoices that stayed open: calls, promises, disputes, the agency, and giving up."""
    rng = story.rng
    for invoice in story.invoices:
        if invoice.open <= 0:
            continue
        late = (story.today - invoice.due_on).days
        if rng.random() < 0.02 and invoice.open > 20_000:
            credit = invoice.open * rng.randint(5, 30) // 100
            invoice.open -= credit
            yield _record(
                "credit-notes",
                story.day(invoice.issued_on, story.today),
                "issued_on",
                credit_note_id=story.id(),
                invoice_id=invoice.id,
                amount=decimal_text(credit, CURRENCY),
                currency=CURRENCY,
                reason=rng.choice(("price", "scope", "warranty", "goodwill")),
            )
        if late > 5:
            yield from _chase(story, invoice, late)
        if late > 150 and not invoice.disputed:
            yield from _give_up(story, invoice)


def _chase(story: Story, invoice: Invoice, late: int) -> Iterator[Record]:
    rng, account = story.rng, invoice.account
    about = {"account_id": account.id}
    for _ in range(min(4, 1 + late // 30)):
        channel = rng.choice(("call", "email", "call", "letter"))
        outcome = rng.choice(("reached", "left_message", "no_answer")) if channel == "call" else "sent"
        yield _record(
            "attempts",
            story.day(invoice.due_on, story.today),
            "attempted_on",
            **about,
            attempt_id=story.id(),
            channel=channel,
            outcome=outcome,
            item_ids=invoice.id,
        )
    if rng.random() < 0.18:
        invoice.disputed = True
        yield _record(
            "disputes",
            story.day(invoice.issued_on, story.today),
            "opened_on",
            **about,
            dispute_id=story.id(),
            item_id=invoice.id,
            amount=decimal_text(invoice.open, CURRENCY),
            currency=CURRENCY,
            reason=rng.choice(_DISPUTES),
        )
    elif late < 90 and rng.random() < 0.45:
        invoice.promised = True
        yield _record(
            "promises",
            story.today - timedelta(days=rng.randint(0, 5)),
            "made_on",
            **about,
            promise_id=story.id(),
            item_ids=invoice.id,
            amount=decimal_text(invoice.open, CURRENCY),
            currency=CURRENCY,
            promised_on=(story.today + timedelta(days=rng.randint(2, 30))).isoformat(),
        )


def _give_up(story: Story, invoice: Invoice) -> Iterator[Record]:
    rng, account = story.rng, invoice.account
    about = {"branch": account.branch, "account_id": account.id}
    contingency = rng.random() < 0.5
    placement = story.id()
    placed_on = story.day(invoice.due_on + timedelta(days=120), story.today)
    if rng.random() < 0.7:
        yield _record(
            "placements",
            placed_on,
            "placed_on",
            **about,
            placement_id=placement,
            agency=AGENCY,
            phase="contingency" if contingency else "written_demand",
            item_id=invoice.id,
            amount=decimal_text(invoice.open, CURRENCY),
            currency=CURRENCY,
            fee_bp=CONTINGENCY_BP if contingency else 0,
            flat_fee=None if contingency else "10.00",
        )
        if rng.random() < 0.3:
            yield _record(
                "recoveries",
                story.day(placed_on, story.today),
                "reported_on",
                recovery_id=story.id(),
                placement_id=placement,
                recovered_from="agency",
                gross=decimal_text(max(1, invoice.open * rng.randint(20, 90) // 100), CURRENCY),
                currency=CURRENCY,
            )
    elif rng.random() < 0.6:
        decided_on = story.day(placed_on, story.today)
        yield _record(
            "write-offs",
            decided_on,
            "requested_on",
            **about,
            write_off_id=story.id(),
            item_id=invoice.id,
            amount=decimal_text(invoice.open, CURRENCY),
            currency=CURRENCY,
            reason="uncollectable",
            requested_by="collector.1",
            approved_by="controller.1",
            approved_on=decided_on.isoformat(),
        )


def write(path: Path, seed: int, today: date, invoices: int = 5_000) -> int:
    """Write the ledger to `path` as NDJSON; answers how many records it has."""
    count = 0
    with path.open("wb") as file:
        for record in records(seed, today, invoices):
            file.write(msgspec.json.encode(record) + b"\n")
            count += 1
    return count
