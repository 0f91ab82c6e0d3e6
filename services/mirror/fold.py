"""Fold facts of the invoice and payment topics into the mirror's tables.

Each publisher's facts touch columns of their own, guarded by the version of their own stream. So repeats change
nothing, and the order between the two topics makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final, NamedTuple
from uuid import UUID

from events.invoice import (
    AccountChanged,
    AccountOpened,
    BranchRegistered,
    CreditNoteIssued,
    InvoiceIssued,
    InvoiceVoided,
    RetainageReleased,
)
from events.item import Item
from events.payment import ItemChanged, ItemOpened
from services.kernel.delivery import Known
from services.kernel.meta import ALL
from services.kernel.store import Conn


class BranchRow(NamedTuple):
    branch: str
    name: str
    timezone: str
    version: int


class AccountRow(NamedTuple):
    account_id: UUID
    branch: str
    number: str
    name: str | None
    profile: str
    currency: str
    terms_days: int
    collector: str | None
    version: int


class BilledRow(NamedTuple):
    """What an invoice fact says of an item. None where the fact does not speak of it."""

    item_id: UUID
    invoice_id: UUID
    branch: str
    account_id: UUID
    job_id: UUID | None
    issued_on: date
    due_on: date
    currency: str
    number: str | None
    billed_minor: int | None
    credited_minor: int | None
    voided: bool
    version: int

    def then(self, later: BilledRow) -> BilledRow:
        """Both facts in one: the later one's word counts wherever it has one."""
        if later.version < self.version:
            return later.then(self)
        return later._replace(
            number=self.number if later.number is None else later.number,
            billed_minor=self.billed_minor if later.billed_minor is None else later.billed_minor,
            credited_minor=self.credited_minor if later.credited_minor is None else later.credited_minor,
            voided=self.voided or later.voided,
        )


class OpenRow(NamedTuple):
    """What a payment fact says of an item."""

    item_id: UUID
    invoice_id: UUID
    branch: str
    account_id: UUID
    job_id: UUID | None
    issued_on: date
    due_on: date
    currency: str
    number: str | None
    open_minor: int
    version: int


class Rows(NamedTuple):
    """What a batch of facts changes, one row per key, sorted by key so that two writers cannot deadlock."""

    branches: Sequence[BranchRow]
    accounts: Sequence[AccountRow]
    billed: Sequence[BilledRow]
    open: Sequence[OpenRow]


def rows_of(batch: Iterable[Known]) -> Rows:
    """The pure part of the fold. Facts that the mirror does not keep are passed over."""
    branches: dict[str, BranchRow] = {}
    accounts: dict[UUID, AccountRow] = {}
    billed: dict[UUID, BilledRow] = {}
    opened: dict[UUID, OpenRow] = {}
    for known in batch:
        version, fact = known.envelope.stream_version, known.fact
        match fact:
            case BranchRegistered():
                row = BranchRow(fact.branch, fact.name, fact.timezone, version)
                branches[fact.branch] = max(row, branches.get(fact.branch, row), key=_version)
            case AccountOpened() | AccountChanged():
                account = _account(fact, version)
                accounts[fact.account_id] = max(account, accounts.get(fact.account_id, account), key=_version)
            case InvoiceIssued() | CreditNoteIssued() | InvoiceVoided() | RetainageReleased():
                for said in _billed(fact, version):
                    earlier = billed.get(said.item_id)
                    billed[said.item_id] = said if earlier is None else earlier.then(said)
            case ItemOpened() | ItemChanged():
                is_open = _open(fact, version)
                before = opened.get(is_open.item_id, is_open)
                # Only the first fact of an item carries its number.
                number = is_open.number or before.number
                opened[is_open.item_id] = max(before, is_open, key=_version)._replace(number=number)
            case _:
                pass
    return Rows(
        [branches[k] for k in sorted(branches)],
        [accounts[k] for k in sorted(accounts)],
        [billed[k] for k in sorted(billed)],
        [opened[k] for k in sorted(opened)],
    )


async def keep(conn: Conn, batch: Iterable[Known]) -> None:
    """Fold delivered facts into the mirror, in the transaction that moves the consumer's position."""
    rows = rows_of(batch)
    await conn.execute("SELECT set_config('openitem.branches', $1, true)", ALL)
    if rows.branches:
        await conn.execute(_BRANCHES, *_columns(rows.branches))
    if rows.accounts:
        await conn.execute(_ACCOUNTS, *_columns(rows.accounts))
    if rows.billed:
        await conn.execute(_BILLED, *_columns(rows.billed))
    if rows.open:
        await conn.execute(_OPEN, *_columns(rows.open))


def _version(row: BranchRow | AccountRow | OpenRow) -> int:
    return row.version


def _columns(rows: Sequence[tuple[object, ...]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _account(fact: AccountOpened | AccountChanged, version: int) -> AccountRow:
    return AccountRow(
        fact.account_id,
        fact.branch,
        fact.number,
        fact.name,
        fact.profile,
        fact.currency,
        fact.terms_days,
        fact.collector,
        version,
    )


def _billed(
    fact: InvoiceIssued | CreditNoteIssued | InvoiceVoided | RetainageReleased, version: int
) -> Iterable[BilledRow]:
    match fact:
        case InvoiceIssued(total=total):
            billed = total.minor - fact.retainage.minor
            yield BilledRow(*_dimensions(fact.item), total.currency, fact.number, billed, None, False, version)
        case CreditNoteIssued(credited=credited):
            yield BilledRow(*_dimensions(fact.item), credited.currency, None, None, credited.minor, False, version)
        case RetainageReleased(amount=amount):
            yield BilledRow(*_dimensions(fact.item), amount.currency, fact.number, amount.minor, None, False, version)
        case InvoiceVoided(cancelled=cancelled):
            for item in (fact.item, *(release.item for release in fact.releases)):
                yield BilledRow(*_dimensions(item), cancelled.currency, None, None, None, True, version)


def _open(fact: ItemOpened | ItemChanged, version: int) -> OpenRow:
    match fact:
        case ItemOpened(original=open_, number=number):
            return OpenRow(*_dimensions(fact.item), open_.currency, number, open_.minor, version)
        case ItemChanged(open=open_):
            return OpenRow(*_dimensions(fact.item), open_.currency, None, open_.minor, version)


def _dimensions(item: Item) -> tuple[UUID, UUID, str, UUID, UUID | None, date, date]:
    return item.item_id, item.invoice_id, item.branch, item.account_id, item.job_id, item.issued_on, item.due_on


_BRANCHES: Final = """
INSERT INTO mirror_branch AS m (branch, name, timezone, version)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[])
ON CONFLICT (branch) DO UPDATE SET name = excluded.name, timezone = excluded.timezone, version = excluded.version
WHERE m.version < excluded.version
"""
_ACCOUNTS: Final = """
INSERT INTO mirror_account AS m (account_id, branch, number, name, profile, currency, terms_days, collector, version)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::text[],
                     $9::int[])
ON CONFLICT (account_id) DO UPDATE
   SET name = excluded.name, profile = excluded.profile, terms_days = excluded.terms_days,
       collector = excluded.collector, version = excluded.version
 WHERE m.version < excluded.version
"""
_BILLED: Final = """
INSERT INTO mirror_item AS m (item_id, invoice_id, branch, account_id, job_id, issued_on, due_on, currency,
                              number, billed_minor, credited_minor, voided, invoice_version)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::date[], $7::date[], $8::text[],
                     $9::text[], $10::bigint[], $11::bigint[], $12::boolean[], $13::int[])
ON CONFLICT (item_id) DO UPDATE
   SET number = coalesce(excluded.number, m.number),
       billed_minor = coalesce(excluded.billed_minor, m.billed_minor),
       credited_minor = coalesce(excluded.credited_minor, m.credited_minor),
       voided = m.voided OR excluded.voided,
       invoice_version = excluded.invoice_version
 WHERE m.invoice_version < excluded.invoice_version
"""
_OPEN: Final = """
INSERT INTO mirror_item AS m (item_id, invoice_id, branch, account_id, job_id, issued_on, due_on, currency,
                              number, payment_open_minor, item_version)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::date[], $7::date[], $8::text[],
                     $9::text[], $10::bigint[], $11::int[])
ON CONFLICT (item_id) DO UPDATE
   SET number = coalesce(m.number, excluded.number),
       payment_open_minor = excluded.payment_open_minor,
       item_version = excluded.item_version
 WHERE m.item_version < excluded.item_version
"""
