"""The two families of errors: a refusal is an answer, a transient is a reason to try again.

No HTTP here: a refusal has a `kind`, and `kernel/http.py` gives each kind its status.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

import msgspec


class Kind(Enum):
    """What sort of no it is. The rim maps it to a status, so that domains need not know any."""

    MALFORMED = "malformed"  # It cannot be read as a request: a header is missing or is not what it should be.
    INVALID = "invalid"  # The request itself is wrong; the same request will never do.
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    UNKNOWN = "unknown"  # What it names does not exist, or the caller may not see it.
    CONFLICT = "conflict"  # Right in itself, but not in the present state.
    PRECONDITION = "precondition"  # If-Match did not hold.
    TOO_LARGE = "too_large"
    UNAVAILABLE = "unavailable"  # Try again later.


class Refused(Exception):
    """A rule said no. Expected: answered to the caller, counted, never retried.

    `code` is part of the API: clients switch on it, so it is never reworded. `field` names the part of the command that
    is at fault, where one is. Whatever else is given is answered as members of the problem document.
    """

    code: ClassVar[str]
    kind: ClassVar[Kind] = Kind.CONFLICT

    def __init__(self, message: str, *, field: str | None = None, **members: object) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.members = {name: _plain(value) for name, value in members.items()}


class Transient(Exception):
    """Nothing was decided. Trying again may do: the store conflicted, or a server is away."""


def _plain(value: object) -> object:
    """A value as the problem document shows it: structs, ids and dates as JSON has them."""
    return msgspec.to_builtins(value)


class Unknown(Refused):
    """It does not exist, or the caller may not see it: which of the two is not told."""

    code = "not_found"
    kind = Kind.UNKNOWN


class Forbidden(Refused):
    """The caller's roles or branches do not allow it."""

    code = "forbidden"
    kind = Kind.FORBIDDEN


class ValueUnstorable(Refused):
    """A value is out of the range that can be stored, or is not text."""

    code = "value_unstorable"
    kind = Kind.INVALID


class KeyReused(Refused):
    """The idempotency key was used before, with another request."""

    code = "idempotency_key_reused"
    kind = Kind.INVALID


class KeyInProgress(Refused):
    """The same command is being carried out right now."""

    code = "command_in_progress"
    kind = Kind.CONFLICT


class VersionMismatch(Refused):
    """If-Match named another version than the stream has."""

    code = "version_mismatch"
    kind = Kind.PRECONDITION


class VersionConflict(Transient):
    """Somebody else appended to the stream between our load and our append."""


class Busy(Refused):
    """The stream changed under every attempt. Nothing was recorded; the same request may be sent again."""

    code = "version_conflict"
    kind = Kind.CONFLICT
