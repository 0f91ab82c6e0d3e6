"""The look-up tables: who has an item, what contact said of it, when a receipt came in. Written here only."""

from __future__ import annotations

from collections.abc import Sequence
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
from events.escalation import PlacedWithAgency, PlacementClosed, PlacementRecalled
from events.payment import PaymentReceived
from services.kernel.delivery import Delivered
from services.kernel.errors import VersionConflict
from services.kernel.store import Conn


async def index(conn: Conn, facts: Sequence[Fact]) -> None:
    """Keep who has which item, within the transaction of the facts.

    Errors   VersionConflict where another command placed the item in the meantime.
    """
    ended = {f.placement_id for f in facts if isinstance(f, PlacementRecalled | PlacementClosed)}
    if ended:
        await conn.execute(_END, sorted(ended))
    # In order, so that two commands that place the same items wait for each other instead of deadlocking.
    rows = sorted(
        (item.item_id, fact.placement_id, fact.placement_id in ended)
        for fact in facts
        if isinstance(fact, PlacedWithAgency)
        for item in fact.items
    )
    if rows:
        done = await conn.execute(_PLACE, *(list(column) for column in zip(*rows, strict=True)))
        if done != f"INSERT 0 {len(rows)}":
            raise VersionConflict("another command placed the item")


async def keep(conn: Conn, batch: Sequence[Delivered]) -> None:
    """Fold what contact says of items, and when receipts came in. Repeats change nothing."""
    contested: dict[UUID, tuple[UUID, bool]] = {}
    promised: dict[tuple[UUID, UUID], bool] = {}
    ended: set[UUID] = set()
    received: dict[UUID, object] = {}
    for delivered in batch:
        match delivered.fact:
            case DisputeOpened(dispute_id=dispute_id, item_id=item_id):
                contested.setdefault(dispute_id, (item_id, True))
            case DisputeResolved(dispute_id=dispute_id, item_id=item_id):
                contested[dispute_id] = (item_id, False)
            case PromiseMade(promise_id=promise_id, item_ids=item_ids):
                promised.update({(promise_id, item_id): True for item_id in item_ids})
            case PromiseKept() | PromiseBroken() | PromiseCancelled():
                ended.add(delivered.fact.promise_id)
            case PaymentReceived(receipt_id=receipt_id, effective_on=on):
                received[receipt_id] = on
            case _:
                pass
    if contested:
        ids = sorted(contested)
        await conn.execute(_CONTEST, ids, [contested[i][0] for i in ids], [contested[i][1] for i in ids])
    if promised:
        pairs = sorted(promised)
        await conn.execute(_PROMISE, [p for p, _ in pairs], [i for _, i in pairs])
    if ended:
        # After the promises of the same batch were put in: a stream is in order, so the end comes last.
        await conn.execute(_END_PROMISE, sorted(ended))
    if received:
        ids = sorted(received)
        await conn.execute(_RECEIVED, ids, [received[i] for i in ids])


_END: Final = "UPDATE placed_item SET ended = true WHERE placement_id = ANY ($1::uuid[]) AND NOT ended"
_PLACE: Final = """
INSERT INTO placed_item (item_id, placement_id, ended)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[])
ON CONFLICT DO NOTHING
"""
_CONTEST: Final = """
INSERT INTO contested_item AS c (dispute_id, item_id, is_open)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::boolean[])
ON CONFLICT (dispute_id) DO UPDATE SET is_open = false WHERE c.is_open AND NOT excluded.is_open
"""
_PROMISE: Final = """
INSERT INTO promised_item (promise_id, item_id, is_open)
SELECT p, i, true FROM unnest($1::uuid[], $2::uuid[]) AS t(p, i)
ON CONFLICT DO NOTHING
"""
_END_PROMISE: Final = "UPDATE promised_item SET is_open = false WHERE promise_id = ANY ($1::uuid[]) AND is_open"
_RECEIVED: Final = """
INSERT INTO receipt_date (receipt_id, received_on)
SELECT * FROM unnest($1::uuid[], $2::date[])
ON CONFLICT DO NOTHING
"""
