"""What the rim reads out of headers, and the table of statuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import Kind
from services.kernel.middleware import _request_id, _traceparent
from services.kernel.problem import STATUS
from services.kernel.request import WAIT_S_MAX, wait_of


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=5", 5),
        ("respond-async, wait=5", 5),
        ('WAIT = "7"; x=y', 7),
        ("wait=999999", WAIT_S_MAX),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=five", 0),
        ("await=5", 0),
        ("wait", 0),
    ],
)
def test_a_caller_says_how_long_he_lets_us_wait(prefer: str | None, seconds: float) -> None:
    assert wait_of(prefer) == seconds


@given(st.text())
def test_no_header_makes_us_wait_longer_than_we_would(prefer: str) -> None:
    assert 0 <= wait_of(prefer) <= WAIT_S_MAX


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\n",
    ],
)
def test_a_trace_that_is_none_is_not_carried_on(given: str) -> None:
    assert _traceparent(given) is None


@given(st.text())
def test_a_request_id_is_always_one_that_logs_and_headers_take(given: str) -> None:
    made = _request_id(given)
    assert 8 <= len(made) <= 64
    assert made.isascii()
    assert "\n" not in made
    assert " " not in made


def test_every_kind_of_refusal_has_a_status_of_its_own() -> None:
    assert set(STATUS) == set(Kind)
    assert len(set(STATUS.values())) == len(STATUS)
