"""What callers were told, held against what the event stores have on record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg
import msgspec

# Begins the key of every command that is checked: facts of others, and of policies, are not asked for by us.
KEY_PREFIX = "chk-"

Conn = asyncpg.Connection


@dataclass(frozen=True)
class Acknowledged:
    """A command that was answered: it must be found exactly once. `type` is the wire name of the fact it leads to.

    `key` was sent as the Idempotency-Key and as the request's id, which its facts carry as their correlation.
    """

    service: str
    key: str
    type: str
    recorded: Mapping[str, int]


@dataclass
class Said:
    """What callers know: the commands that were acknowledged, and what is open of items and receipts by their books.

    Many callers write in one. `imported` are streams that an import said are on record, by service; `open_minor` is
    negative for a receipt.
    """

    acknowledged: list[Acknowledged] = field(default_factory=list)
    imported: dict[str, list[str]] = field(default_factory=dict)
    open_minor: dict[str, int] = field(default_factory=dict)


async def log_problems(conn: Conn, service: str) -> list[str]:
    """An event store against itself: dense, in order, all of it published, and never earlier than before."""
    row = await conn.fetchrow(_LOG)
    assert row is not None
    events, seqs, seq_max, waiting = row
    found = []
    if not events == seqs == seq_max or waiting:
        found.append(f"{service}: {events} facts, {seqs} published up to seq {seq_max}, {waiting} in the outbox")
    rows = await conn.fetch(_STREAMS)
    found += [f"{service}: {row['stream']} is at {row['version']} and has {row['facts']} facts" for row in rows]
    rows = await conn.fetch(_ORDER)
    found += [f"{service}: {row['stream']}@{row['stream_version']} stands before its elder" for row in rows]
    return found


async def lost_and_doubled(conn: Conn, service: str, said: Said) -> tuple[int, int]:
    """How many acknowledged commands have no fact on record, and how many have more than one."""
    mine = [each for each in said.acknowledged if each.service == service]
    rows = await conn.fetch(_ANSWERED, [each.key for each in mine], [each.type for each in mine])
    return sum(row["facts"] == 0 for row in rows), sum(row["facts"] > 1 for row in rows)


async def answer_problems(conn: Conn, service: str, said: Said) -> list[str]:
    """What callers were told against what is on record: nothing lost, nothing twice, nothing that nobody asked for."""
    mine = [each for each in said.acknowledged if each.service == service]
    found = []
    rows = await conn.fetch(_ANSWERED, [each.key for each in mine], [each.type for each in mine])
    for each, row in zip(mine, rows, strict=True):
        if row["facts"] != 1 or row["answers"] != 1:
            found.append(f"{service}: {each.key} ({each.type}) has {row['facts']} facts, {row['answers']} answers")
        elif msgspec.json.decode(row["versions"]) != each.recorded:
            found.append(f"{service}: {each.key} was answered {each.recorded}, on record is {row['versions']}")
    rows = await conn.fetch(_UNASKED, [each.key for each in mine], f"{KEY_PREFIX}%")
    found += [f"{service}: {row['type']} on {row['stream']} of {row['correlation_id']} is nobody's" for row in rows]
    rows = await conn.fetch(_IMPORTED, said.imported.get(service, []))
    found += [f"{service}: {row['stream']} was imported and begins {row['facts']} times" for row in rows]
    return found


_LOG = """
SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM published), (SELECT coalesce(max(seq), 0) FROM published),
       (SELECT count(*) FROM outbox)
"""
_STREAMS = """
SELECT s.stream, s.version, count(e.position) AS facts
FROM streams s LEFT JOIN events e USING (stream)
GROUP BY 1, 2 HAVING count(e.position) <> s.version OR min(e.stream_version) <> 1 OR max(e.stream_version) <> s.version
LIMIT 5
"""
_ORDER = """
SELECT stream, stream_version FROM (
    SELECT e.stream, e.stream_version, e.recorded_at, p.seq,
           lag(e.recorded_at) OVER by_version AS recorded_before, lag(p.seq) OVER by_version AS seq_before
    FROM events e JOIN published p USING (position)
    WINDOW by_version AS (PARTITION BY e.stream ORDER BY e.stream_version)
) s WHERE seq < seq_before OR recorded_at < recorded_before LIMIT 5
"""
_ANSWERED = """
WITH k AS (SELECT * FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k(key, type, n)),
facts AS (
    SELECT correlation_id AS key, type, count(*) AS many FROM events WHERE causation_id IS NULL GROUP BY 1, 2
), answers AS (
    SELECT key, count(*) AS many, max(answer ->> 'versions') AS versions FROM commands GROUP BY 1
)
SELECT coalesce(f.many, 0) AS facts, coalesce(a.many, 0) AS answers, a.versions
FROM k LEFT JOIN facts f USING (key, type) LEFT JOIN answers a USING (key) ORDER BY k.n
"""
_UNASKED = """
SELECT type, stream, correlation_id FROM events
WHERE causation_id IS NULL AND correlation_id LIKE $2
  AND NOT EXISTS (SELECT FROM unnest($1::text[]) AS k(key) WHERE k.key = correlation_id) LIMIT 5
"""
_IMPORTED = """
SELECT k.stream, count(e.position) AS facts
FROM unnest($1::text[]) AS k(stream) LEFT JOIN events e ON e.stream = k.stream AND e.stream_version = 1
GROUP BY 1 HAVING count(e.position) <> 1 LIMIT 5
"""
