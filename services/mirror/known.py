"""Look-ups: what is known here of branches, accounts and items, within the branches that the transaction may see."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from events.invoice import Profile
from events.item import Item
from events.money import Money
from services.kernel.errors import Kind
from services.kernel.store import Arriving, Conn


class ItemNotKnown(Arriving):
    """No such item, or the caller may not see it, or its facts have yet to arrive here."""

    code = "item_not_known"
    kind = Kind.UNKNOWN


class AccountNotKnown(Arriving):
    """No such account, or the caller may not see it, or its facts have yet to arrive here."""

    code = "account_not_known"
    kind = Kind.UNKNOWN


class KnownAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as the invoice service last described it. `branch` is its home branch."""

    account_id: UUID
    branch: str
    number: str
    name: str | None
    profile: Profile
    currency: str
    terms_days: int
    collector: str | None


class KnownItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item and what is open on it, as far as is known here. `number` is the invoice's or the release's."""

    item: Item
    number: str | None
    open: Money
    voided: bool


async def accounts_of(conn: Conn, account_ids: Collection[UUID]) -> dict[UUID, KnownAccount]:
    """The accounts that are known and visible; those that are not are missing from the answer."""
    rows = await conn.fetch(_ACCOUNTS, sorted(set(account_ids)))
    return {row["account_id"]: msgspec.convert(dict(row), KnownAccount) for row in rows}


async def items_of(conn: Conn, item_ids: Collection[UUID]) -> dict[UUID, KnownItem]:
    """The items that are known and visible; those that are not are missing from the answer."""
    rows = await conn.fetch(_ITEMS.format(where="item_id = ANY ($1::uuid[])"), sorted(set(item_ids)))
    return {row["item_id"]: _item(row) for row in rows}


async def items_of_account(conn: Conn, account_id: UUID, *, open_only: bool = True) -> list[KnownItem]:
    """The account's visible items, oldest due first."""
    where = "account_id = $1" + (" AND open_minor > 0" if open_only else "")
    rows = await conn.fetch(_ITEMS.format(where=where) + " ORDER BY due_on, item_id", account_id)
    return [_item(row) for row in rows]


async def all_timezones(conn: Conn) -> dict[str, str]:
    """The IANA time zone of every branch that is known and visible."""
    return {row["branch"]: row["timezone"] for row in await conn.fetch("SELECT branch, timezone FROM mirror_branch")}


def _item(row: asyncpg.Record) -> KnownItem:
    item = Item(
        item_id=row["item_id"],
        invoice_id=row["invoice_id"],
        branch=row["branch"],
        account_id=row["account_id"],
        job_id=row["job_id"],
        issued_on=row["issued_on"],
        due_on=row["due_on"],
    )
    opened = Money(row["open_minor"], row["currency"])
    return KnownItem(item=item, number=row["number"], open=opened, voided=row["voided"])


_ACCOUNTS: Final = """
SELECT account_id, branch, number, name, profile, currency, terms_days, collector
FROM mirror_account WHERE account_id = ANY ($1::uuid[])
"""
_ITEMS: Final = """
SELECT item_id, invoice_id, branch, account_id, job_id, issued_on, due_on, currency, number, voided, open_minor
FROM mirror_item WHERE {where}
"""
