"""The event store against a real Postgres: versions, keys, conflicts, branches, and what nobody may do to a fact."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import RFC_4122, uuid4

import asyncpg
import msgspec
import pytest

from events.invoice import BranchRegistered
from services.kernel.commands import Outcome, carry_out_in, carry_out_many, decider
from services.kernel.errors import Busy, Forbidden, KeyInProgress, KeyReused, Unknown, VersionMismatch
from services.kernel.meta import EVERY_BRANCH, Branches, Cause, Meta
from services.kernel.store import ATTEMPTS_MAX, Change, Decision, Pool, Recorded, Store, Streams, open_pool
from services.kernel.together import carry_out
from tests.support.patience import PATIENCE_S
from tests.support.tally import DAY, TALLIES, Full, Mark, NotHereYet

META = Meta(actor="tester", cause=Cause("correlation-1"), branches=EVERY_BRANCH)


def keyed(key: str | None = None, request: bytes = b"r", **more: Any) -> Meta:
    return msgspec.structs.replace(META, key=key or str(uuid4()), request=request, **more)


@pytest.fixture
def store(pool: Pool) -> Store:
    return Store(pool)


async def count(pool: Pool, table: str = "events") -> int:
    return int(await pool.fetchval(f"SELECT count(*) FROM {table}"))


class TestKeys:
    async def test_the_same_command_again_has_the_same_answer_and_adds_nothing(self, store: Store) -> None:
        meta = keyed()
        first = await carry_out(store, meta, TALLIES, Mark("a", "x", also="b"))
        second = await carry_out(store, meta, TALLIES, Mark("a", "x", also="b"))
        assert first == second == Recorded({"tally-a": 1, "tally-b": 1}, "tally-a", first.position)
        assert first.position is not None
        assert await count(store.pool) == 2

    async def test_an_answer_of_nothing_new_is_remembered_too(self, store: Store) -> None:
        await carry_out(store, META, TALLIES, Mark("a", "x"))
        meta = keyed()
        first = await carry_out(store, meta, TALLIES, Mark("a", "x"))
        await carry_out(store, META, TALLIES, Mark("a", "y"))
        assert await carry_out(store, meta, TALLIES, Mark("a", "x")) == first == Recorded({"tally-a": 1}, "tally-a")

    async def test_another_request_under_the_same_key_is_refused(self, store: Store) -> None:
        await carry_out(store, keyed("k"), TALLIES, Mark("a", "x"))
        with pytest.raises(KeyReused):
            await carry_out(store, keyed("k", b"other"), TALLIES, Mark("a", "y"))
        assert await count(store.pool) == 1

    async def test_two_people_may_choose_the_same_key(self, store: Store) -> None:
        await carry_out(store, keyed("k"), TALLIES, Mark("a", "x"))
        await carry_out(store, keyed("k", b"other", actor="another"), TALLIES, Mark("a", "y"))
        assert await count(store.pool) == 2

    async def test_a_refused_command_leaves_its_key_free(self, store: Store) -> None:
        meta = keyed()
        with pytest.raises(Full):
            await carry_out(store, meta, TALLIES, Mark("a", "x", limit=0))
        assert (await carry_out(store, meta, TALLIES, Mark("a", "x"))).versions == {"tally-a": 1}

    async def test_the_same_command_while_it_runs_is_refused_at_once(self, store: Store) -> None:
        meta, begun, may_end = keyed(), asyncio.Event(), asyncio.Event()

        async def slow(streams: Streams) -> Decision:
            begun.set()
            await may_end.wait()
            return await decider(TALLIES, Mark("a", "x"))(streams)

        first = asyncio.create_task(store.execute(meta, slow))
        await begun.wait()
        with pytest.raises(KeyInProgress):
            await carry_out(store, meta, TALLIES, Mark("a", "x"))
        may_end.set()
        recorded = await first
        assert await carry_out(store, meta, TALLIES, Mark("a", "x")) == recorded

    async def test_of_many_at_once_exactly_one_lands_and_the_others_hear_of_it(self, store: Store) -> None:
        meta = keyed()
        answers = await asyncio.gather(
            *(carry_out(store, meta, TALLIES, Mark("a", "x")) for _ in range(24)), return_exceptions=True
        )
        landed = [answer for answer in answers if isinstance(answer, Recorded)]
        assert landed
        assert all(answer == landed[0] for answer in landed)
        assert all(isinstance(answer, Recorded | KeyInProgress) for answer in answers)
        assert await count(store.pool) == 1

    async def test_a_refusal_caused_by_the_same_command_is_answered_as_that_was(self, store: Store) -> None:
        """The first one commits between our look for its answer and our decision: then it is what refuses us."""
        meta, at = keyed(), 0

        async def decide(streams: Streams) -> Decision:
            nonlocal at
            at += 1
            if at == 1:
                async with store.pool.acquire() as other, other.transaction():
                    # As if it had committed just before our lock was taken, and just after our snapshot.
                    await Streams(other, meta.branches).append(
                        await decider(TALLIES, Mark("a", "x", limit=1))(streams), meta
                    )
                return await decider(TALLIES, Mark("a", "y", limit=1))(streams)
            raise AssertionError("the stored answer comes before a second decision")

        assert (await store.execute(meta, decide)).versions == {"tally-a": 1}


class TestVersions:
    async def test_many_writers_of_one_stream_leave_no_hole_and_lose_nothing(self, store: Store) -> None:
        async def mark(name: str) -> None:
            while True:
                try:
                    await carry_out(store, keyed(), TALLIES, Mark("a", name, also="b"))
                except Busy:
                    continue
                return

        await asyncio.gather(*(mark(f"m{n}") for n in range(24)))
        for stream in ("tally-a", "tally-b"):
            rows = await store.pool.fetch(
                "SELECT stream_version, data->>'name' AS mark FROM events WHERE stream = $1 ORDER BY position", stream
            )
            assert [row["stream_version"] for row in rows] == list(range(1, 25))
            assert {row["mark"] for row in rows} == {f"m{n}" for n in range(24)}
        assert await count(store.pool, "outbox") == 48

    async def test_if_match_holds_a_command_to_the_version_its_sender_saw(self, store: Store) -> None:
        await carry_out(store, META, TALLIES, Mark("a", "x"))
        await carry_out(store, keyed(if_match=1), TALLIES, Mark("a", "y"))
        with pytest.raises(VersionMismatch) as refused:
            await carry_out(store, keyed(if_match=1), TALLIES, Mark("a", "z"))
        assert refused.value.members == {"version": 2}

    async def test_if_match_is_about_the_stream_that_is_commanded(self, store: Store) -> None:
        await carry_out(store, META, TALLIES, Mark("a", "x"))
        await carry_out(store, META, TALLIES, Mark("b", "x"))
        await carry_out(store, META, TALLIES, Mark("b", "y"))
        recorded = await carry_out(store, keyed(if_match=1), TALLIES, Mark("a", "z", also="b"))
        assert recorded.versions == {"tally-a": 2, "tally-b": 3}

    async def test_a_stream_that_never_stands_still_is_given_up_after_three_attempts(self, store: Store) -> None:
        attempts = 0

        async def decide(streams: Streams) -> Decision:
            nonlocal attempts
            attempts += 1
            decision = await decider(TALLIES, Mark("a", "x"))(streams)
            await carry_out(store, META, TALLIES, Mark("a", f"rival {attempts}"))
            return decision

        with pytest.raises(Busy):
            await store.execute(keyed(), decide)
        assert attempts == ATTEMPTS_MAX
        assert await count(store.pool) == ATTEMPTS_MAX

    async def test_a_conflict_on_one_stream_keeps_every_stream_as_it_was(self, store: Store) -> None:
        fact = BranchRegistered(branch="B010", effective_on=DAY, name="x")
        await carry_out(store, META, TALLIES, Mark("b", "x"))

        async def stale(streams: Streams) -> Decision:
            return Decision([Change("tally-a", 0, [fact]), Change("tally-b", 7, [fact])])

        with pytest.raises(Busy):
            await store.execute(keyed(), stale)
        assert await count(store.pool) == 1
        assert await count(store.pool, "commands") == 0

    async def test_a_unique_row_of_the_index_that_somebody_took_is_a_conflict_to_be_tried_again(
        self, pool: Pool
    ) -> None:
        tries = 0

        async def index(_conn: Any, _facts: Any) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise asyncpg.UniqueViolationError("taken")

        await carry_out(Store(pool, index), META, TALLIES, Mark("a", "x"))
        assert tries == 2
        assert await count(pool) == 1


class TestBranches:
    async def test_a_stream_of_another_branch_does_not_exist_for_the_caller(self, store: Store) -> None:
        await carry_out(store, META, TALLIES, Mark("a", "x", branch="B020"))
        mine = keyed(branches=Branches(frozenset({"B010"})))
        with pytest.raises(Unknown):
            await carry_out(store, mine, TALLIES, Mark("a", "y"))

    async def test_a_fact_of_another_branch_is_refused(self, store: Store) -> None:
        mine = keyed(branches=Branches(frozenset({"B010"})))
        with pytest.raises(Forbidden):
            await carry_out(store, mine, TALLIES, Mark("a", "x", branch="B020"))
        assert await count(store.pool) == 0

    async def test_the_database_refuses_it_too(self, url: str, store: Store) -> None:
        await carry_out(store, META, TALLIES, Mark("a", "x", branch="B020"))
        async with await open_pool(url, size_max=1) as pool, pool.acquire() as conn:
            assert await conn.fetchval("SELECT count(*) FROM events") == 0
            await conn.execute("SET openitem.branches = 'B010,B020'")
            assert await conn.fetchval("SELECT count(*) FROM events") == 1
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(
                    "INSERT INTO events"
                    " (stream, stream_version, type, branch, effective_on, data, actor, correlation_id)"
                    " VALUES ('tally-a', 2, 't', 'B030', now(), '{}', 'a', 'c')"
                )

    async def test_one_callers_branches_do_not_outlast_his_command(self, url: str) -> None:
        async with await open_pool(url, size_max=1) as pool:
            await carry_out(Store(pool), META, TALLIES, Mark("a", "x", branch="B020"))
            assert await pool.fetchval("SELECT count(*) FROM events") == 0


class TestFactsAreFinal:
    @pytest.mark.parametrize("change", ["UPDATE events SET branch = 'B999'", "DELETE FROM events", "TRUNCATE events"])
    async def test_not_even_the_owner_changes_a_fact(self, url: str, store: Store, change: str) -> None:
        await carry_out(store, META, TALLIES, Mark("a", "x"))
        owner = await asyncpg.connect(url)
        try:
            with pytest.raises(asyncpg.PostgresError) as refused:
                await owner.execute(change)
            assert refused.value.sqlstate == "OI003"
        finally:
            await owner.close()

    @pytest.mark.parametrize("change", ["UPDATE events SET branch = 'B999'", "DELETE FROM events", "TRUNCATE events"])
    async def test_the_services_role_may_not_even_try(self, store: Store, change: str) -> None:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await store.pool.execute(change)

    @pytest.mark.parametrize("table", ["commands", "streams"])
    async def test_answers_and_streams_are_never_deleted(self, store: Store, table: str) -> None:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await store.pool.execute(f"DELETE FROM {table}")


class TestBatches:
    async def test_a_refused_command_leaves_the_others_alone(self, store: Store) -> None:
        outcomes = await carry_out_many(store, META, TALLIES, [Mark("a", "x"), Mark("a", ""), Mark("b", "y", also="c")])
        assert [(o.facts, o.refused and o.refused.code) for o in outcomes] == [
            (1, None),
            (0, "mark_invalid"),
            (2, None),
        ]
        assert await count(store.pool) == 3

    async def test_a_command_sees_what_those_before_it_did(self, store: Store) -> None:
        outcomes = await carry_out_many(
            store,
            META,
            TALLIES,
            [
                Mark("a", "x"),
                Mark("a", "x"),
                Mark("b", "y", after="a"),
                Mark("a", "z", limit=1),
                Mark("a", "w", limit=2),
            ],
        )
        assert [o.facts for o in outcomes] == [1, 0, 1, 0, 1]
        assert isinstance(outcomes[3].refused, Full)
        rows = await store.pool.fetch("SELECT stream, stream_version FROM events ORDER BY stream, stream_version")
        assert [tuple(row) for row in rows] == [("tally-a", 1), ("tally-a", 2), ("tally-b", 1)]

    async def test_a_stream_or_a_fact_of_another_branch_is_refused_by_itself(self, store: Store) -> None:
        await carry_out(store, META, TALLIES, Mark("hidden", "x", branch="B020"))
        mine = msgspec.structs.replace(META, branches=Branches(frozenset({"B010"})))
        commands = [Mark("a", "x"), Mark("hidden", "y"), Mark("b", "x", branch="B020"), Mark("a", "y", also="hidden")]
        outcomes = await carry_out_many(store, mine, TALLIES, [*commands, Mark("c", "x")])
        found = [o.refused.code if o.refused else o.facts for o in outcomes]
        assert found == [1, "not_found", "forbidden", "not_found", 1]

    async def test_every_fact_carries_what_led_to_it(self, store: Store) -> None:
        causes = [Cause("c1", "f1"), Cause("c2", "f2", "00-" + "a" * 32 + "-" + "b" * 16 + "-01")]
        async with store.pool.acquire() as conn, conn.transaction():
            await carry_out_in(conn, store, META, TALLIES, [Mark("a", "x"), Mark("b", "y")], causes)
        rows = await store.pool.fetch("SELECT correlation_id, causation_id, traceparent FROM events ORDER BY position")
        assert [Cause(*row) for row in rows] == causes

    async def test_ids_of_facts_are_time_ordered_and_go_up_with_them(self, store: Store) -> None:
        for batch in range(3):
            await carry_out_many(store, META, TALLIES, [Mark(f"{batch}-{n}", "x", also="all") for n in range(20)])
        ids = [row[0] for row in await store.pool.fetch("SELECT event_id FROM events ORDER BY position")]
        assert ids == sorted(set(ids))
        assert {(id_.version, id_.variant) for id_ in ids} == {(7, RFC_4122)}

    async def test_a_name_of_two_lines_is_refused_by_itself(self, store: Store) -> None:
        outcomes = await carry_out_many(store, META, TALLIES, [Mark("a", "x"), Mark("b\nc", "x"), Mark("c", "x")])
        assert [o.refused.code if o.refused else o.facts for o in outcomes] == [1, "value_unstorable", 1]

    async def test_no_commands_are_no_facts(self, store: Store) -> None:
        assert await carry_out_many(store, META, TALLIES, []) == []


class TestWaiting:
    async def test_a_command_waits_for_what_is_about_to_be_known(self, store: Store) -> None:
        tried = asyncio.Event()

        async def decide(streams: Streams) -> Decision:
            try:
                return await decider(TALLIES, Mark("a", "x", after="b"))(streams)
            except NotHereYet:
                tried.set()
                raise

        waiting = asyncio.create_task(store.execute(keyed(wait_s=PATIENCE_S), decide))
        await tried.wait()
        await carry_out(store, META, TALLIES, Mark("b", "x"))
        assert (await waiting).versions["tally-a"] == 1

    async def test_it_waits_no_longer_than_it_was_let(self, store: Store) -> None:
        clock = asyncio.get_running_loop().time
        started = clock()
        with pytest.raises(NotHereYet):
            await carry_out(store, keyed(wait_s=0.3), TALLIES, Mark("a", "x", after="b"))
        assert clock() - started >= 0.3

    async def test_a_batch_waits_and_then_refuses_only_what_is_still_missing(self, store: Store) -> None:
        meta = msgspec.structs.replace(META, wait_s=0.2)
        outcomes = await carry_out_many(store, meta, TALLIES, [Mark("a", "x"), Mark("b", "x", after="never")])
        assert outcomes[0] == Outcome(1)
        assert isinstance(outcomes[1].refused, NotHereYet)

    async def test_a_batch_whose_wait_ends_while_it_decides_refuses_only_what_is_missing(self, store: Store) -> None:
        async def slowly(_conn: Any, commands: Sequence[Mark]) -> Sequence[Mark]:
            await asyncio.sleep(0.2)
            return commands

        domain = replace(TALLIES, prepare=slowly)
        meta = msgspec.structs.replace(META, wait_s=0.1)
        outcomes = await carry_out_many(store, meta, domain, [Mark("a", "x"), Mark("b", "x", after="never")])
        assert outcomes[0] == Outcome(1)
        assert isinstance(outcomes[1].refused, NotHereYet)

    async def test_a_command_waits_for_a_connection_only_so_long(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("services.kernel.together.ACQUIRE_S_MAX", 0.1)
        async with await open_pool(url, size_max=1) as pool, pool.acquire():
            with pytest.raises(TimeoutError):
                await carry_out(Store(pool), META, TALLIES, Mark("a", "x"))
