"""Which errors of the drivers mean "try again": a server is away, restarting, overloaded, or two transactions met."""

from __future__ import annotations

from typing import Final

import asyncpg

from services.kernel.errors import Transient

# OSError: a socket that could not be opened. TimeoutError: nobody answered, or no connection became free in time.
TRANSIENT: Final[tuple[type[Exception], ...]] = (
    Transient,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,  # Too many connections, out of memory, disk full.
    asyncpg.OperatorInterventionError,  # Shutting down, starting up, statement cancelled.
    asyncpg.TransactionRollbackError,  # Serialization failure, deadlock.
    asyncpg.LockNotAvailableError,
    asyncpg.ObjectNotInPrerequisiteStateError,  # The database lets nobody in for now, as during a restore.
    asyncpg.InterfaceError,  # The connection closed under us; the pool is closing.
    asyncpg.InternalClientError,  # The same, noticed by the driver in the middle of a statement.
    OSError,
    TimeoutError,
)


def is_transient(error: BaseException) -> bool:
    """Whether the same work may do when tried again. A ValueError is asyncpg's verdict on its arguments."""
    return isinstance(error, TRANSIENT) and not isinstance(error, ValueError)
