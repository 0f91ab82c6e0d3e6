"""Mend a hole: fetch the facts that did not come from their owner, and put them before those that wait."""

from __future__ import annotations

from typing import Any, Final

import httpx
import msgspec

from events.codec import Headers, headers_of
from events.envelope import Envelope
from services.kernel.parking import VERSION, Parked, supply
from services.kernel.store import Conn

_PAGE: Final = 1000


async def mend(conn: Conn, parked: Parked, owner: httpx.AsyncClient) -> int:
    """Supply what is missing before the first parked fact of a stream; answers how many facts that were.

    `owner` has the publisher's base URL and a token that may read its log. The worker then retries by itself.

    Errors   httpx.HTTPError where the owner cannot be asked, or says no.
    """
    applied = await conn.fetchval(VERSION, parked.consumer, parked.stream) or 0
    facts: list[tuple[Headers, bytes]] = []
    after: int | None = applied
    while after is not None and after < parked.stream_version - 1:
        limit = min(_PAGE, parked.stream_version - 1 - after)
        answer = await owner.get(f"/streams/{parked.stream}/events", params={"after": after, "limit": limit})
        page: dict[str, Any] = answer.raise_for_status().json()
        facts += [_record(fact) for fact in page["facts"] if fact["stream_version"] < parked.stream_version]
        after = page["next_after"]
    return await supply(conn, parked.consumer, parked.stream, facts, topic=parked.topic, partition=parked.partition)


def _record(fact: dict[str, Any]) -> tuple[Headers, bytes]:
    """A fact of the log as it would have come from Kafka."""
    names = set(Envelope.__struct_fields__)
    # What has not been sent yet has no seq: it will come, but it need not be waited for.
    given = {name: value for name, value in fact.items() if name in names} | {"seq": fact["seq"] or 1}
    return headers_of(msgspec.convert(given, Envelope)), msgspec.json.encode(fact["data"])
