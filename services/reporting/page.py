"""Cursors: where the next page of a list begins, as text the caller hands back and need not understand.

A cursor holds the sort key of the last row, so a page costs the same wherever it begins, and rows that come or go in
between neither repeat nor hide others. It holds a hash of the question too: another question is refused.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any, Final, TypeVar

import msgspec
from fastapi import Query

from services.kernel.errors import Kind, Refused

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 10_000

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows of one page.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next` of the page before; same question.")]
T = TypeVar("T")


class CursorInvalid(Refused):
    """The cursor is not one that this question gave."""

    code = "cursor_invalid"
    kind = Kind.INVALID


def question(*parts: object) -> str:
    """A short hash of what is asked: everything but the page."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def write_cursor(asked: str, *key: object) -> str:
    """The cursor after the row with this sort key."""
    return urlsafe_b64encode(msgspec.json.encode((asked, key))).decode().rstrip("=")


def read_cursor(cursor: str | None, asked: str, shape: type[T]) -> T | None:
    """The sort key that a cursor holds, as `shape` (a tuple type). Errors: CursorInvalid."""
    if cursor is None:
        return None
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        told, key = msgspec.json.decode(raw, type=tuple[str, Any])
        read = msgspec.convert(key, shape)
    except (binascii.Error, UnicodeError, msgspec.MsgspecError, ValueError):
        raise CursorInvalid("take it from `next` of the page before", field="cursor") from None
    if told != asked:
        raise CursorInvalid("it belongs to another question", field="cursor")
    return read
