"""A rebuild equals what was live, whatever goes on while it runs."""

from __future__ import annotations

import asyncio
from random import Random

import asyncpg
import pytest

from events.topics import SERVICES
from services.projections import schema
from services.projections import source as reading
from services.projections.replay import CannotFold
from services.projections.turns import RebuildRunning
from tests.support.event_stores import record, service_said
from tests.support.histories import history
from tests.support.read_models import dump
from tests.support.rebuilding import System


async def test_it_equals_what_was_live(system: System) -> None:
    books = history(Random(7), 300)
    await system.publish(books.log)
    await system.consumer.drain()
    before, versions = await dump(system.look), await system.versions()
    told: list[tuple[str, int, int]] = []
    done = await system.rebuild(lambda *step: told.append(step))
    assert await dump(system.look) == before
    assert await system.versions() == versions
    assert sum(done.values()) == len(books.log)
    assert {(name, done[name], done[name]) for name in SERVICES} <= set(told)
    assert not await system.look.fetchval("SELECT 1 FROM pg_namespace WHERE nspname IN ('rebuild', 'replaced')")


async def test_its_tables_have_the_indexes_and_constraints_they_had(system: System) -> None:
    """Some are put off until the rows are there, and made on two connections at a time."""

    async def kept() -> list[str]:
        query = """
            SELECT indexdef FROM pg_indexes WHERE schemaname = 'live'
            UNION ALL
            SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = 'live'::regnamespace ORDER BY 1
        """
        return [line for (line,) in await system.look.fetch(query)]

    before = await kept()
    await record(system.stores, history(Random(15), 100).log)
    await system.rebuild()
    assert await kept() == before
    assert len(before) > 60


async def test_its_tables_are_known_to_the_planner(system: System) -> None:
    """Autovacuum may take a minute. Until then a report of many movements was planned as if there were hardly any."""
    await record(system.stores, history(Random(15), 100).log)
    await system.rebuild()
    await system.look.execute("SET ROLE none")  # Only whoever may read a table sees what is known of it.
    query = "SELECT DISTINCT tablename FROM pg_stats WHERE schemaname = 'live'"
    known = {name for (name,) in await system.look.fetch(query)}
    assert {"movement", "open_item", "timeline", "branch_balance", "control"} <= known


async def test_what_the_planner_knows_of_the_live_tables_is_taken_over(system: System) -> None:
    """They hold much the same. What is known of indexed expressions is taken over as well."""
    books = history(Random(16), 150)
    await system.publish(books.log)
    await system.consumer.drain()
    await system.look.execute("SET ROLE none")
    await system.look.execute("ANALYZE")
    await system.look.execute("DELETE FROM pg_statistic WHERE starelid = 'live.timeline'::regclass AND staattnum = 1")
    # So it can be told from what looking at the table would give.
    await system.look.execute("UPDATE pg_statistic SET stawidth = 99 WHERE starelid = 'live.open_item'::regclass")
    query = """
        SELECT tablename, attname, null_frac, avg_width, n_distinct, most_common_vals::text, most_common_freqs,
               histogram_bounds::text, correlation, most_common_elems::text
        FROM pg_stats WHERE schemaname = 'live' AND tablename = ANY ($1) ORDER BY tablename, attname
    """
    tables = ["open_item", "open_item_by_due", "movement"]
    before = await system.look.fetch(query, tables)
    await system.rebuild()
    assert await system.look.fetch(query, tables) == before
    assert {row["tablename"] for row in before} == {*tables}
    timeline = await system.look.fetch(query, ["timeline"])
    assert "account_id" in {row["attname"] for row in timeline}  # Not all was known of it: it was looked at.


async def test_from_nothing_and_then_everything_kafka_delivers_is_a_repeat(system: System) -> None:
    books = history(Random(8), 200)
    await record(system.stores, books.log)
    await system.rebuild()
    rebuilt = await dump(system.look)
    system.kafka.send(books.log)
    await system.consumer.drain()
    assert await dump(system.look) == rebuilt
    assert len(rebuilt["movement"]) > 50


@pytest.mark.parametrize("seed", range(3))
async def test_while_facts_come_in(system: System, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written before, during and after; consumed in small steps all the time; nothing is lost or counted twice."""
    monkeypatch.setattr(reading, "BATCH", 50)
    books = history(Random(seed), 300)
    log, half = books.log, len(books.log) // 3
    await system.publish(log[:half])
    await system.consumer.round()
    rebuilt = asyncio.Event()

    async def business() -> None:
        for at in range(half, len(log), 25):
            await system.publish(log[at : at + 25])
            await asyncio.sleep(0.01)

    async def worker() -> None:
        while not rebuilt.is_set():
            await system.consumer.round(most=3)
            await asyncio.sleep(0)

    trading, working = asyncio.create_task(business()), asyncio.create_task(worker())
    await system.rebuild()
    await trading
    await system.rebuild()
    rebuilt.set()
    await working
    await system.consumer.drain()
    grown = await dump(system.look)
    await system.rebuild()
    assert await dump(system.look) == grown
    assert len(await system.versions()) == len({known.envelope.stream for known in log})


async def test_what_is_parked_stays_parked_and_out(system: System) -> None:
    books = history(Random(9), 200)
    await system.publish(books.log)
    receipt = next(k.envelope.stream for k in books.log if k.envelope.stream.startswith("receipt"))
    system.kafka.spoil(receipt, 1)
    await system.consumer.drain()
    before, parked = await dump(system.look), await system.parked()
    assert (receipt, 1) in parked
    await system.rebuild()
    assert await dump(system.look) == before
    assert await system.parked() == parked
    assert receipt not in await system.versions()


async def test_what_somebody_dropped_stays_dropped(system: System) -> None:
    books = history(Random(10), 200)
    await system.publish(books.log)
    await system.consumer.drain()
    stream = next(k.envelope.stream for k in books.log if k.envelope.stream.startswith("attempt"))
    async with system.look.transaction():
        await system.look.execute(
            "INSERT INTO parked_dropped (parked_id, consumer, stream, stream_version, event_id, topic, partition,"
            " kafka_offset, headers, value, code, reason, attempts, parked_at, dropped_by, why)"
            " VALUES (1, 'projections', $1, 1, '', '', 0, 0, '[]', '', '', '', 0, now(), 'ann', 'wrong')",
            stream,
        )
    before = await dump(system.look)
    await system.rebuild()
    after = await dump(system.look)
    assert len(before["timeline"]) - len(after["timeline"]) == 1


async def test_it_refuses_to_lose_what_is_live(system: System) -> None:
    """The event store has a fact that cannot be read, and the live models hold it: somebody has to look first."""
    books = history(Random(11), 60)
    system.kafka.send(books.log)
    await system.consumer.drain()
    await record(system.stores, books.log)
    last = next(k.envelope for k in reversed(books.log) if service_said(k) == "invoice")
    await system.spoil({last.stream: last.stream_version})
    before = await dump(system.look)
    with pytest.raises(CannotFold):
        await system.rebuild()
    assert await dump(system.look) == before


async def test_one_at_a_time(system: System) -> None:
    books = history(Random(12), 50)
    await record(system.stores, books.log)
    results = await asyncio.gather(system.rebuild(), system.rebuild(), return_exceptions=True)
    assert {type(result) for result in results} == {dict, RebuildRunning}


class Killed(BaseException):
    """Nothing in the program expects it."""


async def test_a_rebuild_that_was_killed_leaves_the_live_ones_and_can_be_begun_again(system: System) -> None:
    books = history(Random(13), 150)
    await system.publish(books.log)
    await system.consumer.drain()
    before = await dump(system.look)

    def die(service: str, done: int, total: int) -> None:
        if service == "payment" and done:
            raise Killed

    with pytest.raises(Killed):
        await system.rebuild(die)
    assert await dump(system.look) == before
    await system.rebuild()
    assert await dump(system.look) == before


async def test_a_worker_of_another_definition_stops_and_a_rebuild_mends_it(system: System) -> None:
    books = history(Random(14), 30)
    await system.publish(books.log)
    owner = await asyncpg.connect(system.live)
    await owner.execute("UPDATE model_schema SET hash = 'of another program'")
    with pytest.raises(schema.SchemaDiffers, match="openitem rebuild"):
        await system.consumer.drain()
    assert await owner.fetchval("SELECT count(*) FROM live.movement") == 0
    await system.rebuild()
    await schema.check(owner)
    await system.consumer.drain()
    assert await owner.fetchval("SELECT count(*) FROM live.movement") > 0
    await owner.close()
