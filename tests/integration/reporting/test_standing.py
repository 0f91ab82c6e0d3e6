"""Whether the books add up, how far behind the reports are, and waiting for one's own write."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from services.projections import readers
from services.projections.project import CONSUMER
from tests.integration.reporting.books import Books
from tests.integration.reporting.desk import Desk, minor

PATHS = ("/aging", "/cash-flow", "/bad-debt", "/items", "/accounts", "/consistency", "/freshness")


async def test_who_works_in_the_background_sees_that_reports_are_asked_for(database: str, desk: Desk) -> None:
    conn = await asyncpg.connect(database)
    try:
        await asyncio.sleep(1.1)
        assert not await readers.are_asking(conn)
        await desk.ask("/aging")
        assert await readers.are_asking(conn)
    finally:
        await conn.close()


class TestConsistency:
    async def test_the_laws_hold_with_their_figures(self, books: Books, desk: Desk) -> None:
        for thorough in (False, True):
            answer = await desk.ask("/consistency", thorough=thorough)
            assert answer["holds"] is True
            for law in answer["laws"]:
                left, right = (minor(law[side], law["currency"]) for side in ("left", "right"))
                assert (left, law["holds"]) == (right, True)
            assert {law["currency"] for law in answer["laws"]} == {"USD", "JPY", "KWD"}
        quick = {law["name"] for law in (await desk.ask("/consistency"))["laws"]}
        assert "control" in quick
        assert "movements" in {law["name"] for law in answer["laws"]} - quick

    async def test_control_is_what_aging_adds_up_to(self, books: Books, desk: Desk) -> None:
        laws = (await desk.ask("/consistency"))["laws"]
        control = {law["currency"]: law["left"] for law in laws if law["name"] == "control"}
        assert control == {total["currency"]: total["total"] for total in (await desk.ask("/aging"))["totals"]}

    async def test_a_broken_law_is_told_with_what_it_is_off_by(self, books: Books, database: str, desk: Desk) -> None:
        await execute(database, "UPDATE live.control SET invoiced_minor = invoiced_minor + 7 WHERE branch = 'TYO'")
        answer = await desk.ask("/consistency")
        assert answer["holds"] is False
        [law] = [law for law in answer["laws"] if not law["holds"]]
        assert (law["name"], law["currency"], law["difference"]) == ("control", "JPY", "7")
        [total] = (await desk.ask("/aging", currency="JPY"))["totals"]
        assert total["difference"] == "-7"

    async def test_csv_has_a_line_per_law(self, books: Books, desk: Desk) -> None:
        laws = (await desk.ask("/consistency"))["laws"]
        lines, _ = await desk.csv("/consistency")
        assert lines == [{name: str(value) for name, value in law.items()} for law in laws]


class TestFreshness:
    async def test_unknown_is_not_fresh(self, books: Books, desk: Desk) -> None:
        answer = await desk.ask("/freshness")
        assert answer["freshness"] == {"facts_behind": None, "seconds_behind": None}
        assert answer["topics"] == []

    async def test_what_waits_is_told_per_topic_and_in_every_answer(
        self, books: Books, database: str, desk: Desk
    ) -> None:
        now = datetime.now(UTC)
        seen = now + timedelta(minutes=5)  # However slowly this test runs, a worker has looked just now.
        await note(database, "invoice", position=100, end=107, read=now - timedelta(seconds=40), seen=seen)
        await note(database, "payment", position=50, end=50, read=now - timedelta(hours=3), seen=seen)
        answer = await desk.ask("/freshness")
        invoice, payment = answer["topics"]
        assert (invoice["topic"], invoice["facts_behind"]) == ("openitem.invoice", 7)
        assert 40 <= invoice["seconds_behind"] < 240
        assert (payment["facts_behind"], payment["seconds_behind"]) == (0, 0.0)
        for path in PATHS:
            fresh = (await desk.ask(path))["freshness"]
            assert fresh["facts_behind"] == 7
            assert 40 <= fresh["seconds_behind"] < 240

    async def test_a_worker_that_is_gone_does_not_look_fresh(self, books: Books, database: str, desk: Desk) -> None:
        then = datetime.now(UTC) - timedelta(minutes=10)
        await note(database, "invoice", position=100, end=100, read=then, seen=then)
        fresh = (await desk.ask("/aging"))["freshness"]
        assert fresh["facts_behind"] == 0
        assert 600 <= fresh["seconds_behind"] < 840

    async def test_of_a_topic_that_was_never_read_the_time_is_not_known(
        self, books: Books, database: str, desk: Desk
    ) -> None:
        await note(database, "invoice", position=0, end=9, read=None, seen=datetime.now(UTC))
        answer = await desk.ask("/freshness")
        assert answer["freshness"] == {"facts_behind": 9, "seconds_behind": None}
        assert answer["topics"][0]["seconds_behind"] is None

    async def test_every_answer_says_as_of_when_and_known_when(self, books: Books, desk: Desk) -> None:
        before = datetime.now(UTC)
        account = next(iter(books.collectors))
        for path in (*PATHS, f"/accounts/{account}", f"/accounts/{account}/timeline"):
            answer = await desk.ask(path)
            assert date.fromisoformat(answer["as_of"]) >= before.date() - timedelta(days=1)
            assert before <= datetime.fromisoformat(answer["known_at"]) <= datetime.now(UTC)
            if path not in ("/freshness", f"/accounts/{account}"):
                _, headers = await desk.csv(path)
                assert headers["openitem-as-of"] == answer["as_of"]


class TestReadYourWrite:
    async def test_what_shows_already_is_answered_at_once(self, books: Books, desk: Desk) -> None:
        envelope = books.facts[-1].envelope
        for after in (f"{envelope.stream}@{envelope.stream_version}", f"branch-CHI@1, {envelope.stream}@1"):
            for path in PATHS:
                assert (await desk.send(path, Openitem_After=after)).status_code == 200

    async def test_a_write_shows_as_soon_as_it_is_there(self, books: Books, database: str, desk: Desk) -> None:
        account = next(iter(books.collectors))
        books.issue("CHI", account, 123_45, date(2025, 1, 1), date(2025, 1, 31), number="NEW-1")
        written = books.facts[-1].envelope
        after = f"{written.stream}@1"
        asked = asyncio.create_task(desk.send("/items", {"number": "NEW-1"}, Openitem_After=after, Prefer="wait=30"))
        await asyncio.sleep(0.2)
        assert not asked.done()
        await books.deliver(database)
        answer = await asked
        assert [row["total"] for row in answer.json()["rows"]] == ["123.45"]

    async def test_what_does_not_show_in_time_is_refused(self, books: Books, desk: Desk) -> None:
        for prefer in ({}, {"Prefer": "wait=1"}):
            answer = await desk.send("/aging", Openitem_After="invoice-4711@1", **prefer)
            assert (answer.status_code, answer.json()["code"]) == (503, "not_yet_visible")
            assert answer.headers["retry-after"]

    async def test_of_one_stream_named_twice_the_later_version_counts(self, books: Books, desk: Desk) -> None:
        stream = books.facts[-1].envelope.stream
        answer = await desk.send("/aging", Openitem_After=f"{stream}@999,{stream}@1")
        assert answer.json()["code"] == "not_yet_visible"

    @pytest.mark.parametrize(
        "after", ["invoice", "invoice-1", "invoice-1@", "invoice-1@x", "@1", "invoice-1@1;", ",", "a-b@1234567890"]
    )
    async def test_what_is_no_position_is_refused(self, desk: Desk, after: str) -> None:
        answer = await desk.send("/aging", Openitem_After=after)
        assert (answer.status_code, answer.json()["code"]) == (400, "after_malformed")


async def test_odd_days_and_numbers_are_refused_and_never_break(books: Books, desk: Desk) -> None:
    for path, params in (
        ("/aging", {"as_of": "0001-01-01"}),
        ("/aging", {"as_of": "9999-12-31"}),
        ("/aging", {"as_of": "20240"}),
        ("/cash-flow", {"from": "9999-12-31", "to": "9999-12-31"}),
        ("/cash-flow", {"from": "2025-02-01", "to": "2025-01-01"}),
        ("/bad-debt", {"month": "9999-12"}),
        ("/items", {"limit": str(2**63)}),
        ("/items", {"number": "x" * 101}),
        ("/aging", {"buckets": "1" * 80}),
        ("/aging", {"known_at": "9999-12-31"}),
    ):
        answer = await desk.send(path, params)
        assert answer.status_code == 422, (path, params, answer.text)
    for path, params in (
        ("/aging", {"as_of": "1970-01-01"}),
        ("/aging", {"as_of": "2099-12-31", "buckets": "3650"}),
        ("/cash-flow", {"as_of": "1970-01-01"}),
        ("/cash-flow", {"as_of": "2099-12-31"}),
        ("/bad-debt", {"month": "2099-12"}),
        ("/aging", {"known_at": "1970-01-01"}),
    ):
        assert (await desk.send(path, params)).status_code == 200, (path, params)


async def execute(database: str, statement: str, *arguments: object) -> None:
    conn = await asyncpg.connect(database)
    await conn.execute(statement, *arguments)
    await conn.close()


async def note(database: str, topic: str, *, position: int, end: int, read: datetime | None, seen: datetime) -> None:
    """What a worker stores of a partition: how far it has read, and how far the topic reached when it last looked."""
    name = f"openitem.{topic}"
    await execute(
        database,
        "INSERT INTO consumer_position (consumer, topic, partition, next_offset, last_seq, last_recorded_at)"
        " VALUES ($1, $2, 0, $3, $3, $4)",
        *(CONSUMER, name, position, read),
    )
    await execute(
        database,
        "INSERT INTO consumer_lag (consumer, topic, partition, end_offset, caught_up_at, seen_at)"
        " VALUES ($1, $2, 0, $3, coalesce($4, '-infinity'::timestamptz), $5)",
        *(CONSUMER, name, end, read, seen),
    )
