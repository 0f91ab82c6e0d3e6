"""The outages of the hazards at full length: twenty seconds, and a worker frozen for longer than its session.

`make chaos ROUNDS=n` runs them; `make test` runs the same with a few seconds, in tests/integration/hazards.
"""

from __future__ import annotations

import os

import pytest

from tests.integration.hazards.test_processes import test_two_workers_fight_for_partitions_and_one_freezes
from tests.integration.hazards.test_servers import test_a_broker_that_is_away, test_databases_that_refuse_connections

__all__ = [
    "test_a_broker_that_is_away",
    "test_databases_that_refuse_connections",
    "test_two_workers_fight_for_partitions_and_one_freezes",
]
OUTAGE_S = 20.0
FREEZE_S = 12.0  # Kafka gives a silent member's partitions away after 10.
pytestmark = [
    pytest.mark.xdist_group("fire"),
    pytest.mark.skipif("OPENITEM_CHAOS_ROUNDS" not in os.environ, reason="make chaos ROUNDS=n has the full length"),
]


@pytest.fixture
def outage_s() -> float:
    return OUTAGE_S


@pytest.fixture
def freeze_s() -> float:
    return FREEZE_S
