"""The consumer's handler: a delivered batch into the read models, in the transaction that moves the position."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from services.kernel.delivery import Delivered, Known
from services.kernel.position import channel_of
from services.kernel.store import Conn
from services.projections import metrics, schema
from services.projections.deltas import Deltas, Receipt
from services.projections.fold import earlier_receipts, fold_into
from services.projections.models.balance import add_up
from services.projections.writer import write

CONSUMER: Final = "projections"
# Shared by whoever writes to the read models, and taken alone, for a moment, by whoever begins a snapshot: after that
# moment every writer knows of it. Any constant will do.
WRITERS: Final = 5_201_731
_SLICE: Final = 100  # Facts folded at a stretch, about half a millisecond: in between another lane speaks to Postgres.

# Nobody waits for the disk: the position is in the same transaction, so what a crash forgets is read again. Whoever
# waits for a fact to show is told with the commit.
# The tables' owner writes, whom row-level security does not bind: every branch is folded, and so rows can be copied in.
_BEGIN: Final = """
SELECT set_config('role', 'none', true), set_config('search_path', $1, true),
       set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock_shared($2),
       pg_notify($3, ''), (SELECT hash FROM public.model_schema) AS built
"""
# Read before, not left to the upsert: that would lock every branch's row in every batch, although hardly any changes.
_BEGUN: Final = "SELECT branch, first_on FROM branch WHERE first_on IS NOT NULL"
_RECEIPTS: Final = "SELECT item_id, issued_on, method FROM open_item WHERE item_id = ANY ($1) AND kind = 'receipt'"


async def handler(conn: Conn, batch: Sequence[Delivered]) -> None:
    """Fold a batch into the live read models.

    Errors   SchemaDiffers, which stops the worker: a rebuild by a newer program swapped other tables in.
    """
    with metrics.BATCH_SECONDS.time():
        begun = await conn.fetchrow(_BEGIN, f"{schema.LIVE}, public", WRITERS, channel_of(CONSUMER))
        assert begun is not None
        schema.compare(begun["built"])
        await project(conn, batch)


async def project(conn: Conn, batch: Sequence[Known], *, balances: bool = True) -> None:
    """Fold a batch into the read models of the search path, as their owner. A rebuild makes balances of all movements
    at once, and wants none meanwhile.
    """
    asked = earlier_receipts(batch)
    receipts = {}
    if asked:
        rows = await conn.fetch(_RECEIPTS, list(asked))
        receipts = {row["item_id"]: Receipt(row["issued_on"], row["method"]) for row in rows}
    begun = {row["branch"]: row["first_on"] for row in await conn.fetch(_BEGUN)}
    out = Deltas(receipts, begun)
    for at in range(0, len(batch), _SLICE):
        fold_into(out, batch[at : at + _SLICE])
        await asyncio.sleep(0)
    if balances:
        add_up(out)
    await write(conn, out)
    _count(batch)


def _count(batch: Sequence[Known]) -> None:
    for kind, count in Counter([type(known.fact) for known in batch]).items():
        metrics.FOLDED.labels(kind.__name__).inc(count)
