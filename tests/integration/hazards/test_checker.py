"""Does the checker see what it is there to see? A proof that cannot fail proves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.support.patience import until

if TYPE_CHECKING:
    from tests.support.fire import Fire

pytestmark = pytest.mark.xdist_group("fire")
RECEIVED = "openitem.payment.received.v1"
MOVE = """
UPDATE live.open_item SET open_minor = open_minor + $1, total_minor = total_minor + $1 WHERE item_id = $2
"""


async def test_a_row_that_is_off_a_lost_command_and_one_nobody_asked_for_are_seen(under_fire: Fire) -> None:
    from services.kernel.settings import database_url
    from tests.support.said import Acknowledged, Said

    async def received() -> bool:
        return any(each.type == RECEIVED for each in under_fire.said.acknowledged)

    async with under_fire.at_work("seen"):
        await until(received)
    await under_fire.all_right()

    owner = await asyncpg.connect(database_url(under_fire.postgres, "projections"))
    item = await owner.fetchval("SELECT item_id FROM live.open_item WHERE kind = 'invoice' LIMIT 1")
    await owner.execute(MOVE, 1, item)
    found = await under_fire.checker.problems(under_fire.said)
    await owner.execute(MOVE, -1, item)
    await owner.close()
    assert any(line.startswith("read model open_item has") for line in found)
    assert any(line.startswith("law items") for line in found)

    real = next(each for each in under_fire.said.acknowledged if each.type == RECEIVED)
    lost = Acknowledged("payment", "chk-never-sent", real.type, {})
    found = await under_fire.checker.problems(Said([lost]))
    assert "payment: chk-never-sent (openitem.payment.received.v1) has 0 facts, 0 answers" in found
    assert any("is nobody's" in line for line in found), "nobody knows of the others now"
    await under_fire.all_right()
