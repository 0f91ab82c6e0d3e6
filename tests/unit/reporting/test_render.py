"""How answers are written for people and for spreadsheets."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from starlette.requests import Request
from starlette.responses import Response

from services.reporting.render import amount, csv_answer, wants_csv


def read(answer: Response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(bytes(answer.body).decode(), newline="")))


def cell(value: Any) -> str:
    return read(csv_answer(["a"], [{"a": value}], {}))[1][0]


class TestAmounts:
    @pytest.mark.parametrize(
        ("minor", "currency", "text"),
        [
            (0, "USD", "0.00"),
            (5, "USD", "0.05"),
            (-5, "USD", "-0.05"),
            (120_450, "USD", "1204.50"),
            (120_450, "JPY", "120450"),
            (-120_450, "KWD", "-120.450"),
            (7, None, "0.07"),
        ],
    )
    def test_minor_units_are_written_with_the_currencys_digits(
        self, minor: int, currency: str | None, text: str
    ) -> None:
        assert amount(minor, currency) == text

    def test_nothing_stays_nothing(self) -> None:
        assert amount(None, "USD") is None


class TestCsv:
    @pytest.mark.parametrize(
        "text", ["=1+1", "+1-1", "@SUM(A1)", "-1+2", "\t=1", "\r=1", "\n=1", "＝1+1", "=HYPERLINK()"]
    )
    def test_a_cell_that_a_spreadsheet_would_run_is_quoted(self, text: str) -> None:
        assert cell(text) == f"'{text}"

    @pytest.mark.parametrize("text", ["-1204.50", "-0.05", "-7", "0.00", "A-1", "O'Hara & Sons", 'say "no"', "a,b", ""])
    def test_amounts_and_names_are_left_as_they_are(self, text: str) -> None:
        assert cell(text) == text

    def test_values_are_written_as_json_writes_them(self) -> None:
        assert cell(None) == ""
        assert cell(-3) == "-3"
        assert cell(date(2026, 3, 2)) == "2026-03-02"
        assert cell(UUID(int=1)) == str(UUID(int=1))

    def test_columns_come_in_the_order_asked_for_and_missing_ones_are_empty(self) -> None:
        assert read(csv_answer(["b", "a", "c"], [{"a": "1", "b": "2", "x": "9"}], {})) == [
            ["b", "a", "c"],
            ["2", "1", ""],
        ]

    def test_what_else_json_says_stands_in_headers(self) -> None:
        more = {
            "as_of": date(2026, 3, 2),
            "known_at": datetime(2026, 3, 3, tzinfo=UTC),
            "freshness": {"facts_behind": 0, "seconds_behind": 0.0},
            "next": "abc",
        }
        answer = csv_answer(["a"], [], more)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["openitem-as-of"] == "2026-03-02"
        assert answer.headers["openitem-known-at"] == "2026-03-03T00:00:00Z"
        assert answer.headers["openitem-facts-behind"] == "0"
        assert answer.headers["openitem-seconds-behind"] == "0.0"
        assert answer.headers["openitem-next"] == "abc"

    def test_the_last_page_names_no_next(self) -> None:
        assert "openitem-next" not in csv_answer(["a"], [], {"next": None}).headers


@pytest.mark.parametrize(
    ("accept", "asked", "wanted"),
    [
        ("application/json", None, False),
        ("text/csv", None, True),
        ("text/csv; charset=utf-8", None, True),
        ("*/*", "csv", True),
        ("text/csv", "json", False),
        (None, None, False),
    ],
)
def test_csv_is_written_for_whoever_asks_for_it(accept: str | None, asked: str | None, wanted: bool) -> None:
    headers = [] if accept is None else [(b"accept", accept.encode())]
    assert wants_csv(Request({"type": "http", "headers": headers}), asked) is wanted
