"""Look-up tables beside the streams: promises and disputes by item. The store's index writes them, `prepare` reads."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from events.contact import (
    DisputeOpened,
    DisputeResolved,
    PromiseBroken,
    PromiseCancelled,
    PromiseKept,
    PromiseMade,
)
from events.envelope import Fact
from events.money import Money
from services.contact.domain.promise import due_on
from services.kernel.store import Conn

# Items share this many turns, so that a batch over thousands of them holds few locks.
_TURNS: Final = 256


async def index(conn: Conn, facts: Sequence[Fact]) -> None:
    """Bring the tables in step with facts that are being appended. Later facts of one promise win."""
    made: list[tuple[object, ...]] = []
    opened: list[tuple[object, ...]] = []
    statuses: dict[UUID, str] = {}
    resolved: set[UUID] = set()
    for fact in facts:
        match fact:
            case PromiseMade():
                dates = fact.effective_on, fact.promised_on, due_on(fact)
                made += ((fact.promise_id, item, fact.account_id, fact.branch, *dates) for item in fact.item_ids)
            case PromiseKept(promise_id=promise_id):
                statuses[promise_id] = "kept"
            case PromiseBroken(promise_id=promise_id):
                statuses[promise_id] = "broken"
            case PromiseCancelled(promise_id=promise_id):
                statuses[promise_id] = "cancelled"
            case DisputeOpened(amount=amount):
                item = fact.item_id, fact.account_id, fact.branch
                opened.append((fact.dispute_id, *item, amount.minor, amount.currency, fact.effective_on))
            case DisputeResolved(dispute_id=dispute_id):
                resolved.add(dispute_id)
            case _:
                pass
    if made:
        await conn.executemany(_MADE, made)
    if statuses:
        ids = sorted(statuses)
        await conn.execute(_ENDED, ids, [statuses[promise_id] for promise_id in ids])
    if opened:
        await conn.executemany(_OPENED, opened)
    if resolved:
        await conn.execute(_RESOLVED, sorted(resolved))


async def take_turns(conn: Conn, item_ids: Collection[UUID], *, alone: bool) -> None:
    """Until the transaction ends, whoever is `alone` on an item keeps others of these off it; the rest share it.

    A promise or a dispute is decided from what is on record of its items, and puts more on record: two at once would
    not see each other, nor would a promise see the payment that is being booked beside it. Facts that follow from
    payments take items together, for their streams' versions keep them apart.
    """
    if item_ids:
        await conn.execute(_ALONE if alone else _TOGETHER, sorted(item_ids))


async def promises_over(conn: Conn, item_ids: Collection[UUID]) -> Mapping[UUID, set[UUID]]:
    """The promises that cover each item, whatever became of them."""
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in await conn.fetch(_PROMISES, sorted(item_ids)):
        found[row["item_id"]].add(row["promise_id"])
    return found


async def disputes_over(conn: Conn, item_ids: Collection[UUID]) -> Mapping[UUID, set[UUID]]:
    """The open disputes of each item."""
    found: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for row in await conn.fetch(_DISPUTES, sorted(item_ids)):
        found[row["item_id"]].add(row["dispute_id"])
    return found


async def billed_of(conn: Conn, item_ids: Collection[UUID]) -> Mapping[UUID, Money]:
    """What was billed on each item, without retainage withheld; missing while the invoice's fact has not arrived."""
    rows = await conn.fetch(_BILLED, sorted(item_ids))
    return {row["item_id"]: Money(row["billed_minor"], row["currency"]) for row in rows}


_MADE: Final = """
INSERT INTO promise_by_item (promise_id, item_id, account_id, branch, status, made_on, promised_on, due_on)
VALUES ($1, $2, $3, $4, 'open', $5, $6, $7)
"""
_ENDED: Final = """
UPDATE promise_by_item p SET status = e.status
FROM unnest($1::uuid[], $2::text[]) AS e(promise_id, status) WHERE p.promise_id = e.promise_id
"""
_OPENED: Final = """
INSERT INTO dispute_by_item (dispute_id, item_id, account_id, branch, amount_minor, currency, status, opened_on)
VALUES ($1, $2, $3, $4, $5, $6, 'open', $7)
"""
_RESOLVED: Final = "UPDATE dispute_by_item SET status = 'resolved' WHERE dispute_id = ANY ($1::uuid[])"
# In the order of the turns, so that two batches cannot wait for each other.
_TURN: Final = f"""
SELECT {{lock}}('promise_by_item'::regclass::oid::int, turn) FROM (
    SELECT DISTINCT abs(hashtext(item::text) % {_TURNS}) AS turn FROM unnest($1::uuid[]) item ORDER BY 1
) turns
"""  # noqa: S608 - made of constants
_ALONE: Final = _TURN.format(lock="pg_advisory_xact_lock")
_TOGETHER: Final = _TURN.format(lock="pg_advisory_xact_lock_shared")
_PROMISES: Final = "SELECT item_id, promise_id FROM promise_by_item WHERE item_id = ANY ($1::uuid[])"
_DISPUTES: Final = (
    "SELECT item_id, dispute_id FROM dispute_by_item WHERE item_id = ANY ($1::uuid[]) AND status = 'open'"
)
_BILLED: Final = """
SELECT item_id, billed_minor, currency FROM mirror_item
WHERE item_id = ANY ($1::uuid[]) AND billed_minor IS NOT NULL
"""
