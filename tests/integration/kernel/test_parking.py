"""Does a fact that cannot be applied hold back its own stream only, and come home in order once the cause is mended?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from uuid import UUID, uuid4

import httpx
import pytest

from events.registry import Malformed
from events.topics import topic_of
from services.kernel.delivery import Delivered
from services.kernel.log_route import _PAGE as PAGE
from services.kernel.log_route import FactPage, RecordedFact
from services.kernel.mend import mend
from services.kernel.parking import Parked, ask_retry, drop, parked_list, supply
from services.kernel.settings import Settings
from services.kernel.store import Arriving, Conn, Store
from tests.support.facts import Sent, record, send, sent, stream_of
from tests.support.flow import CONSUMER, Notes, applied, consumer, noted, running
from tests.support.patience import until


class Line:
    """A topic that a test fills by hand, and the store of the consumer that reads it."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings = settings
        self.store = store
        self.sick, self.well = uuid4(), uuid4()

    async def put(self, *records: Sent) -> None:
        topic = topic_of("invoice", self.settings.topic_prefix)
        await asyncio.to_thread(send, self.settings.kafka, topic, list(records))

    async def parked(self) -> list[Parked]:
        async with self.store.pool.acquire() as conn:
            return await parked_list(conn, CONSUMER)

    async def is_parked(self, stream: str, *codes: str) -> None:
        """Wait until just these facts of a stream are parked, in this order."""
        query = "SELECT array_agg(code ORDER BY stream_version, parked_id) = $2 FROM parked WHERE stream = $1"
        await until(lambda: self.store.pool.fetchval(query, stream, list(codes)))

    async def retry(self, stream: str) -> None:
        async with self.store.pool.acquire() as conn:
            assert await ask_retry(conn, CONSUMER, stream)

    async def drop(self, account: UUID, version: int) -> bool:
        async with self.store.pool.acquire() as conn:
            return await drop(conn, CONSUMER, stream_of(account), version, by="ann", why="never happened")

    async def home(self, account: UUID, version: int, missing: int = 0) -> None:
        """Wait until a version is applied and nothing is parked any more; then everything was applied in order, but for
        the first `missing`.
        """
        await applied(self.store, account, version)
        await until(lambda: self.store.pool.fetchval("SELECT NOT EXISTS (SELECT FROM parked)"))
        assert (await noted(self.store))[stream_of(account)] == list(range(1 + missing, version + 1))


@pytest.fixture
def line(settings: Settings, store: Store) -> Line:
    return Line(settings, store)


def broken(account: UUID, version: int, value: bytes = b'{"branch": 7}') -> Sent:
    key, headers, _ = sent(account, version)
    return key, headers, value


MISFITS = {
    "fact_malformed": lambda a: broken(a, 2),
    "fact_unknown_type": lambda a: sent(a, 2, type=b"openitem.invoice.dreamt.v1"),
    "fact_unknown_version": lambda a: sent(a, 2, type=b"openitem.invoice.account_changed.v9"),
    "disliked": lambda a: sent(a, 2, name="refuse me"),
    "fact_unstorable": lambda a: sent(a, 2, name="store \x00 me"),
}


class Stores(Notes):
    """Also stores the name, which Postgres may not take."""

    async def __call__(self, conn: Conn, batch: Sequence[Delivered]) -> None:
        for delivered in batch:
            await conn.fetchval("SELECT $1::text", delivered.fact.name or "")  # type: ignore[attr-defined]
        await super().__call__(conn, batch)


@pytest.mark.parametrize("code", MISFITS)
async def test_only_the_stream_of_a_fact_that_cannot_be_applied_waits(line: Line, code: str) -> None:
    await line.put(
        *[sent(line.sick, 1), sent(line.well, 1), MISFITS[code](line.sick), sent(line.well, 2)],
        *[sent(line.sick, 3), sent(line.well, 3), sent(line.sick, 4)],
    )
    async with running(consumer(line.settings, line.store, Stores())):
        await line.is_parked(stream_of(line.sick), code, "waits_for_earlier", "waits_for_earlier")
        await applied(line.store, line.well, 3)
        await line.put(sent(line.sick, 5), sent(line.well, 4))
        await applied(line.store, line.well, 4)
        await line.is_parked(stream_of(line.sick), code, *["waits_for_earlier"] * 3)
    assert await noted(line.store) == {stream_of(line.sick): [1], stream_of(line.well): [1, 2, 3, 4]}
    [parked] = await line.parked()
    assert (parked.stream_version, parked.facts, parked.code) == (2, 4, code)


async def test_a_retry_brings_the_stream_home_in_order(line: Line) -> None:
    notes = Notes()
    await line.put(sent(line.sick, 1), sent(line.sick, 2, name="refuse me"), sent(line.sick, 3))
    async with running(consumer(line.settings, line.store, notes)):
        await line.is_parked(stream_of(line.sick), "disliked", "waits_for_earlier")
        await line.retry(stream_of(line.sick))
        await until(
            lambda: line.store.pool.fetchval("SELECT bool_or(attempts = 1) AND max(retry_at) IS NULL FROM parked")
        )
        await line.is_parked(stream_of(line.sick), "disliked", "waits_for_earlier")
        notes.refuse = "nothing"
        await line.retry(stream_of(line.sick))
        await line.home(line.sick, 3)
        await line.put(sent(line.sick, 4))
        await line.home(line.sick, 4)


async def test_a_stream_whose_first_fact_is_parked_is_not_taken_for_new_when_that_comes_again(line: Line) -> None:
    await line.put(broken(line.sick, 1))
    async with running(consumer(line.settings, line.store, Notes())):
        await line.is_parked(stream_of(line.sick), "fact_malformed")
        await line.put(sent(line.sick, 1), sent(line.sick, 2), sent(line.well, 1))
        await applied(line.store, line.well, 1)
        await line.is_parked(stream_of(line.sick), "fact_malformed", "waits_for_earlier")
    assert await noted(line.store) == {stream_of(line.well): [1]}


async def test_a_hole_parks_the_stream_until_the_missing_fact_arrives(line: Line) -> None:
    await line.put(sent(line.sick, 1), sent(line.sick, 4), sent(line.sick, 5))
    async with running(consumer(line.settings, line.store, Notes())):
        await line.is_parked(stream_of(line.sick), "fact_hole", "waits_for_earlier")
        [parked] = await line.parked()
        assert parked.reason == "versions 2 to 3 did not come"
        await line.retry(stream_of(line.sick))
        await line.put(sent(line.sick, 2))
        await applied(line.store, line.sick, 2)
        await line.put(sent(line.sick, 3))
        await line.home(line.sick, 5)


async def test_a_hole_is_mended_with_facts_fetched_from_their_owner(line: Line) -> None:
    await line.put(sent(line.sick, 1), sent(line.sick, 3))
    async with running(consumer(line.settings, line.store, Notes())):
        await line.is_parked(stream_of(line.sick), "fact_hole")
        [parked] = await line.parked()
        fetched = [(headers, value) for _, headers, value in (sent(line.sick, 1), sent(line.sick, 2))]
        async with line.store.pool.acquire() as conn:
            new = await supply(conn, CONSUMER, parked.stream, fetched, topic=parked.topic, partition=parked.partition)
        assert new == 1
        await line.home(line.sick, 3)


async def test_a_hole_is_mended_from_the_log_of_the_owner(line: Line, topic_prefix: str) -> None:
    """The owner's log has everything; the topic lacks two facts."""
    account = line.sick
    await record(line.store, account, 1, 4)
    await line.put(sent(account, 1), sent(account, 4))

    async def log(request: httpx.Request) -> httpx.Response:
        after, limit = int(request.url.params["after"]), int(request.url.params["limit"])
        rows = await line.store.pool.fetch(PAGE, stream_of(account), after, limit)
        facts = [
            RecordedFact(**dict(row) | {"data": json.loads(row["data"])}, source="/openitem/invoice") for row in rows
        ]
        return httpx.Response(200, content=FactPage(version=4, facts=facts, next_after=None).model_dump_json())

    async with running(consumer(line.settings, line.store, Notes())):
        await line.is_parked(stream_of(account), "fact_hole")
        [parked] = await line.parked()
        transport = httpx.MockTransport(log)
        async with (
            httpx.AsyncClient(base_url="http://invoice", transport=transport) as owner,
            line.store.pool.acquire() as conn,
        ):
            assert await mend(conn, parked, owner) == 2
        await line.home(account, 4)


async def test_what_is_dropped_counts_as_applied_and_is_kept_with_the_reason(line: Line) -> None:
    await line.put(sent(line.sick, 1), broken(line.sick, 2), sent(line.sick, 3))
    async with running(consumer(line.settings, line.store, Notes())):
        await line.is_parked(stream_of(line.sick), Malformed.code, "waits_for_earlier")
        assert not await line.drop(line.sick, 7)
        assert await line.drop(line.sick, 2)
        await applied(line.store, line.sick, 3)
    assert (await noted(line.store))[stream_of(line.sick)] == [1, 3]
    [row] = await line.store.pool.fetch("SELECT stream_version, code, dropped_by, why, value FROM parked_dropped")
    assert tuple(row) == (2, Malformed.code, "ann", "never happened", b'{"branch": 7}')


async def test_a_first_fact_that_was_dropped_and_comes_again_is_a_repeat(line: Line) -> None:
    await line.put(broken(line.sick, 1), sent(line.sick, 2))
    async with running(consumer(line.settings, line.store, Notes())):
        await line.is_parked(stream_of(line.sick), Malformed.code, "waits_for_earlier")
        assert await line.drop(line.sick, 1)
        await applied(line.store, line.sick, 2)
        await line.put(broken(line.sick, 1), sent(line.sick, 2), sent(line.sick, 3), sent(line.well, 1))
        await applied(line.store, line.well, 1)
        await line.home(line.sick, 3, missing=1)


async def test_a_version_that_never_came_can_be_given_up(line: Line) -> None:
    await line.put(sent(line.sick, 1), sent(line.sick, 3))
    async with running(consumer(line.settings, line.store, Notes())):
        await line.is_parked(stream_of(line.sick), "fact_hole")
        assert await line.drop(line.sick, 2)
        await applied(line.store, line.sick, 3)


@pytest.mark.parametrize(
    "stray",
    [
        (None, [], b"hello"),
        (b"\xff\xfe", [("ce_id", b"\xff")], b"\x00"),
        (b"somebody else's", [("ce_type", b"other")], b"{}"),
    ],
    ids=["bare", "bytes", "foreign"],
)
async def test_a_record_that_is_no_fact_is_parked_by_itself(line: Line, stray: Sent) -> None:
    await line.put(sent(line.well, 1), stray, sent(line.well, 2))
    async with running(consumer(line.settings, line.store, Notes())):
        await until(lambda: line.store.pool.fetchval("SELECT code = 'fact_malformed' FROM parked"))
        await line.put(sent(line.well, 3))
        await applied(line.store, line.well, 3)


async def test_numbers_no_fact_can_have_are_malformed(line: Line) -> None:
    await line.put(
        sent(line.well, 1),
        sent(line.sick, 1, streamversion=b"99999999999999"),
        sent(uuid4(), 1, sequence=b"99999999999999999999999"),
        sent(uuid4(), 1, subject=b"account-of-another-key"),
    )
    async with running(consumer(line.settings, line.store, Notes())):
        await applied(line.store, line.well, 1)
        await until(lambda: line.store.pool.fetchval("SELECT count(*) = 3 FROM parked WHERE code = 'fact_malformed'"))


async def test_a_seq_far_too_high_does_not_make_later_facts_look_like_repeats(line: Line) -> None:
    await line.put(sent(line.well, 1), sent(line.well, 2, sequence=b"999999999"), sent(line.well, 3))
    async with running(consumer(line.settings, line.store, Notes())):
        await applied(line.store, line.well, 3)


class NotKnownYet(Arriving):
    code = "test_not_known_yet"


async def test_what_is_refused_because_something_is_yet_to_come_is_tried_again_by_itself(line: Line) -> None:
    class Impatient(Notes):
        known = False

        async def __call__(self, conn: Conn, batch: Sequence[Delivered]) -> None:
            if not self.known and any(d.envelope.stream_version == 2 for d in batch):
                raise NotKnownYet("the other topic is behind")
            await super().__call__(conn, batch)

    notes = Impatient()
    await line.put(*[sent(line.sick, version) for version in (1, 2, 3)])
    async with running(consumer(line.settings, line.store, notes)):
        await line.is_parked(stream_of(line.sick), NotKnownYet.code, "waits_for_earlier")
        await until(lambda: line.store.pool.fetchval("SELECT bool_or(attempts >= 1) FROM parked"))
        notes.known = True
        await line.home(line.sick, 3)
