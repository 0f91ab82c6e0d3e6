"""Are the books right after faults? Clerks at work, faults at random, and at the end of every round a full check.

`make chaos ROUNDS=50 SEED=7`. A failure prints the seed and the history of its round: the same seed draws the same work
and the same faults again, though not the same microseconds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.fire import Fire

pytestmark = pytest.mark.xdist_group("fire")
ROUNDS = int(os.environ.get("OPENITEM_CHAOS_ROUNDS", "2"))
SEED = os.environ.get("OPENITEM_CHAOS_SEED", "7")
HISTORY_MAX = 400  # Lines of a failed round that are printed.


@pytest.fixture(scope="module")
def tally(under_fire: Fire, pytestconfig: pytest.Config) -> Iterator[dict[str, int]]:
    """What the rounds came to, told at the end."""
    counts = {"rounds": 0, "faults": 0, "commands": 0, "refused": 0, "sent": 0, "unknown": 0}
    began = time.monotonic()
    yield counts
    counts |= asyncio.run(under_fire.checker.figures(under_fire.said))
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    _tell(pytestconfig, f"chaos seed {SEED}: {told} in {time.monotonic() - began:.0f} s")


@pytest.mark.parametrize("number", range(1, ROUNDS + 1))
async def test_nothing_is_lost_or_doubled_whatever_dies(
    under_fire: Fire, tally: dict[str, int], number: int, pytestconfig: pytest.Config
) -> None:
    from tests.chaos.faults import ROUND_S, make_trouble

    chance = Random(f"{SEED} {number}")
    began, counter = time.monotonic(), None
    before = len(under_fire.said.acknowledged)
    try:
        async with under_fire.at_work(f"{SEED}-{number}") as counter:
            done, _ = await asyncio.gather(make_trouble(under_fire, counter, chance), asyncio.sleep(ROUND_S))
        worked_s = time.monotonic() - began
        await under_fire.all_right()
    except (AssertionError, TimeoutError) as error:
        history = "\n".join(counter.history[-HISTORY_MAX:]) if counter else ""
        pytest.fail(f"SEED={SEED}, round {number}: {error}\n\n{history}", pytrace=False)
    commands = len(under_fire.said.acknowledged) - before
    for name, count in {"rounds": 1, "faults": done, "commands": commands}.items():
        tally[name] += count
    for name in ("refused", "sent", "unknown"):
        tally[name] += getattr(counter, name)
    took = f"{worked_s:.1f} s of work, {under_fire.took}"
    _tell(pytestconfig, f"round {number}: {done} faults, {commands} commands, {counter.unknown} unknown, {took}")


def _tell(config: pytest.Config, line: str) -> None:
    """A line for whoever looks on, whether or not the test fails."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    if reporter is None or capture is None:
        return  # One of xdist's workers: nobody looks on.
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        reporter.write_line(line)
