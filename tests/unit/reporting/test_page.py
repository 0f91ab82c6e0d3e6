"""Cursors: what they carry, and that they serve the question that made them only."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reporting.page import CursorInvalid, question, read_cursor, write_cursor

ASKED = question("aging", "branch", None)


@given(st.text(max_size=20), st.integers(-(2**63), 2**63 - 1), st.dates(), st.uuids())
def test_a_cursor_carries_the_key_of_the_last_row(text: str, number: int, day: date, key: UUID) -> None:
    cursor = write_cursor(ASKED, text, number, day, key)
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&%")
    assert read_cursor(cursor, ASKED, tuple[str, int, date, UUID]) == (text, number, day, key)


def test_an_instant_survives_to_the_microsecond() -> None:
    at = datetime(2026, 3, 2, 8, 15, 0, 123_457, tzinfo=UTC)
    assert read_cursor(write_cursor(ASKED, at), ASKED, tuple[datetime]) == (at,)


def test_no_cursor_begins_at_the_beginning() -> None:
    assert read_cursor(None, ASKED, tuple[str, str]) is None


def test_a_cursor_of_another_question_is_refused() -> None:
    with pytest.raises(CursorInvalid) as refused:
        read_cursor(write_cursor(question("aging", "account", None), "a", "b"), ASKED, tuple[str, str])
    assert refused.value.field == "cursor"


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "né",
        "not base64 at all",
        urlsafe_b64encode(b"{}").decode(),
        urlsafe_b64encode(b'["other"]').decode(),
        urlsafe_b64encode(b"\xff\xfe").decode(),
        write_cursor(ASKED),
        write_cursor(ASKED, "a"),
        write_cursor(ASKED, "a", "b", "c"),
        write_cursor(ASKED, 1, 2),
        write_cursor(ASKED, "a", None),
    ],
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(CursorInvalid):
        read_cursor(cursor, ASKED, tuple[str, str])


@given(st.text(max_size=60))
def test_no_text_is_more_than_refused(text: str) -> None:
    with pytest.raises(CursorInvalid):
        read_cursor(text, ASKED, tuple[str, str])


def test_questions_differ_by_every_part() -> None:
    parts = [("a", None), ("a", "None"), ("a",), (None, "a"), ("a", ["x"]), ("a", ["x", "y"]), ("a", ["x, y"])]
    assert len({question(*each) for each in parts}) == len(parts)
