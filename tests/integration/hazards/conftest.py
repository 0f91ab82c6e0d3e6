"""How long outages last: short in CI; `OPENITEM_OUTAGE_S=20` for the full length."""

from __future__ import annotations

import os

import pytest

OUTAGE_S = float(os.environ.get("OPENITEM_OUTAGE_S", "4"))
SESSION_S = 10.0  # Kafka gives a silent member's partitions away after so long.


@pytest.fixture
def outage_s() -> float:
    return OUTAGE_S


@pytest.fixture
def freeze_s() -> float:
    """Shorter than the session in CI, longer in a full run: then the partitions have gone to another."""
    return OUTAGE_S if OUTAGE_S < SESSION_S else SESSION_S + 2
