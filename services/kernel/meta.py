"""What surrounds a command: who asks, what he may see, under which key, because of what."""

from __future__ import annotations

from typing import Final

import msgspec

ALL: Final = "*"


class Branches(msgspec.Struct, frozen=True):
    """The branches a caller may see and act on; `every` is for those not limited to any."""

    codes: frozenset[str] = frozenset()
    every: bool = False

    def __contains__(self, branch: str) -> bool:
        return self.every or branch in self.codes

    @property
    def setting(self) -> str:
        """The value of `openitem.branches` that row-level security reads."""
        return ALL if self.every else ",".join(sorted(self.codes))


EVERY_BRANCH: Final = Branches(every=True)
NO_BRANCH: Final = Branches()


class Cause(msgspec.Struct, frozen=True):
    """What led to a fact: the request it began with, the fact that caused it, the trace it belongs to."""

    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """`key` is the Idempotency-Key, `request` a hash of what was asked; without a key nothing is remembered.

    `if_match` is the version the caller saw of the stream he commands. `wait_s` is how long he lets a command wait for
    something another service has yet to make known here.
    """

    actor: str
    cause: Cause
    branches: Branches
    key: str | None = None
    request: bytes = b""
    if_match: int | None = None
    wait_s: float = 0.0
