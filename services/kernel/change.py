"""What is to be appended: facts by stream, and the same as the arrays that the SQL function `append` takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

from events import codec
from events.envelope import Fact
from services.kernel.errors import Forbidden, Kind, Refused
from services.kernel.meta import Cause, Meta

# Refused here, where somebody is told: in the outbox it would stop the log. Leaves room for headers below 1 MiB, what
# Kafka brokers and clients take unless they are told otherwise.
FACT_BYTES_MAX: Final = 900_000


@dataclass(frozen=True, slots=True)
class Change:
    """Facts to append to one stream that was loaded at version `expected`.

    `causes` says of each fact what led to it, where that is not the command's own `Meta`: a batch carries out commands
    that different facts caused.
    """

    stream: str
    expected: int
    facts: Sequence[Fact]
    causes: Sequence[Cause] | None = None


class FactTooLarge(Refused):
    """A fact has more bytes than one Kafka record can carry to every subscriber. Nothing was recorded."""

    code = "fact_too_large"
    kind = Kind.TOO_LARGE


class Columns(NamedTuple):
    """The facts of a decision as the arrays that `append` takes."""

    stream: Sequence[int]
    version: Sequence[int]
    type: Sequence[str]
    branch: Sequence[str]
    effective_on: Sequence[date]
    data: Sequence[str]
    correlation_id: Sequence[str]
    causation_id: Sequence[str | None]
    traceparent: Sequence[str | None]

    @classmethod
    def of(cls, changes: Sequence[Change], meta: Meta) -> Columns:
        """Errors: Forbidden (a fact of a branch the caller has no part in), FactTooLarge."""
        rows: list[tuple[Any, ...]] = []  # Turned at the end: an append per fact, not nine.
        for at, change in enumerate(changes, start=1):
            causes = change.causes or [meta.cause] * len(change.facts)
            version = change.expected
            for fact, cause in zip(change.facts, causes, strict=True):
                version += 1
                if fact.branch not in meta.branches:
                    raise Forbidden("not in your branches", branch=fact.branch)
                data = codec.encode(fact)
                if len(data) > FACT_BYTES_MAX:
                    raise FactTooLarge("too large to be published", bytes=len(data), bytes_max=FACT_BYTES_MAX)
                wire = codec.wire_of(fact)
                led = (cause.correlation_id, cause.causation_id, cause.traceparent)
                rows.append((at, version, wire, fact.branch, fact.effective_on, data.decode(), *led))
        return cls(*zip(*rows, strict=True)) if rows else cls(*[()] * len(cls._fields))
