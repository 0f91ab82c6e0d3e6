"""The example of an import is one that its rows take."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from events.envelope import Branch
from events.money import Currency
from services.kernel.bulk_docs import CSV, describe, example_of, request_body
from services.kernel.rim import money
from services.kernel.rows import CsvRows, Row, typed


class Everything(msgspec.Struct):
    item_id: UUID
    branch: Branch
    currency: Currency
    amount: str
    method: Literal["check", "ach"]
    on: date
    at: datetime
    copies: Annotated[int, msgspec.Meta(ge=3)]
    final: bool
    job_id: UUID | None
    item_ids: str
    number: Annotated[str, msgspec.Meta(max_length=40, examples=["INV-1"])]
    note: str | None = None


def test_an_example_has_every_column_that_is_needed_and_is_taken() -> None:
    example = example_of(Everything)
    row = typed(Row(1, example), Everything)
    assert isinstance(row, Everything)
    assert (row.branch, row.number, row.note) == ("B010", "INV-1", None)
    assert money(row.amount, row.currency).minor == 120450


def test_the_csv_of_an_example_is_read_back() -> None:
    content = request_body(Everything)["content"][CSV]["example"].encode()
    [row] = CsvRows(Everything).feed(content, final=True)
    assert isinstance(row, Row)
    assert isinstance(typed(row, Everything), Everything)


def test_the_columns_are_told() -> None:
    text = describe(Everything)
    assert "Needed: `item_id`, `branch`" in text
    assert "Optional: `note`" in text
