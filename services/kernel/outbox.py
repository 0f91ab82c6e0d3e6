"""The outbox from the relay's side: leadership over it, taking what is to be published next, noting what Kafka has.

All of it runs on one database session. Leadership is an advisory lock of that session, so a relay that lost its session
can neither take facts nor move the watermark.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, TypeAlias

import asyncpg

from services.kernel.transient import is_transient

# Held by the leader; advisory locks count within one database, and so within one service.
_LEADER: Final = 7_368_464
# Held by whoever wants the leader to step aside for a while (`republish`): it ends with his session.
_STEP_ASIDE: Final = 7_368_465

# Postgres counts microseconds from the year 2000.
_EPOCH: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
# seq, event_id, type, stream, stream_version, recorded_at, actor, branch, correlation_id, causation_id, traceparent,
# data: in that order, see `publish.py`. On this session a moment is an integer, microseconds since 1970: what Postgres
# has but for the epoch, and half the cost of a datetime that is only written out.
Row: TypeAlias = "asyncpg.Record"


class Outbox:
    """One service's outbox, through the session that `open_outbox` gives."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._floor = 0
        self._floor_next: tuple[int, str] | None = None

    async def try_lead(self) -> bool:
        """Become the leader, unless another is or the leader was asked to step aside."""
        return bool(await self._session.fetchval(_TRY_LEAD, _LEADER, _STEP_ASIDE))

    async def asked_to_step_aside(self) -> bool:
        return bool(await self._session.fetchval(_ASKED, _STEP_ASIDE))

    async def lead_instead(self) -> None:
        """Ask the leader to step aside and wait until he has. Until this session ends nobody else leads."""
        await self._session.execute("SELECT pg_advisory_lock($1)", _STEP_ASIDE)
        await self._session.execute("SELECT pg_advisory_lock($1)", _LEADER)

    async def step_down(self) -> None:
        await self._session.execute("SELECT pg_advisory_unlock($1)", _LEADER)

    async def acknowledged(self) -> int:
        """The watermark: every seq up to it is in Kafka."""
        return int(await self._session.fetchval("SELECT seq_acknowledged FROM relay"))

    async def assigned(self) -> int:
        """The highest seq that was given."""
        return int(await self._session.fetchval("SELECT seq_assigned FROM relay"))

    async def oldest_unpublished(self) -> int | None:
        """When the oldest fact was recorded that Kafka has not, as far as anybody noted; microseconds since 1970."""
        moment: int | None = await self._session.fetchval(_OLDEST)
        return moment

    async def take(self, count_max: int) -> list[Row]:
        """Give the next seqs to the lowest facts of the outbox, in one transaction, and answer those facts in order.

        Holds    facts of one stream come in the order of their versions, over all takes: a version's position is only
                 chosen once the version before it is committed, so it is higher, and visible later.
        """
        return await self._session.fetch(_TAKE, count_max, self._floor)

    async def taken(self, after: int, count_max: int) -> list[Row]:
        """Facts that have a seq above `after`, in order."""
        return await self._session.fetch(_TAKEN, after, count_max)

    async def acknowledge(self, seq: int) -> None:
        """Note that Kafka has every seq up to `seq`.

        The commit is not waited for: should it be lost, the facts are sent again, and consumers know them by their seq.
        """
        # Without arguments, so that asyncpg sends all statements in one round trip. `seq` is an int, not text.
        await self._session.execute(_ACKNOWLEDGE % (seq, seq))

    async def raise_floor(self) -> None:
        """Let `take` start above positions that are surely gone, so that it need not step over their dead rows.

        Vacuum removes dead rows only when no snapshot is older than they are; while a backup or a rebuild reads, the
        head of the outbox would be millions of them. A position up to `last` can still turn up only if it was given
        before now to a transaction that has not ended: once all of those have, `last` is safe, if the outbox is empty
        up to there.
        """
        if self._floor_next is None:
            # In this order: whoever drew a position up to `last` wrote to `streams` before, and so has a lower id than
            # the one we draw after. A snapshot's xmax would not do: transactions above it may be running already.
            last = await self._session.fetchval(_LAST)
            self._floor_next = (last, await self._session.fetchval("SELECT pg_current_xact_id()::text"))
            return
        last, horizon = self._floor_next
        if last > self._floor and await self._session.fetchval(_SAFE, horizon, self._floor, last):
            self._floor = last
        elif last > self._floor:
            return  # Some still run: ask again later.
        self._floor_next = None


@asynccontextmanager
async def open_outbox(url: str, name: str = "openitem-relay") -> AsyncIterator[Outbox]:
    """A session of its own, that ends when its peer is gone: a leader that was cut off must not lead for hours."""
    session = await asyncpg.connect(
        url,
        timeout=10,
        # An answer takes longer than this only when the connection is dead.
        command_timeout=60,
        server_settings={
            "role": "openitem_app",
            "application_name": name,
            "openitem.branches": "*",
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
            # Lookups by key only. Statistics of a queue are wrong at any moment, and one plan that reads all of
            # `events` would stop the relay.
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_mergejoin": "off",
        },
    )
    try:
        await session.set_type_codec(
            "timestamptz",
            schema="pg_catalog",
            format="tuple",
            encoder=lambda moment: (moment - _EPOCH,),
            decoder=lambda moment: moment[0] + _EPOCH,
        )
        yield Outbox(session)
    finally:
        await _end(session)


async def _end(session: Session) -> None:
    """End the session now, and with it the lock. A polite goodbye to a server that is away would wait for it."""
    try:
        await session.close(timeout=2)
    except Exception as error:
        if not is_transient(error):
            raise
        session.terminate()


_TRY_LEAD: Final = """
SELECT CASE WHEN EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = $2 AND database = (
        SELECT oid FROM pg_database WHERE datname = current_database())
) THEN false ELSE pg_try_advisory_lock($1) END
"""
_ASKED: Final = """
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid::bigint = $1 AND database = (
        SELECT oid FROM pg_database WHERE datname = current_database())
)
"""
_COLUMNS: Final = """
    e.event_id::text, e.type, e.stream, e.stream_version, e.recorded_at, e.actor, e.branch,
    e.correlation_id, e.causation_id, e.traceparent, e.data
"""
# One statement, so one transaction and one snapshot: a fact that left the outbox has its seq, and what is deleted up to
# `last` is what was counted. Nothing is written when there is nothing.
_TAKE: Final = f"""
WITH lowest AS MATERIALIZED (
    SELECT max(position) AS last, count(*) AS many
    FROM (SELECT position FROM outbox WHERE position > $2 ORDER BY position LIMIT $1) o
), gone AS (
    DELETE FROM outbox WHERE position > $2 AND position <= (SELECT last FROM lowest) RETURNING position
), given AS (
    UPDATE relay SET seq_assigned = seq_assigned + (SELECT many FROM lowest)
    WHERE (SELECT many FROM lowest) > 0 RETURNING seq_assigned - (SELECT many FROM lowest) AS before
), noted AS (
    INSERT INTO published (seq, position)
    SELECT (SELECT before FROM given) + row_number() OVER (ORDER BY position), position FROM gone
    RETURNING seq, position
)
SELECT noted.seq, {_COLUMNS} FROM noted JOIN events e USING (position) ORDER BY noted.seq
"""  # noqa: S608 - constants
_TAKEN: Final = f"""
SELECT p.seq, {_COLUMNS}
FROM (SELECT seq, position FROM published WHERE seq > $1 ORDER BY seq LIMIT $2) p JOIN events e USING (position)
ORDER BY p.seq
"""  # noqa: S608 - constants
_ACKNOWLEDGE: Final = """
BEGIN;
SET LOCAL synchronous_commit = off;
UPDATE relay SET seq_acknowledged = %d WHERE seq_acknowledged < %d;
COMMIT
"""
_OLDEST: Final = """
SELECT min(recorded_at) FROM events WHERE position IN (
    (SELECT min(position) FROM outbox),
    (SELECT p.position FROM relay r JOIN published p ON p.seq = r.seq_acknowledged + 1))
"""
_LAST: Final = """
SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('events', 'position')::regclass), 0)
"""
_SAFE: Final = """
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8
   AND NOT EXISTS (SELECT FROM outbox WHERE position > $2 AND position <= $3)
"""
