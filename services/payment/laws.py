"""The laws of the payment service's books, checked from its event store: not from states, which the same code made."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from services.kernel.delivery import Running
from services.kernel.law_metrics import LAW_BROKEN
from services.kernel.pool import Conn

CONSERVED: Final = "received = applied + unapplied + reversed + refunded"
OPEN: Final = "open = original + changes, from 0 to original"
TWO_SIDES: Final = "applied by the receipt = settled of the item"
LAWS: Final = (CONSERVED, OPEN, TWO_SIDES)
# Facts of one check: a fifth of a second of work for Postgres, which commands feel (they waited half a second for one
# of 100,000), and fifty million facts are still gone through in a day. Smaller ones cost more: each reads whole tables.
SLICE: Final = 20_000
# A transaction that took its positions earlier may commit later. The last so many are looked at again.
OVERLAP: Final = 10_000

log = structlog.stdlib.get_logger(__name__)


class Broken(msgspec.Struct, frozen=True):
    """A stream that breaks a law."""

    law: str
    stream: str


async def check(conn: Conn, after: int, upto: int, again: list[str]) -> list[Broken]:
    """The laws that are broken by streams with a fact in positions `after < p <= upto`, or named in `again`.

    Each stream is added up from its first fact; a receipt is held against the items it names.
    """
    await conn.execute("SELECT set_config('openitem.branches', '*', true)")
    rows = await conn.fetch(_CHECK, after, upto, again)
    return [Broken(_LAW[row["law"]], row["stream"]) for row in rows]


class Watch:
    """Goes through the log slice by slice, then follows its end. With every process it begins anew."""

    def __init__(self, *, slice_: int = SLICE, overlap: int = OVERLAP) -> None:
        self._slice = slice_
        self._overlap = overlap
        self._checked = 0
        self.broken: list[Broken] = []

    async def look(self, running: Running) -> None:
        """Check the next slice, and what was broken before. The timer of the worker calls this."""
        async with running.store.pool.acquire() as conn, conn.transaction(readonly=True):
            await conn.execute("SELECT set_config('openitem.branches', '*', true)")
            last = await conn.fetchval("SELECT coalesce(max(position), 0) FROM events")
            upto = min(last, self._checked + self._slice)
            self.broken = await check(conn, self._checked, upto, [found.stream for found in self.broken])
        self._checked = upto if upto < last else max(0, upto - self._overlap)
        for law in LAWS:
            LAW_BROKEN.labels(law=law).set(sum(found.law == law for found in self.broken))
        for found in self.broken:
            log.error("law_broken", law=found.law, stream=found.stream)


_LAW: Final = {"conserved": CONSERVED, "open": OPEN, "two_sides": TWO_SIDES}
_CHECK: Final = """
WITH touched AS (
    SELECT stream FROM events WHERE position > $1 AND position <= $2
    UNION
    SELECT unnest($3::text[])
), facts AS (
    SELECT e.stream, e.stream_version, split_part(e.type, '.', 3) AS fact, e.data
    FROM touched JOIN events e USING (stream)
), receipts AS (
    SELECT stream,
           sum((data #>> '{amount,minor}')::bigint) FILTER (WHERE fact = 'received') AS received,
           sum((data #>> '{applied,minor}')::bigint) FILTER (WHERE fact = 'applied') AS applied,
           sum((data #>> '{returned,minor}')::bigint) FILTER (WHERE fact = 'unapplied') AS returned,
           sum((data #>> '{amount,minor}')::bigint) FILTER (WHERE fact = 'reversed') AS reversed,
           sum((data #>> '{amount,minor}')::bigint) FILTER (WHERE fact = 'refunded') AS refunded,
           -- What the last fact says is left: all of it at first, nothing after a reversal.
           (array_agg(CASE fact WHEN 'received' THEN (data #>> '{amount,minor}')::bigint WHEN 'reversed' THEN 0
                      ELSE (data #>> '{unapplied,minor}')::bigint END ORDER BY stream_version DESC))[1] AS unapplied
    FROM facts WHERE stream LIKE 'receipt-%' GROUP BY stream
), items AS (
    SELECT stream,
           sum((data #>> '{original,minor}')::bigint) FILTER (WHERE fact = 'item_opened') AS original,
           sum((data #>> '{change,minor}')::bigint) FILTER (WHERE fact = 'item_changed') AS changes,
           (array_agg((coalesce(data #>> '{open,minor}', data #>> '{original,minor}'))::bigint
                      ORDER BY stream_version DESC))[1] AS open
    FROM facts WHERE stream LIKE 'item-%' GROUP BY stream
), by_receipts AS (
    SELECT f.stream AS receipt, 'item-' || (line #>> '{item,item_id}') AS item,
           sum((line #>> '{amount,minor}')::bigint * CASE f.fact WHEN 'applied' THEN 1 ELSE -1 END) AS settled
    FROM facts f CROSS JOIN LATERAL json_array_elements(f.data -> 'lines') AS line
    WHERE f.fact IN ('applied', 'unapplied') GROUP BY 1, 2
), by_items AS (
    SELECT 'receipt-' || (e.data ->> 'caused_by') AS receipt, e.stream AS item,
           -sum((e.data #>> '{change,minor}')::bigint) AS settled
    FROM (SELECT item AS stream FROM by_receipts UNION SELECT stream FROM items) named JOIN events e USING (stream)
    WHERE e.data ->> 'cause' IN ('applied', 'unapplied') GROUP BY 1, 2
)
SELECT 'conserved' AS law, stream FROM receipts
WHERE received IS NULL OR unapplied < 0
   OR received <> coalesce(applied, 0) - coalesce(returned, 0) + unapplied
                + coalesce(reversed, 0) + coalesce(refunded, 0)
UNION ALL
SELECT 'open', stream FROM items
WHERE original IS NULL OR open <> original + coalesce(changes, 0) OR open NOT BETWEEN 0 AND original
UNION ALL
-- Both are named, so that either is looked at again.
SELECT DISTINCT 'two_sides', unnest(ARRAY[receipt, item]) FROM by_receipts r FULL JOIN by_items i USING (receipt, item)
WHERE coalesce(r.settled, 0) <> coalesce(i.settled, 0) AND receipt IN (SELECT stream FROM touched)
ORDER BY 1, 2
"""
