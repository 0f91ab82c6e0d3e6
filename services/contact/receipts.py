"""What is kept of the payment topic: when receipts came in, what they were applied to, which items ended unpaid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Final
from uuid import UUID

from events.money import Money
from events.payment import ItemChanged, PaymentApplied, PaymentReceived, PaymentUnapplied
from services.contact.domain.ended_item import End, end_of
from services.contact.domain.promise import Received
from services.kernel.delivery import Delivered
from services.kernel.meta import ALL
from services.kernel.store import Conn


async def keep(conn: Conn, batch: Iterable[Delivered]) -> None:
    """Fold delivered facts into the tables, in the consumer's transaction. Repeats change nothing."""
    dates: dict[UUID, date] = {}
    applied: list[tuple[object, ...]] = []
    ends: dict[UUID, tuple[str, End, date] | None] = {}
    for delivered in batch:
        match delivered.fact:
            case PaymentReceived(receipt_id=receipt_id, effective_on=received_on):
                dates[receipt_id] = received_on
            case PaymentApplied() | PaymentUnapplied() as fact:
                applied += _rows(delivered.envelope.event_id, fact)
            case ItemChanged(item=item) as fact:
                if (end := end_of(fact)) is not None:
                    ends[item.item_id] = (item.branch, end, fact.effective_on)
                elif fact.cause == "write_off_reversed":
                    ends[item.item_id] = None
            case _:
                pass
    await conn.execute("SELECT set_config('openitem.branches', $1, true)", ALL)
    if dates:
        await conn.execute(_DATES, list(dates), list(dates.values()))
    if applied:
        await conn.executemany(_APPLIED, applied)
    await _keep_ends(conn, ends)


async def dates_of(conn: Conn, receipt_ids: Collection[UUID]) -> Mapping[UUID, date]:
    """The deposit dates of receipts."""
    rows = await conn.fetch("SELECT * FROM receipt_date WHERE receipt_id = ANY ($1::uuid[])", sorted(set(receipt_ids)))
    return {row["receipt_id"]: row["received_on"] for row in rows}


async def items_of_receipts(conn: Conn, receipt_ids: Collection[UUID]) -> Mapping[UUID, set[UUID]]:
    """The items that each receipt was ever applied to."""
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in await conn.fetch(_ITEMS, sorted(set(receipt_ids))):
        found[row["receipt_id"]].add(row["item_id"])
    return found


async def ended_among(conn: Conn, promise_ids: Collection[UUID]) -> frozenset[UUID]:
    """Of the items that these promises cover, those that ended without being paid."""
    return frozenset(row["item_id"] for row in await conn.fetch(_ENDED, sorted(promise_ids)))


async def applied_to(conn: Conn, item_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Application]]:
    """Everything that was applied to each item, and undone."""
    found: defaultdict[UUID, list[Application]] = defaultdict(list)
    for row in await conn.fetch(_APPLICATIONS, sorted(item_ids)):
        found[row["item_id"]].append(tuple(row))
    return found


def since(made_on: date, applications: Iterable[Application]) -> list[Received]:
    """What receipts have on the items, net of what was undone, from applications after `made_on`."""
    net: dict[tuple[UUID, UUID], Received] = {}
    for item_id, receipt_id, received_on, applied_on, change, currency in applications:
        if applied_on > made_on:
            before = net.get((receipt_id, item_id))
            net[receipt_id, item_id] = Received(
                receipt_id=receipt_id,
                item_id=item_id,
                received_on=received_on,
                applied_on=min(applied_on, before.applied_on) if before else applied_on,
                amount=Money(change + (before.amount.minor if before else 0), currency),
            )
    return [received for received in net.values() if received.amount.minor > 0]


def _rows(event_id: UUID, fact: PaymentApplied | PaymentUnapplied) -> Iterable[tuple[object, ...]]:
    sign = 1 if isinstance(fact, PaymentApplied) else -1
    change: dict[UUID, int] = defaultdict(int)
    for line in fact.lines:
        change[line.item.item_id] += sign * line.amount.minor
    branches = {line.item.item_id: line.item.branch for line in fact.lines}
    currency = fact.unapplied.currency
    for item_id, minor in change.items():
        yield event_id, item_id, fact.receipt_id, branches[item_id], fact.effective_on, minor, currency


async def _keep_ends(conn: Conn, ends: Mapping[UUID, tuple[str, End, date] | None]) -> None:
    gone = [(item_id, *end) for item_id, end in sorted(ends.items()) if end is not None]
    back = [item_id for item_id, end in sorted(ends.items()) if end is None]
    if gone:
        await conn.executemany(_GONE, gone)
    if back:
        # A write-off taken back; a void cannot be.
        await conn.execute("DELETE FROM ended_item WHERE item_id = ANY ($1::uuid[]) AND how = 'written_off'", back)


Application = tuple[UUID, UUID, date, date, int, str]
_DATES: Final = """
INSERT INTO receipt_date (receipt_id, received_on) SELECT * FROM unnest($1::uuid[], $2::date[]) ON CONFLICT DO NOTHING
"""
_APPLIED: Final = """
INSERT INTO application (event_id, item_id, receipt_id, branch, applied_on, change_minor, currency)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""
_GONE: Final = """
INSERT INTO ended_item (item_id, branch, how, ended_on) VALUES ($1, $2, $3, $4)
ON CONFLICT (item_id) DO UPDATE SET how = excluded.how, ended_on = excluded.ended_on
"""
_ITEMS: Final = "SELECT DISTINCT receipt_id, item_id FROM application WHERE receipt_id = ANY ($1::uuid[])"
_ENDED: Final = """
SELECT DISTINCT e.item_id FROM promise_by_item p JOIN ended_item e ON e.item_id = p.item_id
WHERE p.promise_id = ANY ($1::uuid[])
"""
_APPLICATIONS: Final = """
SELECT a.item_id, a.receipt_id, coalesce(r.received_on, a.applied_on), a.applied_on, a.change_minor, a.currency
FROM application a LEFT JOIN receipt_date r ON r.receipt_id = a.receipt_id
WHERE a.item_id = ANY ($1::uuid[]) ORDER BY a.applied_on, a.event_id
"""
