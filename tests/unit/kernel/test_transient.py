"""Which errors mean "try again", and which would mean the same for ever."""

from __future__ import annotations

import asyncpg
import pytest

from services.kernel.transient import is_transient


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.ObjectNotInPrerequisiteStateError('database "openitem_payment" is not currently accepting connections'),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        ConnectionRefusedError(111, "Connection refused"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_lets_nobody_in_is_tried_again(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [asyncpg.UndefinedTableError("no such table"), asyncpg.UniqueViolationError("twice"), ValueError("not a date")],
    ids=lambda error: type(error).__name__,
)
def test_what_a_second_try_would_meet_again_is_not(error: Exception) -> None:
    assert not is_transient(error)
