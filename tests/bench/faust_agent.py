"""The projection as Faust's documentation would have it written: an agent that takes batches. Run as a program.

It reads the same facts on the same kind of loop, takes as many at a time as our worker, and folds them with our fold
into the same rows. Those it writes as one does by hand: a transaction per batch, and per table one `INSERT ... ON
CONFLICT` of arrays, which Postgres unnests. With BENCH_VERSIONS it upserts the versions of streams and the positions of
partitions likewise, as who wants to know what he has applied must; it never looks at them. Without, it upserts the read
models alone: what comes twice it counts twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import faust
import uvloop

from events.codec import decode, envelope_of
from events.topics import topic_of
from services.kernel.delivery import Delivered
from services.kernel.garbage import BATCHES, collect_rarely
from services.projections import writer
from services.projections.project import handler
from services.projections.worker import CONSUMERS

TAKE = CONSUMERS[0].batch_max
WITHIN_S = 0.2
writer.STAGED_MIN = sys.maxsize
VERSIONS = bool(os.environ["BENCH_VERSIONS"])
FACTS = int(os.environ["BENCH_FACTS"])

app = faust.App(
    f"{os.environ['BENCH_PREFIX']}.agent.{urlsplit(os.environ['BENCH_DATABASE']).path[1:]}",
    broker=f"kafka://{os.environ['BENCH_KAFKA']}",
    store="memory://",
    datadir=os.environ["BENCH_ROOM"],
    web_enabled=False,
    topic_disable_leader=True,
    topic_allow_declare=False,
    value_serializer="raw",
    key_serializer="raw",
    stream_buffer_maxsize=2 * TAKE,
    consumer_auto_offset_reset="earliest",
)
topics = app.topic(
    *(topic_of(service, os.environ["BENCH_PREFIX"]) for service in ("invoice", "payment")),
    value_serializer="raw",
    key_serializer="raw",
)
seen: dict[str, Any] = {"facts": 0, "began": 0.0}
done = asyncio.Event()


@app.agent(topics)
async def project(stream: faust.Stream[bytes]) -> None:
    conn = await asyncpg.connect(
        os.environ["BENCH_DATABASE"], server_settings={"role": "openitem_app", "openitem.branches": "*"}
    )
    async for batch in stream.take_events(TAKE, within=WITHIN_S):
        seen["began"] = seen["began"] or time.perf_counter()
        facts = [_delivered(event) for event in batch]
        async with conn.transaction():
            await handler(conn, facts)
            if VERSIONS:
                await _remember(conn, batch, facts)
        seen["facts"] += len(facts)
        if seen["facts"] >= FACTS:
            done.set()


def _delivered(event: Any) -> Delivered:
    headers = event.message.headers
    envelope = envelope_of(headers.items() if isinstance(headers, dict) else headers)
    return Delivered(envelope, decode(envelope.type, event.value))


async def _remember(conn: asyncpg.Connection[asyncpg.Record], batch: list[Any], facts: list[Delivered]) -> None:
    """Upsert which version of each stream, and what of each partition, is applied now."""
    versions = {known.envelope.stream: known.envelope.stream_version for known in facts}
    await conn.execute(_VERSIONS, list(versions), list(versions.values()))
    offsets = {(event.message.topic, event.message.partition): event.message.offset + 1 for event in batch}
    topics_, numbers = zip(*offsets, strict=True)
    await conn.execute(_POSITIONS, topics_, numbers, list(offsets.values()))


_VERSIONS = """
INSERT INTO consumer_stream (consumer, stream, version)
SELECT 'projections', stream, version FROM unnest($1::text[], $2::int[]) AS n(stream, version) ORDER BY stream
ON CONFLICT (consumer, stream) DO UPDATE SET version = excluded.version
"""
_POSITIONS = """
INSERT INTO consumer_position (consumer, topic, partition, next_offset, last_seq)
SELECT 'projections', topic, partition, next_offset, 0
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS n(topic, partition, next_offset)
ON CONFLICT (consumer, topic, partition) DO UPDATE SET next_offset = excluded.next_offset
"""


async def main() -> None:
    await app.start()
    await done.wait()
    rate = seen["facts"] / (time.perf_counter() - seen["began"])
    sys.stdout.write(json.dumps({"rate": rate}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # What Faust wants to say at its end is not measured.


if __name__ == "__main__":
    collect_rarely(BATCHES)  # As our worker does.
    uvloop.run(main())
