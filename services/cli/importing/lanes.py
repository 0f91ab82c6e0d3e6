"""Requests of an import side by side, as far as the order of its rows does not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from services.cli.importing.mapping import Record

T = TypeVar("T")
# One request. Small enough that every row's rejection fits the socket's buffers while the body is still being sent.
ROWS_PER_REQUEST: Final = 2_000
# Requests at once: while the database writes what one came to, the service reads and decides the next.
LANES: Final = 4
# What two rows of a kind must not have in common to be sent side by side. Of a kind that is not here all rows keep
# their order: it has few of them, or what one does to another is more than its fields tell.
_NAMES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "invoices": (("invoice_id",), ("branch", "number")),
    "receipts": (("receipt_id",), ("item_id",)),
}

Name = tuple[str, ...]
Row = tuple[int, Record]  # The number of its line in the file, and what is sent.


@dataclass(slots=True, eq=False)
class _Lane(Generic[T]):
    """Rows that wait, and the request that is on its way, with the names that the rows of each have."""

    waiting: list[Row] = field(default_factory=list)
    names: set[Name] = field(default_factory=set)
    sent: Future[T] | None = None
    sent_names: set[Name] = field(default_factory=set)

    def has(self, names: Iterable[Name]) -> bool:
        return not (self.names.isdisjoint(names) and self.sent_names.isdisjoint(names))


class Lanes(Generic[T]):
    """Sends the rows of one kind by `send`, ROWS_PER_REQUEST at a time, in threads.

    Holds   of two rows with a name in common the later is not sent before the earlier has its answer, unless both are
            in one request. What becomes of a row, and why, is therefore the same as if each had been sent by itself.
    """

    def __init__(self, kind: str, send: Callable[[Sequence[Row]], T]) -> None:
        self._send = send
        self._fields = _NAMES.get(kind, ())
        count = LANES if self._fields else 1
        self._lanes: list[_Lane[T]] = [_Lane() for _ in range(count)]
        self._filling = 0  # The lane that takes rows nobody waits for.
        self._threads = ThreadPoolExecutor(count, thread_name_prefix=f"import-{kind}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._threads.shutdown(cancel_futures=True)

    def put(self, row: Row) -> Iterator[T]:
        """Take a row; answers what came in where it had to wait for that. Errors: those of `send`."""
        names = self._names(row[1])
        tied = [lane for lane in self._lanes if lane.has(names)]
        if len(tied) > 1:  # It must come after rows of several lanes.
            yield from self.rest()
        lane = tied[0] if len(tied) == 1 else self._lanes[self._filling]
        lane.waiting.append(row)
        lane.names.update(names)
        if len(lane.waiting) == ROWS_PER_REQUEST:
            yield from self._launch(lane)
            self._filling = (self._lanes.index(lane) + 1) % len(self._lanes)

    def rest(self) -> Iterator[T]:
        """Send what waits; answers all that has not been answered. Errors: those of `send`."""
        for lane in self._lanes:
            if lane.waiting:
                yield from self._launch(lane)
        for lane in self._lanes:
            yield from self._answer(lane)

    def _names(self, record: Record) -> list[Name]:
        names = (tuple(record.get(name, "").lower() for name in fields) for fields in self._fields)
        return [name for name in names if all(name)]

    def _launch(self, lane: _Lane[T]) -> Iterator[T]:
        yield from self._answer(lane)
        lane.sent, lane.sent_names = self._threads.submit(self._send, lane.waiting), lane.names
        lane.waiting, lane.names = [], set()

    def _answer(self, lane: _Lane[T]) -> Iterator[T]:
        if lane.sent is not None:
            answer = lane.sent.result()
            lane.sent, lane.sent_names = None, set()
            yield answer
