"""The backlog: a partition with one at a time, in order, and nobody waits for what will not come."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aiokafka import TopicPartition

from services.kernel import backlog as backlog_module
from services.kernel.backlog import Backlog, Delivery

A, B, C = (TopicPartition("t", number) for number in range(3))


def of(**partitions: list[int]) -> Any:
    """Numbers stand for records: the backlog does not look into them."""
    return {TopicPartition("t", "abc".index(name)): list(numbers) for name, numbers in partitions.items()}


async def at_once(backlog: Backlog, most: int = 100) -> Delivery:
    """What can be taken now, and is given back; nothing where one would have to wait."""
    try:
        async with asyncio.timeout(0.01):
            return await _take(backlog, most)
    except TimeoutError:
        return {}


async def _take(backlog: Backlog, most: int = 100) -> Delivery:
    """What is taken, sooner or later, and is given back."""
    async with backlog.take(most) as taken:
        return taken


async def test_what_one_works_on_another_does_not_get_and_the_rest_it_does() -> None:
    backlog = Backlog(100)
    backlog.put(of(a=[1], b=[1]))
    async with backlog.take(1) as mine:
        assert mine == {A: [1]}
        backlog.put(of(a=[2, 3], c=[1]))
        async with backlog.take(100) as others:
            assert others == {B: [1], C: [1]}
            assert await at_once(backlog) == {}
    assert await at_once(backlog) == {A: [2, 3]}


async def test_records_of_a_partition_stay_in_order_however_they_are_cut() -> None:
    backlog = Backlog(100)
    backlog.put(of(a=[1, 2, 3]))
    backlog.put(of(a=[4, 5]))
    assert [await at_once(backlog, 2) for _ in range(3)] == [{A: [1, 2]}, {A: [3, 4]}, {A: [5]}]


async def test_the_last_records_are_shared_out_to_those_who_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "_WORTH", 2)
    backlog = Backlog(100, lanes=3)
    backlog.put(of(a=[1, 2, 3, 4, 5], b=[1, 2], c=[1, 2]), last=True)
    async with backlog.take(100) as first, backlog.take(100) as second, backlog.take(100) as third:
        assert (first, second, third) == ({A: [1, 2, 3]}, {B: [1, 2]}, {C: [1, 2]})
    assert await at_once(backlog) == {A: [4, 5]}  # As few as are worth a transaction are not parted.


async def test_while_more_is_to_come_one_takes_all_he_can() -> None:
    backlog = Backlog(100, lanes=3)
    backlog.put(of(a=[1, 2, 3], b=[1, 2]))
    assert await at_once(backlog, 4) == {A: [1, 2, 3], B: [1]}


async def test_a_part_that_was_left_is_taken_before_what_came_later() -> None:
    backlog = Backlog(100)
    backlog.put(of(a=[1, 2, 3]))
    assert await at_once(backlog, 2) == {A: [1, 2]}
    backlog.put(of(b=[1]))
    assert await at_once(backlog, 1) == {A: [3]}


async def test_who_waits_is_woken_by_what_comes_and_by_what_is_given_back() -> None:
    backlog = Backlog(100)
    got: list[Delivery] = []

    async def lane() -> None:
        async with backlog.take(100) as taken:
            got.append(taken)

    waiting = asyncio.create_task(lane())
    await asyncio.sleep(0)
    async with AsyncExitStack() as working:
        backlog.put(of(a=[1]))
        await waiting
        await working.enter_async_context(_taken(backlog, of(b=[1])))
        backlog.put(of(b=[2]))
        waiting = asyncio.create_task(lane())
        await asyncio.sleep(0.01)
        assert got == [{A: [1]}]
    await waiting
    assert got == [{A: [1]}, {B: [2]}]


def _taken(backlog: Backlog, delivery: Any) -> Any:
    backlog.put(delivery)
    return backlog.take(100)


async def test_who_reads_waits_while_enough_is_there() -> None:
    backlog = Backlog(3)
    backlog.put(of(a=[1, 2]))
    await backlog.room()
    backlog.put(of(b=[1]))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await backlog.room()
    assert await at_once(backlog, 1) == {A: [1]}
    await backlog.room()


async def test_who_reads_goes_on_without_what_is_held_up_where_somebody_has_nothing_to_do() -> None:
    backlog = Backlog(3)
    backlog.put(of(a=[1]))
    async with backlog.take(100):
        backlog.put(of(a=[2, 3, 4]))
        reader = asyncio.create_task(backlog.room())
        await asyncio.sleep(0)
        assert not reader.done()  # Nobody would have use for more.
        idle = asyncio.create_task(_take(backlog))
        assert await reader == {A}
        backlog.put(of(b=[1]))
        assert await idle == {B: [1]}
    assert await at_once(backlog) == {A: [2, 3, 4]}


async def test_who_reads_waits_for_what_is_free_to_be_taken() -> None:
    backlog = Backlog(3)
    idle = asyncio.create_task(_take(backlog))
    await asyncio.sleep(0)
    backlog.put(of(a=[1, 2, 3]))
    assert await backlog.room() == set()
    assert await idle == {A: [1, 2, 3]}


async def test_closed_it_lets_nobody_wait() -> None:
    backlog = Backlog(1)
    backlog.put(of(a=[1]))
    async with backlog.take(1), asyncio.TaskGroup() as tasks:
        backlog.put(of(a=[2]))
        reader, lane = tasks.create_task(backlog.room()), tasks.create_task(at_once(backlog))
        await asyncio.sleep(0)
        backlog.close()
    assert (reader.result(), lane.result()) == (set(), {})


async def test_what_failed_is_free_again() -> None:
    backlog = Backlog(100)
    backlog.put(of(a=[1]))
    with pytest.raises(ZeroDivisionError):
        async with backlog.take(100):
            raise ZeroDivisionError
    backlog.put(of(a=[2]))
    assert await at_once(backlog) == {A: [2]}
