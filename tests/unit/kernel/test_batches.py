"""Batches of rows: in order, bounded, and one made ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from services.kernel.batches import Batch, batches_of, one_ahead
from services.kernel.rows import Rejected, Row


def rejected(number: int) -> Rejected:
    return Rejected(row=number, code="row_malformed", message="bad")


def command_of(row: Row) -> str | Rejected:
    return f"c{row.number}" if row.number % 5 else rejected(row.number)


async def chunks(*some: Iterable[Row | Rejected]) -> AsyncIterator[Iterable[Row | Rejected]]:
    for rows in some:
        yield rows


async def batches(size: int, *some: Iterable[Row | Rejected]) -> list[Batch[str]]:
    return [batch async for batch in batches_of(chunks(*some), command_of, size)]


async def test_rows_stay_in_order_however_they_come_in() -> None:
    rows: list[Row | Rejected] = [Row(number, {}) for number in range(1, 10)]
    whole = await batches(3, rows)
    assert whole == await batches(3, rows[:4], [], rows[4:])
    assert [batch.numbers for batch in whole] == [[1, 2, 3], [4, 6, 7], [8, 9]]
    assert [batch.commands for batch in whole] == [["c1", "c2", "c3"], ["c4", "c6", "c7"], ["c8", "c9"]]
    assert [batch.full for batch in whole] == [True, True, False]
    assert [one.row for one in whole[1].rejected] == [5]


async def test_a_file_of_bad_rows_only_is_told_batch_by_batch() -> None:
    found = await batches(4, [rejected(number) for number in range(1, 11)])
    assert [len(batch.rejected) for batch in found] == [4, 4, 2]
    assert [batch.last for batch in found] == [4, 8, 10]


async def test_the_last_row_of_a_batch_is_told_whether_it_came_to_a_command_or_not() -> None:
    [batch] = await batches(9, [Row(1, {}), Row(2, {}), rejected(3)])
    assert batch.last == 3
    [batch] = await batches(9, [rejected(1), Row(2, {})])
    assert batch.last == 2
    [batch] = await batches(9)
    assert batch.last == 0


class TestOneAhead:
    async def test_the_next_item_is_made_while_one_is_used_and_no_other(self) -> None:
        made: list[int] = []

        async def source() -> AsyncIterator[int]:
            for item in range(5):
                made.append(item)
                yield item

        seen = []
        async for item in one_ahead(source()):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append((item, list(made)))
        assert seen == [(at, list(range(min(at + 2, 5)))) for at in range(5)]

    async def test_an_error_comes_after_the_items_before_it(self) -> None:
        async def source() -> AsyncIterator[int]:
            yield 1
            raise RuntimeError("broken")

        ahead = one_ahead(source())
        assert await anext(ahead) == 1
        with pytest.raises(RuntimeError, match="broken"):
            await anext(ahead)

    async def test_who_breaks_off_leaves_a_source_that_can_be_read_on(self) -> None:
        async def source() -> AsyncIterator[int]:
            for item in range(5):
                await asyncio.sleep(0)
                yield item

        items = source()
        ahead = one_ahead(items)
        assert await anext(ahead) == 0
        await ahead.aclose()
        assert [item async for item in items] == [2, 3, 4]
