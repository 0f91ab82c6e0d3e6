"""How long outages last here: long enough to be one. tests/chaos has the same at full length."""

from __future__ import annotations

import pytest


@pytest.fixture
def outage_s() -> float:
    return 4.0


@pytest.fixture
def freeze_s() -> float:
    return 4.0
