"""Commands of many callers in one transaction: each has its own answer, key, refusal and fault."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.kernel import together
from services.kernel.errors import Busy, KeyInProgress, KeyReused, Unknown, VersionMismatch
from services.kernel.meta import EVERY_BRANCH, Branches, Cause, Meta
from services.kernel.store import Pool, Recorded, Store, open_pool
from services.kernel.together import TOGETHER_MAX, carry_out
from tests.support.tally import TALLIES, Full, Mark


def asked(number: int, **more: Any) -> Meta:
    return msgspec.structs.replace(
        Meta(
            actor=f"actor-{number}",
            cause=Cause(f"request-{number}", f"cause-{number}"),
            branches=EVERY_BRANCH,
            key=str(uuid4()),
            request=b"r",
        ),
        **more,
    )


@pytest.fixture
def store(pool: Pool) -> Store:
    return Store(pool)


async def all_at_once(store: Store, *commands: tuple[Meta, Mark]) -> list[Recorded | BaseException]:
    return await asyncio.gather(
        *(carry_out(store, meta, TALLIES, command) for meta, command in commands), return_exceptions=True
    )


class TestSharing:
    async def test_commands_that_arrive_together_share_a_commit_and_have_an_answer_each(self, store: Store) -> None:
        commands = [(asked(n), Mark(f"t{n}", "x")) for n in range(TOGETHER_MAX)]
        answers = await all_at_once(store, *commands)
        rows = await store.pool.fetch(
            "SELECT stream, position, actor, correlation_id, causation_id, xmin::text AS transaction FROM events"
        )
        found = {row["stream"]: row for row in rows}
        assert len({row["transaction"] for row in rows}) < TOGETHER_MAX / 4
        for n, answer in enumerate(answers):
            row = found[f"tally-t{n}"]
            assert answer == Recorded({f"tally-t{n}": 1}, f"tally-t{n}", row["position"])
            assert (row["actor"], row["correlation_id"]) == (f"actor-{n}", f"request-{n}")
            assert row["causation_id"] == f"cause-{n}"

    async def test_those_that_come_just_after_another_are_joined_by_others(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(together, "_PACE_S", 3.0)  # On any machine longer than the first take.
        await all_at_once(store, *[(asked(n), Mark(f"t{n}", "x")) for n in range(3)])
        early = asyncio.create_task(carry_out(store, asked(3), TALLIES, Mark("t3", "x")))
        await asyncio.sleep(0.1)
        await asyncio.gather(early, carry_out(store, asked(4), TALLIES, Mark("t4", "x")))
        rows = await store.pool.fetch("SELECT stream, xmin::text AS transaction FROM events")
        transactions = {row["stream"]: row["transaction"] for row in rows}
        assert transactions["tally-t3"] == transactions["tally-t4"]
        assert transactions["tally-t3"] not in {transactions[f"tally-t{n}"] for n in range(3)}

    async def test_who_sends_one_after_the_other_waits_for_nobody(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for n in range(5):
            await carry_out(store, asked(n), TALLIES, Mark(f"t{n}", "x"))
        monkeypatch.setattr(together, "_PACE_S", 0.05)
        await all_at_once(store, *[(asked(n), Mark(f"t{n}", "x")) for n in range(5, 8)])
        for n in range(8, 8 + together._CROWDED):  # The others are expected for a while.
            await carry_out(store, asked(n), TALLIES, Mark(f"t{n}", "x"))
        monkeypatch.setattr(together, "_PACE_S", 3_600.0)
        for n in range(30, 35):
            await carry_out(store, asked(n), TALLIES, Mark(f"t{n}", "x"))

    async def test_enough_of_them_leave_at_once(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(together, "_PACE_S", 3_600.0)
        await all_at_once(store, *[(asked(-n), Mark(f"t{-n}", "x")) for n in range(1, 3)])
        answers = await all_at_once(store, *[(asked(n), Mark(f"t{n}", "x")) for n in range(1, TOGETHER_MAX)])
        assert all(isinstance(answer, Recorded) for answer in answers)

    async def test_each_is_answered_the_same_when_it_comes_again(self, store: Store) -> None:
        commands = [(asked(n), Mark(f"t{n % 3}", f"x{n}")) for n in range(12)]
        first = await all_at_once(store, *commands)
        assert await all_at_once(store, *commands) == first
        assert await store.pool.fetchval("SELECT count(*) FROM events") == 12

    async def test_those_of_one_stream_follow_each_other_without_a_conflict(self, store: Store) -> None:
        answers = await all_at_once(store, *((asked(n), Mark("hot", f"x{n}")) for n in range(40)))
        versions = [answer.versions["tally-hot"] for answer in answers if isinstance(answer, Recorded)]
        assert sorted(versions) == list(range(1, 41))

    async def test_an_answer_of_nothing_new_is_remembered(self, store: Store) -> None:
        """Of two that ask for the same mark under keys of their own, one makes it and the other finds it made."""
        metas = [asked(1), asked(2)]
        first, second = await all_at_once(store, *((meta, Mark("a", "x")) for meta in metas))
        assert isinstance(first, Recorded)
        assert second == Recorded({"tally-a": 1}, "tally-a", None)
        assert await all_at_once(store, *((meta, Mark("a", "x")) for meta in metas)) == [first, second]


class TestApart:
    async def test_a_refused_one_leaves_the_others_alone_and_its_key_free(self, store: Store) -> None:
        full = asked(1)
        answers = await all_at_once(
            store, (asked(0), Mark("a", "x")), (full, Mark("a", "y", limit=0)), (asked(2), Mark("b", "z"))
        )
        assert [type(answer) for answer in answers] == [Recorded, Full, Recorded]
        assert (await carry_out(store, full, TALLIES, Mark("a", "y"))).versions == {"tally-a": 2}

    async def test_a_fault_in_the_rules_is_told_to_the_caller_it_befell_only(self, store: Store) -> None:
        def decide(command: Mark, states: Any) -> Any:
            if command.mark == "boom":
                raise RuntimeError("a bug")
            return TALLIES.decide(command, states)

        faulty = replace(TALLIES, decide=decide)
        answers = await asyncio.gather(
            *(carry_out(store, asked(n), faulty, Mark(f"t{n}", "boom" if n == 7 else "x")) for n in range(20)),
            return_exceptions=True,
        )
        assert isinstance(answers.pop(7), RuntimeError)
        assert all(isinstance(answer, Recorded) for answer in answers)
        assert await store.pool.fetchval("SELECT count(*) FROM events") == 19

    async def test_a_key_twice_at_once_is_carried_out_once(self, store: Store) -> None:
        meta = asked(1)
        other = msgspec.structs.replace(meta, request=b"another")
        answers = await all_at_once(store, (meta, Mark("a", "x")), (meta, Mark("a", "x")), (other, Mark("a", "y")))
        assert [type(answer) for answer in answers] == [Recorded, KeyInProgress, KeyInProgress]
        [again] = await all_at_once(store, (other, Mark("a", "y")))
        assert isinstance(again, KeyReused)

    async def test_each_is_held_to_the_version_its_own_caller_saw(self, store: Store) -> None:
        """The second saw what was there before the first, with which it shares the transaction."""
        await carry_out(store, asked(0), TALLIES, Mark("a", "x"))
        answers = await all_at_once(
            store, (asked(1, if_match=1), Mark("a", "y")), (asked(2, if_match=1), Mark("a", "z"))
        )
        assert [type(answer) for answer in answers] == [Recorded, VersionMismatch]

    async def test_callers_of_other_branches_see_only_theirs(self, store: Store) -> None:
        await carry_out(store, asked(0), TALLIES, Mark("north", "x", branch="B020"))
        mine, his = (Branches(frozenset({code})) for code in ("B010", "B020"))
        answers = await all_at_once(
            store,
            (asked(1, branches=mine), Mark("north", "y", branch="B010")),
            (asked(2, branches=his), Mark("north", "z", branch="B020")),
        )
        assert [type(answer) for answer in answers] == [Unknown, Recorded]

    async def test_a_caller_who_goes_away_leaves_the_others_and_his_own_command(self, store: Store) -> None:
        leaving = asyncio.create_task(carry_out(store, asked(0), TALLIES, Mark("a", "x")))
        staying = asyncio.create_task(carry_out(store, asked(1), TALLIES, Mark("a", "y")))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying).versions == {"tally-a": 2}
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await store.pool.fetchval("SELECT count(*) FROM events") == 2


class TestFlow:
    async def test_who_comes_just_when_the_last_line_ends_is_served(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A caller hears of his answer, and asks again, before the loop sees that the line which gave it has ended."""
        monkeypatch.setattr("services.kernel.together._LINES_MAX", 1)
        async with asyncio.timeout(60):
            for at in range(5):
                await carry_out(store, asked(at), TALLIES, Mark("a", f"x{at}"))
        assert await store.pool.fetchval("SELECT count(*) FROM events") == 5

    async def test_two_processes_on_hot_streams_lose_nothing(self, url: str, store: Store) -> None:
        async with await open_pool(url, size_max=10, branches=EVERY_BRANCH) as others:

            async def mark(which: Store, name: str) -> None:
                meta = asked(0)
                while True:
                    try:
                        await carry_out(which, meta, TALLIES, Mark("a", name, also="b"))
                    except Busy:
                        continue
                    return

            await asyncio.gather(
                *(mark(which, f"m{id(which)}-{n}") for which in (store, Store(others)) for n in range(24))
            )
        for stream in ("tally-a", "tally-b"):
            rows = await store.pool.fetch(
                "SELECT stream_version FROM events WHERE stream = $1 ORDER BY position", stream
            )
            assert [row["stream_version"] for row in rows] == list(range(1, 49))
