"""Facts that could not be applied, and what waits behind them: put aside, listed, asked to be tried again, dropped.

The live worker does the retrying (`retry.py`), because it has the handlers.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from events.codec import Headers, envelope_of
from services.kernel.sift import Parking
from services.kernel.store import Conn, Pool


class Parked(msgspec.Struct, frozen=True):
    """A stream that is held back: `code` and `reason` say why its first fact could not be applied."""

    consumer: str
    stream: str
    stream_version: int
    facts: int
    code: str
    reason: str
    topic: str
    partition: int
    kafka_offset: int
    attempts: int
    parked_at: datetime
    retry_at: datetime | None


async def park(conn: Conn, consumer: str, parkings: Sequence[Parking]) -> None:
    """Put records aside, in the transaction that moves the position past them. What is parked already stays once."""
    if not parkings:
        return
    await conn.executemany(_PARK, [_row(consumer, parking) for parking in parkings])


async def parked_list(conn: Conn, consumer: str | None = None, stream: str | None = None) -> list[Parked]:
    """The streams that are held back, those that wait for longest first."""
    rows = await conn.fetch(_LIST, consumer, stream)
    return [Parked(*row) for row in rows]


async def ask_retry(conn: Conn, consumer: str, stream: str | None = None) -> list[str]:
    """Have the worker try a stream again, or all of the consumer's; answers which. It begins within a second."""
    rows = await conn.fetch(_ASK, consumer, stream)
    return sorted({row["stream"] for row in rows})


async def drop(conn: Conn, consumer: str, stream: str, stream_version: int, *, by: str, why: str) -> bool:
    """Decide that one version of a parked stream is never applied, and why; what waits behind it is tried next.

    Shapes   False when there is nothing to decide: that version is neither parked nor the one that did not come.
    Holds    what was decided stays in `parked_dropped`, with the record where there was one. The version counts as
             applied when it was due and no other record claims it.
    """
    async with conn.transaction():
        await lock(conn, consumer, stream)
        rows = await conn.fetch(PARKED, consumer, stream)
        due = (await conn.fetchval(VERSION, consumer, stream) or 0) + 1
        claims = [row["parked_id"] for row in rows if row["stream_version"] == stream_version]
        if claims:
            await conn.execute(_DROP, claims[0], by, why)
        elif rows and due == stream_version < rows[0]["stream_version"]:
            await conn.execute(_DROP_MISSING, rows[0]["parked_id"], stream_version, by, why)
        else:
            return False
        if stream_version == due and len(claims) < 2:
            await conn.execute(ADVANCE, consumer, stream, stream_version)
        await ask_retry(conn, consumer, stream)
    return True


async def supply(
    conn: Conn, consumer: str, stream: str, facts: Iterable[tuple[Headers, bytes]], *, topic: str, partition: int
) -> int:
    """Put missing facts, fetched from their owner, before those that wait for them; then ask for a retry.

    Errors   Malformed where headers cannot be read. Answers how many were new.
    """
    added = 0
    async with conn.transaction():
        await lock(conn, consumer, stream)
        for headers, value in facts:
            envelope = envelope_of(headers)
            assert envelope.stream == stream, f"{envelope.stream} is not {stream}"
            status = await conn.execute(
                _SUPPLY,
                consumer,
                stream,
                envelope.stream_version,
                str(envelope.event_id),
                topic,
                partition,
                headers_json(headers),
                value,
            )
            added += int(status.rpartition(" ")[2])
        await ask_retry(conn, consumer, stream)
    return added


async def due(pool: Pool, consumer: str, count_max: int = 20) -> list[str]:
    """Streams to be tried again now. Asking takes them off: a retry that stops the process is not repeated at once."""
    rows = await pool.fetch(_DUE, consumer, count_max)
    return [row["stream"] for row in rows]


def headers_json(headers: Iterable[tuple[str, bytes]]) -> str:
    """Headers as pairs of name and text; a third member has bytes that are not text, in base64."""
    pairs: list[list[str]] = []
    for name, raw in headers:
        try:
            text = raw.decode()
            pairs.append([name, text] if "\x00" not in text else [name, "", base64.b64encode(raw).decode()])
        except (UnicodeDecodeError, AttributeError):
            pairs.append([name, "", base64.b64encode(raw or b"").decode()])
    return msgspec.json.encode(pairs).decode()


def headers_of_json(text: str) -> Headers:
    """The inverse of `headers_json`."""
    return [
        (pair[0], base64.b64decode(pair[2]) if len(pair) == 3 else pair[1].encode())
        for pair in msgspec.json.decode(text, type=list[list[str]])
    ]


async def lock(conn: Conn, consumer: str, stream: str) -> None:
    """Keep the live worker from applying facts of the partition that this stream is in, until the transaction ends."""
    await conn.execute(_LOCK, consumer, stream)


def _row(consumer: str, parking: Parking) -> tuple[object, ...]:
    """The parameters of _PARK."""
    record, headers = parking.arrived.record, parking.arrived.headers
    return (
        consumer,
        parking.arrived.stream,
        parking.version,
        _event_id(headers, record.offset),
        record.topic,
        record.partition,
        record.offset,
        headers_json(headers),
        record.value,
        parking.code,
        parking.reason,
        timedelta(seconds=1) if parking.arriving else None,
    )


def _event_id(headers: Iterable[tuple[str, bytes]], offset: int) -> str:
    raw = dict(headers).get("ce_id")
    text = raw.decode(errors="replace").replace("\x00", "") if raw else ""
    return text or f"offset {offset}"


_PARK: Final = """
INSERT INTO parked (consumer, stream, stream_version, event_id, topic, partition, kafka_offset, headers, value, code,
                    reason, retry_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::json, $9, $10, $11, clock_timestamp() + $12::interval)
ON CONFLICT DO NOTHING
"""
_SUPPLY: Final = """
INSERT INTO parked (consumer, stream, stream_version, event_id, topic, partition, kafka_offset, headers, value, code,
                    reason)
SELECT $1, $2, $3, $4, $5, $6, -1, $7::json, $8, 'fact_supplied', 'fetched from its owner'
WHERE $3 > coalesce((SELECT version FROM consumer_stream WHERE consumer = $1 AND stream = $2), 0)
ON CONFLICT DO NOTHING
"""
_LIST: Final = """
SELECT DISTINCT ON (consumer, stream)
       consumer, stream, stream_version, count(*) OVER (PARTITION BY consumer, stream), code, reason,
       topic, partition, kafka_offset, attempts, min(parked_at) OVER (PARTITION BY consumer, stream) AS since,
       min(retry_at) OVER (PARTITION BY consumer, stream)
FROM parked
WHERE ($1::text IS NULL OR consumer = $1) AND ($2::text IS NULL OR stream = $2)
ORDER BY consumer, stream, stream_version, parked_id
"""
_ASK: Final = """
UPDATE parked SET retry_at = clock_timestamp() WHERE consumer = $1 AND ($2::text IS NULL OR stream = $2)
RETURNING stream
"""
_DUE: Final = """
WITH streams AS (
    SELECT stream, min(retry_at) AS retry_at FROM parked
    WHERE consumer = $1 AND retry_at <= clock_timestamp() GROUP BY stream ORDER BY 2 LIMIT $2
), first AS (
    SELECT p.parked_id, p.stream FROM parked p JOIN streams s USING (stream)
    WHERE p.consumer = $1 AND p.retry_at IS NOT NULL FOR UPDATE OF p SKIP LOCKED
), taken AS (
    UPDATE parked p SET retry_at = NULL, attempts = p.attempts + 1 FROM first f WHERE p.parked_id = f.parked_id
    RETURNING p.stream
)
SELECT DISTINCT stream FROM taken
"""
_LOCK: Final = """
SELECT FROM consumer_position c
WHERE c.consumer = $1
  AND (c.topic, c.partition) IN (SELECT topic, partition FROM parked WHERE consumer = $1 AND stream = $2)
FOR UPDATE
"""
PARKED: Final = """
SELECT parked_id, stream_version, headers::text, value, attempts FROM parked
WHERE consumer = $1 AND stream = $2 ORDER BY stream_version, parked_id
"""
VERSION: Final = "SELECT version FROM consumer_stream WHERE consumer = $1 AND stream = $2"
ADVANCE: Final = """
INSERT INTO consumer_stream AS c (consumer, stream, version) VALUES ($1, $2, $3)
ON CONFLICT (consumer, stream) DO UPDATE SET version = excluded.version
"""
_DROP: Final = """
WITH gone AS (DELETE FROM parked WHERE parked_id = $1 RETURNING *)
INSERT INTO parked_dropped SELECT gone.*, $2, clock_timestamp(), $3 FROM gone
"""
_DROP_MISSING: Final = """
INSERT INTO parked_dropped (parked_id, consumer, stream, stream_version, event_id, topic, partition, kafka_offset,
                            headers, value, code, reason, attempts, parked_at, dropped_by, why)
SELECT parked_id, consumer, stream, $2, 'did not come', topic, partition, -1, '[]', '', code, reason, attempts,
       parked_at, $3, $4
FROM parked WHERE parked_id = $1
"""
