"""Lanes of an import: rows travel side by side, and those that have to do with each other in the file's order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.importing import lanes
from services.cli.importing.lanes import LANES, Lanes, Row


@dataclass
class Service:
    """Notes when the request of each line began and ended, on a clock that counts."""

    began: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    ticks: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, rows: Sequence[Row]) -> list[int]:
        numbers = [number for number, _ in rows]
        self._note(self.began, numbers)
        self._note(self.ended, numbers)
        return numbers

    def _note(self, when: dict[int, int], numbers: list[int]) -> None:
        with self.lock:
            self.ticks += 1
            when.update(dict.fromkeys(numbers, self.ticks))


def sent(service: Service, kind: str, rows: Sequence[Row]) -> list[list[int]]:
    answers: list[list[int]] = []
    with Lanes(kind, service.send) as on:
        for row in rows:
            answers.extend(on.put(row))
        answers.extend(on.rest())
    return answers


@pytest.fixture(autouse=True)
def _small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "ROWS_PER_REQUEST", 3)


@given(st.lists(st.tuples(st.sampled_from(["", *"abcdefgh"]), st.sampled_from(["", *"stuvwxyz"])), max_size=40))
def test_rows_with_a_name_in_common_keep_their_order(pairs: list[tuple[str, str]]) -> None:
    rows: list[Row] = [(at, {"receipt_id": receipt, "item_id": item}) for at, (receipt, item) in enumerate(pairs)]
    service = Service()
    answers = sent(service, "receipts", rows)
    assert sorted(number for answer in answers for number in answer) == list(range(len(rows)))
    requests = {number: answer for answer in answers for number in answer}
    for earlier, (receipt, item) in enumerate(pairs):
        for later in range(earlier + 1, len(pairs)):
            if (receipt and receipt == pairs[later][0]) or (item and item == pairs[later][1]):
                if requests[earlier] is requests[later]:
                    assert requests[earlier].index(earlier) < requests[later].index(later)
                else:
                    assert service.ended[earlier] < service.began[later]


def test_rows_that_have_nothing_in_common_travel_side_by_side() -> None:
    together = threading.Barrier(LANES, timeout=20)

    def send(rows: Sequence[Row]) -> int:
        together.wait()  # Breaks, and fails the test, where one request waits for another.
        return len(rows)

    with Lanes("invoices", send) as on:
        rows: list[Row] = [(at, {"invoice_id": f"{at}", "branch": "B1", "number": f"{at}"}) for at in range(3 * LANES)]
        counts = [count for row in rows for count in on.put(row)] + list(on.rest())
    assert counts == [3] * LANES


def test_a_kind_whose_rows_may_bear_on_each_other_is_sent_in_order() -> None:
    service = Service()
    answers = sent(service, "promises", [(at, {"promise_id": f"{at}"}) for at in range(10)])
    assert answers == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert [service.began[at] for at in range(10)] == sorted(service.began.values())


def test_the_same_id_in_other_letters_is_the_same_id() -> None:
    service = Service()
    rows: list[Row] = [(at, {"receipt_id": "AB" if at % 2 else "ab"}) for at in range(6)]
    assert sent(service, "receipts", rows) == [[0, 1, 2], [3, 4, 5]]
    assert service.ended[2] < service.began[3]


def test_an_error_of_a_request_ends_it() -> None:
    def send(_rows: Sequence[Row]) -> int:
        raise RuntimeError("away")

    with Lanes("receipts", send) as on:
        assert list(on.put((1, {"receipt_id": "a"}))) == []
        with pytest.raises(RuntimeError, match="away"):
            list(on.rest())
