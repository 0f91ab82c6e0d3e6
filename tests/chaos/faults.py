"""What can go wrong, drawn from a seed: which program, what happens to it, when, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from random import Random
from typing import Any, Final

from services.kernel.transient import TRANSIENT
from tests.support.counter import Counter
from tests.support.fire import SERVERS, Fire

ROUND_S: Final = 8.0  # How long the clerks work in a round; what is broken in it is mended by the end.
FAULTS_MAX: Final = 4  # In a round. Each takes seconds to recover from, and the next comes before that.
FREEZE_S_MAX: Final = 4.0
AWAY_S_MAX: Final = 4.0

Fault = Callable[[Fire, Random], tuple[str, Coroutine[Any, Any, None]]]


def kill_a_process(fire: Fire, chance: Random) -> tuple[str, Coroutine[Any, Any, None]]:
    name = chance.choice([name for name in fire.programs if name not in SERVERS])
    return f"kill -9 {name}", _at_once(lambda: fire.kill(name))


def kill_a_server(fire: Fire, chance: Random) -> tuple[str, Coroutine[Any, Any, None]]:
    name = chance.choice(SERVERS)
    return f"kill -9 {name}", _at_once(lambda: fire.kill(name))


def restart_a_process(fire: Fire, chance: Random) -> tuple[str, Coroutine[Any, Any, None]]:
    name = chance.choice([name for name in fire.programs if name not in SERVERS])
    return f"SIGTERM {name}, start", fire.restart(name)


def freeze_a_process(fire: Fire, chance: Random) -> tuple[str, Coroutine[Any, Any, None]]:
    name, seconds = chance.choice(fire.programs), chance.uniform(0.5, FREEZE_S_MAX)
    return f"freeze {name} for {seconds:.1f} s", fire.freeze(name, seconds)


def throw_everybody_out(fire: Fire, _chance: Random) -> tuple[str, Coroutine[Any, Any, None]]:
    return "end every database session", fire.throw_out()


def refuse_connections(fire: Fire, chance: Random) -> tuple[str, Coroutine[Any, Any, None]]:
    service, seconds = (
        chance.choice(["invoice", "payment", "contact", "escalation", "projections"]),
        chance.uniform(1, 4),
    )

    async def refuse() -> None:
        async with fire.refusing_connections(service):
            await asyncio.sleep(seconds)

    return f"database of {service} closed for {seconds:.1f} s", refuse()


def take_the_broker_away(fire: Fire, chance: Random) -> tuple[str, Coroutine[Any, Any, None]]:
    seconds = chance.uniform(0.5, AWAY_S_MAX)

    async def away() -> None:
        await fire.stop("kafka")
        await asyncio.sleep(seconds)
        await fire.start("kafka")

    return f"kafka stopped for {seconds:.1f} s", away()


FAULTS: Final[dict[Fault, int]] = {
    kill_a_process: 6,
    restart_a_process: 3,
    kill_a_server: 3,
    freeze_a_process: 2,
    throw_everybody_out: 1,
    refuse_connections: 1,
    take_the_broker_away: 1,
}


async def make_trouble(fire: Fire, counter: Counter, chance: Random) -> int:
    """Faults at random moments of a round, side by side; answers how many there were, when all are over."""
    count = chance.randint(1, FAULTS_MAX)
    moments = sorted(chance.uniform(0.5, ROUND_S - 1) for _ in range(count))
    kinds = chance.choices(list(FAULTS), list(FAULTS.values()), k=count)
    drawn = [(moment, *kind(fire, chance)) for moment, kind in zip(moments, kinds, strict=True)]
    await asyncio.gather(*(_at(moment, what, fault, counter) for moment, what, fault in drawn))
    return count


async def _at(moment: float, what: str, fault: Coroutine[Any, Any, None], counter: Counter) -> None:
    await asyncio.sleep(moment)
    counter.note(f"FAULT {what}")
    # A server that another fault has taken away cannot be asked to close its doors: it is closed as it is.
    with suppress(*TRANSIENT):
        await fault
    counter.note(f"OVER  {what}")


async def _at_once(act: Callable[[], None]) -> None:
    act()
