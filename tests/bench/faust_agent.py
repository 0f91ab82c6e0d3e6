"""The projection as Faust's documentation would have it written: an agent that takes batches. Run as a program.

It reads the same facts on the same kind of loop, takes as many at a time as our worker, and folds them with our fold
into the same rows. Those it writes as one does by hand: a transaction per batch, and per table one `INSERT ... ON
CONFLICT` of arrays, which Postgres unnests. With BENCH_STAGED it has our writer's staging too, which is no part of
Faust. Either way it decodes every fact, and keeps neither a position nor the versions of streams: it can lose and
double what we cannot.
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
if not os.environ["BENCH_STAGED"]:
    writer.STAGED_MIN = sys.maxsize
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
seen: dict[str, Any] = {"facts": 0, "began": 0.0, "first": 0}
done = asyncio.Event()


@app.agent(topics)
async def project(stream: faust.Stream[bytes]) -> None:
    conn = await asyncpg.connect(
        os.environ["BENCH_DATABASE"], server_settings={"role": "openitem_app", "openitem.branches": "*"}
    )
    async for batch in stream.take_events(TAKE, within=WITHIN_S):
        facts = [_delivered(event) for event in batch]
        async with conn.transaction():
            await handler(conn, facts)
        seen["facts"] += len(facts)
        if not seen["began"]:
            seen["began"], seen["first"] = time.perf_counter(), seen["facts"]
        if seen["facts"] >= FACTS:
            done.set()


def _delivered(event: Any) -> Delivered:
    headers = event.message.headers
    envelope = envelope_of(headers.items() if isinstance(headers, dict) else headers)
    return Delivered(envelope, decode(envelope.type, event.value))


async def main() -> None:
    await app.start()
    await done.wait()
    rate = (seen["facts"] - seen["first"]) / (time.perf_counter() - seen["began"])
    sys.stdout.write(json.dumps({"rate": rate}) + "\n")
    sys.stdout.flush()
    os._exit(0)  # What Faust wants to say at its end is not measured.


if __name__ == "__main__":
    collect_rarely(BATCHES)  # As our worker does.
    uvloop.run(main())
