"""Rows out of bytes: whatever the bytes are, and however they are cut into chunks."""

import csv
import io
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.rows import CsvRows, JsonRows, Reader, Rejected, Row, typed


class Line(msgspec.Struct):
    number: str
    amount: str = "0"
    on: date | None = None
    copies: int | None = None
    id: UUID | None = None
    text: str | None = None


def read(reader: Reader, content: bytes, chunk: int = 1 << 16) -> list[Row | Rejected]:
    found: list[Row | Rejected] = []
    for at in range(0, len(content), chunk):
        found.extend(reader.feed(content[at : at + chunk]))
    found.extend(reader.feed(b"", final=True))
    return found


def csv_rows(content: bytes, chunk: int = 1 << 16, row_bytes_max: int = 1000) -> list[Row | Rejected]:
    return read(CsvRows(Line, row_bytes_max), content, chunk)


def json_rows(content: bytes, chunk: int = 1 << 16, row_bytes_max: int = 1000) -> list[Row | Rejected]:
    return read(JsonRows(Line, row_bytes_max), content, chunk)


def codes(rows: list[Row | Rejected]) -> list[tuple[int, str]]:
    return [(row.row, row.code) if isinstance(row, Rejected) else (row.number, "ok") for row in rows]


class TestCsv:
    def test_a_row_has_the_values_of_its_header(self) -> None:
        assert csv_rows(b"number,amount\nA-1,12.50\n") == [Row(1, {"number": "A-1", "amount": "12.50"})]

    def test_an_empty_cell_is_an_absent_value(self) -> None:
        assert csv_rows(b"number,amount,on\nA-1,,\n") == [Row(1, {"number": "A-1"})]

    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    @pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
    def test_lines_end_as_they_do_anywhere(self, end: bytes, chunk: int) -> None:
        content = end.join([b"number,text", b'A-1,"one, two"', b"A-2,three"])
        assert csv_rows(content, chunk) == [
            Row(1, {"number": "A-1", "text": "one, two"}),
            Row(2, {"number": "A-2", "text": "three"}),
        ]

    def test_the_mark_that_spreadsheets_put_first_is_no_part_of_the_header(self) -> None:
        assert csv_rows(b"\xef\xbb\xbfnumber\nA-1\n", 1) == [Row(1, {"number": "A-1"})]

    def test_a_quoted_cell_may_span_lines(self) -> None:
        assert csv_rows(b'number,text\nA-1,"one\ntwo"\nA-2,x\n', 1) == [
            Row(1, {"number": "A-1", "text": "one\ntwo"}),
            Row(2, {"number": "A-2", "text": "x"}),
        ]

    def test_a_quote_inside_a_cell_is_text(self) -> None:
        assert csv_rows(b'number,text\nA-1,5" pipe\nA-2,x\n') == [
            Row(1, {"number": "A-1", "text": '5" pipe'}),
            Row(2, {"number": "A-2", "text": "x"}),
        ]

    def test_a_quote_that_is_never_closed_costs_its_own_row_only(self) -> None:
        lines = [b"number,text", b'A-1,"never closed', *(b"B-%d,x" % n for n in range(50))]
        found = csv_rows(b"\n".join(lines), row_bytes_max=100)
        assert codes(found) == [(1, "row_malformed"), *((n, "ok") for n in range(2, 52))]

    def test_a_row_that_is_too_long_is_rejected_and_not_kept(self) -> None:
        content = b"number\n" + b"x" * 5000 + b"\nA-2\n"
        for chunk in (7, 10_000):
            assert codes(csv_rows(content, chunk)) == [(1, "row_malformed"), (2, "ok")]

    def test_a_last_row_that_is_too_long_is_rejected(self) -> None:
        assert codes(csv_rows(b"number\n" + b"x" * 5000, 100)) == [(1, "row_malformed")]

    def test_bytes_that_are_no_text_cost_their_row_only(self) -> None:
        assert codes(csv_rows(b"number\nA-1\nM\xfcller\nA-3\n")) == [(1, "ok"), (2, "row_malformed"), (3, "ok")]

    def test_a_nul_costs_its_row_only(self) -> None:
        assert codes(csv_rows(b"number\nA\x001\nA-2\n")) == [(1, "row_malformed"), (2, "ok")]

    def test_another_number_of_cells_is_malformed(self) -> None:
        assert codes(csv_rows(b"number,amount\nA-1\nA-2,1,2\nA-3,1\n")) == [
            (1, "row_malformed"),
            (2, "row_malformed"),
            (3, "ok"),
        ]

    def test_empty_rows_are_counted_and_passed_over(self) -> None:
        assert codes(csv_rows(b"number,amount\n\n,\nA-3,1\n")) == [(3, "ok")]

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b"", [("header_malformed", None)]),
            (b"\xff\xfen\x00u\x00m\x00", [("header_malformed", None)]),
            (b"number,colour\nA-1,red\n", [("header_unknown_column", "colour")]),
            (b"amount\n1\n", [("header_missing_column", "number")]),
            (b"number,number\n1,2\n", [("header_duplicate_column", "number")]),
            (b"a,b\n1,2\n", [*[("header_unknown_column", name) for name in "ab"], ("header_missing_column", "number")]),
        ],
    )  # fmt: skip
    def test_a_header_that_will_not_do_ends_it(self, content: bytes, found: list[tuple[str, str | None]]) -> None:
        rows = csv_rows(content)
        assert all(isinstance(row, Rejected) and row.row == 0 for row in rows)
        assert [(row.code, row.field) for row in rows if isinstance(row, Rejected)] == found

    @given(
        st.lists(
            st.fixed_dictionaries(
                {"number": st.text(min_size=1, max_size=20), "text": st.text(max_size=20)},
            ),
            max_size=8,
        ),
        st.integers(1, 50),
        st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    )
    def test_what_the_csv_module_writes_is_read_back(
        self, lines: list[dict[str, str]], chunk: int, quoting: Literal[0, 1]
    ) -> None:
        lines = [line for line in lines if not set("\x00\r") & set(line["number"] + line["text"])]
        out = io.StringIO()
        writer = csv.DictWriter(out, ["number", "text"], lineterminator="\n", quoting=quoting)
        writer.writeheader()
        writer.writerows(lines)
        found = csv_rows(out.getvalue().encode("utf-8", "replace"), chunk)
        assert found == [
            Row(at, {name: cell.encode("utf-8", "replace").decode() for name, cell in line.items() if cell})
            for at, line in enumerate(lines, start=1)
        ]


class TestJson:
    def test_a_row_is_an_object(self) -> None:
        assert json_rows(b'{"number":"A-1"}\r\n\n{"number":"A-2"}', 3) == [
            Row(1, {"number": "A-1"}),
            Row(3, {"number": "A-2"}),
        ]

    @pytest.mark.parametrize(
        "line",
        [b"[]", b"7", b"{", b'{"number":"\xff"}', b'{"number":"\\u0000"}', b'{"number":"\\ud800"}', b"[" * 900, b"NaN"],
    )
    def test_a_malformed_line_costs_its_row_only(self, line: bytes) -> None:
        assert codes(json_rows(line + b'\n{"number":"A-2"}\n')) == [(1, "row_malformed"), (2, "ok")]

    def test_a_field_nobody_knows_is_named(self) -> None:
        [rejected] = json_rows(b'{"number":"A-1","ammount":"1"}\n')
        assert isinstance(rejected, Rejected)
        assert (rejected.code, rejected.field) == ("row_field_invalid", "ammount")

    def test_a_line_that_is_too_long_is_rejected_and_not_kept(self) -> None:
        content = b'{"number":"' + b"x" * 5000 + b'"}\n{"number":"A-2"}\n'
        for chunk in (7, 10_000):
            assert codes(json_rows(content, chunk)) == [(1, "row_malformed"), (2, "ok")]


class TestTyped:
    def test_text_becomes_what_the_struct_declares(self) -> None:
        values = {"number": "1", "on": "2024-02-29", "copies": "3", "id": "12345678123456781234567812345678"}
        line = typed(Row(1, dict(values)), Line)
        assert line == Line("1", on=date(2024, 2, 29), copies=3, id=UUID(values["id"]))

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({}, "number"),
            ({"number": "1", "on": "2023-02-29"}, "on"),
            ({"number": "1", "copies": "many"}, "copies"),
            ({"number": 1}, "number"),
            ({"number": "1", "id": "x"}, "id"),
        ],
    )
    def test_a_field_that_is_wrong_is_named(self, values: dict[str, object], field: str) -> None:
        rejected = typed(Row(7, values), Line)
        assert isinstance(rejected, Rejected)
        assert (rejected.row, rejected.field, rejected.code) == (7, field, "row_field_invalid")
        assert "`$" not in rejected.message


@given(st.lists(st.binary(max_size=60), max_size=12), st.booleans())
@settings(max_examples=300)
def test_no_bytes_whatever_crash_a_reader(chunks: list[bytes], header: bool) -> None:
    for kind in (CsvRows, JsonRows):
        reader = kind(Line, 50)
        numbers: list[int] = []
        first = b"number,text\n" if header else b""
        for at, chunk in enumerate([first, *chunks, b""]):
            for row in reader.feed(chunk, final=at == len(chunks) + 1):
                numbers.append(row.row if isinstance(row, Rejected) else row.number)
                if isinstance(row, Row):
                    typed(row, Line)
        assert numbers == sorted(numbers)


@given(st.binary(max_size=400).map(lambda tail: b'number,text\nA-1,"x"\n' + tail), st.integers(1, 40))
def test_where_the_bytes_are_cut_does_not_matter(content: bytes, chunk: int) -> None:
    assert csv_rows(content, chunk) == csv_rows(content)
    assert json_rows(content, chunk) == json_rows(content)


@given(st.text(alphabet='",\n\rab', max_size=200), st.integers(1, 9))
@settings(max_examples=300)
def test_a_good_row_after_any_mess_still_lands(mess: str, chunk: int) -> None:
    closed = mess + "\n" + "z" * 2000 + "\n"  # Too long for any record: whatever was open ends here.
    found = csv_rows(b"number\n" + closed.encode() + b"good\n", chunk)
    assert isinstance(found[-1], Row)
    assert found[-1].values == {"number": "good"}
