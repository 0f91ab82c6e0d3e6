"""What tests of the contract start from."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from events.envelope import Envelope


@pytest.fixture
def envelope() -> Envelope:
    """What surrounds some fact."""
    return Envelope(
        event_id=UUID("018f3b1c-6d2a-7c33-9d11-3f5a7a3f2b10"),
        type="openitem.payment.received.v1",
        source="/openitem/payment",
        stream="receipt-1",
        stream_version=1,
        seq=7,
        recorded_at=datetime(2026, 3, 2, 14, 5, 33, 250_000, tzinfo=UTC),
        actor="m.ortiz",
        branch="CHI",
        correlation_id="request-1",
    )
