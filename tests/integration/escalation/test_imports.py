"""What was placed, recovered and written off before this system knew of it."""

from typing import Any
from uuid import UUID

from tests.integration.escalation.conftest import ACCOUNT, ITEM, SMALL, Desk, closed

ABOUT: dict[str, Any] = {"branch": "CHI", "account_id": str(ACCOUNT), "currency": "USD"}
PLACEMENT: dict[str, Any] = ABOUT | {
    "placement_id": str(UUID(int=20)),
    "agency": "Transworld",
    "phase": "contingency",
    "item_id": str(ITEM),
    "amount": "700.00",
    "fee_bp": "3500",
    "placed_on": "2024-01-05",
}
RECOVERY: dict[str, Any] = {
    "recovery_id": str(UUID(int=30)),
    "placement_id": PLACEMENT["placement_id"],
    "recovered_from": "agency",
    "gross": "200.00",
    "currency": "USD",
    "reported_on": "2024-03-01",
}
WRITE_OFF: dict[str, Any] = ABOUT | {
    "write_off_id": str(UUID(int=50)),
    "item_id": str(SMALL),
    "amount": "20.00",
    "reason": "small_balance",
    "requested_by": "collector.1",
    "requested_on": "2024-05-01",
    "approved_by": "controller.1",
    "approved_on": "2024-05-03",
}
FILES = (("placements", [PLACEMENT]), ("recoveries", [RECOVERY]), ("write-offs", [WRITE_OFF]))


async def test_history_lands_with_its_own_dates_and_a_second_run_adds_nothing(desk: Desk) -> None:
    for kind, given in FILES:
        summary, rejected = await desk.door.import_(kind, given)
        assert (summary["landed"], rejected) == (1, []), kind
    before = await desk.door.facts()
    assert len(before) == 4
    await desk.tell(closed(ITEM), closed(SMALL), version=2)
    for kind, given in FILES:
        summary, rejected = await desk.door.import_(kind, given)
        assert (summary["on_record"], summary["landed"], rejected) == (1, 0, []), kind
    assert await desk.door.facts() == before
    shown = (await desk.door.get(f"/placements/{PLACEMENT['placement_id']}")).json()
    assert (shown["placed_on"], shown["amount"], shown["recovered"]) == ("2024-01-05", "700.00", "200.00")
    shown = (await desk.door.get(f"/write-offs/{WRITE_OFF['write_off_id']}")).json()
    assert (shown["requested_on"], shown["approved_on"], shown["state"]) == ("2024-05-01", "2024-05-03", "approved")


async def test_a_placement_of_the_past_lands_though_the_item_is_paid_by_now(desk: Desk) -> None:
    await desk.tell(closed(ITEM), version=2)
    summary, rejected = await desk.door.import_("placements", [PLACEMENT])
    assert (summary["landed"], rejected) == (1, [])


async def test_bad_rows_are_named_and_the_good_ones_land(desk: Desk) -> None:
    same_person = WRITE_OFF | {"write_off_id": str(UUID(int=51)), "approved_by": "collector.1"}
    too_much = WRITE_OFF | {"write_off_id": str(UUID(int=52)), "amount": "20.01"}
    unknown = WRITE_OFF | {"write_off_id": str(UUID(int=53)), "item_id": str(UUID(int=99))}
    summary, rejected = await desk.door.import_("write-offs", [same_person, too_much, WRITE_OFF, unknown])
    assert summary["landed"] == 1
    assert [(r["row"], r["code"]) for r in sorted(rejected, key=lambda r: int(r["row"]))] == [
        (1, "write_off_same_person"),
        (2, "write_off_above_open"),
        (4, "item_not_known"),
    ]


async def test_an_item_is_placed_once_within_one_file(desk: Desk) -> None:
    second = PLACEMENT | {"placement_id": str(UUID(int=21)), "agency": "Other"}
    summary, rejected = await desk.door.import_("placements", [PLACEMENT, second])
    assert (summary["landed"], [(r["row"], r["code"]) for r in rejected]) == (1, [(2, "item_placed")])
