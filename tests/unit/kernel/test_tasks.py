"""Tasks side by side end together, and the error that matters most is told."""

from __future__ import annotations

import asyncio

import pytest

from services.kernel.tasks import end, side_by_side


async def test_when_one_ends_the_others_may_finish_what_they_are_at() -> None:
    over, did = asyncio.Event(), list[str]()

    async def long() -> None:
        await over.wait()
        did.append("finished")

    async def short() -> None:
        did.append("ended")

    async with asyncio.timeout(5):
        await side_by_side([long(), short()], over.set)
    assert did == ["ended", "finished"]


async def test_an_error_that_no_retry_mends_goes_before_one_that_passes() -> None:
    async def fail(error: Exception) -> None:
        raise error

    with pytest.raises(KeyError):
        await side_by_side([fail(ConnectionResetError()), fail(KeyError("a bug"))], lambda: None)


async def test_who_is_cancelled_takes_his_parts_along() -> None:
    ended = list[str]()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("one")

    whole = asyncio.create_task(side_by_side([endless(), endless()], lambda: None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await end(whole)
    assert ended == ["one", "one"]
