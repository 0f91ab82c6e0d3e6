"""Rows of an import as batches of commands, the next batch made while the database works on the present one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from services.kernel.rows import Rejected, Row

C = TypeVar("C")
T = TypeVar("T")
# Rows that are read before others have their turn: the answer that a batch on its way waits for, and other requests.
_ROWS_AT_A_TIME: Final = 50


@dataclass(slots=True)
class Batch(Generic[C]):
    """Consecutive rows of a file: the commands they came to, beside the rows' numbers, and those that came to none.

    `full`: there may be more. `last` is the number of the last row, 0 where there was none.
    """

    numbers: list[int] = field(default_factory=list)
    commands: list[C] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    full: bool = False

    @property
    def last(self) -> int:
        rejected = self.rejected[-1].row if self.rejected else 0
        return max(self.numbers[-1], rejected) if self.numbers else rejected


async def batches_of(
    rows: AsyncIterator[Iterable[Row | Rejected]], command_of: Callable[[Row], C | Rejected], size: int
) -> AsyncGenerator[Batch[C], None]:
    """Every row in order, at most `size` of each sort in a batch. The last batch may be empty."""
    batch: Batch[C] = Batch()
    untold = 0
    async for some in rows:
        for row in some:
            if isinstance(row, Rejected):
                batch.rejected.append(row)
            elif isinstance(found := command_of(row), Rejected):
                batch.rejected.append(found)
            else:
                batch.numbers.append(row.number)
                batch.commands.append(found)
            if len(batch.commands) == size or len(batch.rejected) == size:
                batch.full = True
                yield batch
                batch = Batch()
            untold += 1
            if untold == _ROWS_AT_A_TIME:
                untold = 0
                await asyncio.sleep(0)
    yield batch


async def one_ahead(source: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The same items, each made while the one before it is used."""
    making = asyncio.ensure_future(anext(source, None))
    try:
        while (item := await making) is not None:
            making = asyncio.ensure_future(anext(source, None))
            yield item
    finally:
        # Awaited and not cancelled: who breaks off may want to read on where `source` stopped.
        with contextlib.suppress(Exception):
            await making
