"""Facts as a consumer hands them to a handler."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from events.codec import wire_of
from events.envelope import Envelope, Fact
from events.registry import REGISTRY
from services.kernel.delivery import Delivered
from tests.support.scenario import stream_of


def delivered(fact: Fact, version: int = 1, *, recorded_at: datetime | None = None) -> Delivered:
    """The fact with an envelope of its own; `version` says where it stands in its stream."""
    envelope = Envelope(
        event_id=uuid4(),
        type=wire_of(fact),
        source=f"/openitem/{REGISTRY.of(type(fact)).service}",
        stream=stream_of(fact),
        stream_version=version,
        seq=version,
        recorded_at=recorded_at or datetime.now(UTC),
        actor="tests",
        branch=fact.branch,
        correlation_id="c",
    )
    return Delivered(envelope, fact)
