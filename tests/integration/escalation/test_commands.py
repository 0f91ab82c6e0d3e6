"""Every command over HTTP, on a real Postgres."""

import asyncio
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from events.contact import DisputeOpened, DisputeResolved, PromiseBroken, PromiseMade
from services.kernel.http import unprotected
from tests.integration.escalation.conftest import ACCOUNT, DALLAS, DAY, ITEM, SMALL, Desk, opened, placement, usd

NOBODYS = str(UUID(int=99))


async def test_an_item_goes_up_the_steps_of_its_branch(desk: Desk) -> None:
    for step, label in ((1, "reminder"), (2, "statement"), (3, "demand letter")):
        answer = await desk.door.post("/steps", {"item_id": str(ITEM), "step": step, "advanced_on": "2025-05-01"})
        assert (answer.status_code, answer.headers["ETag"]) == (201, f'"{step}"')
        shown = (await desk.door.get(f"/steps/{ITEM}")).json()
        assert (shown["step"], shown["label"]) == (step, label)
    refused = await desk.door.post("/steps", {"item_id": str(ITEM), "step": 5})
    assert (refused.status_code, refused.json()["code"]) == (409, "step_out_of_order")


async def test_a_branch_may_have_a_dunning_policy_of_its_own(desk: Desk, postgres_url: str) -> None:
    database = await desk.door.store.pool.fetchval("SELECT current_database()")
    owner = await asyncpg.connect(postgres_url.rpartition("/")[0] + f"/{database}")
    await owner.execute("INSERT INTO dunning_step VALUES ('CHI', 1, 'friendly call')")
    await owner.close()
    assert (await desk.door.post("/steps", {"item_id": str(ITEM)})).status_code == 201
    assert (await desk.door.get(f"/steps/{ITEM}")).json()["label"] == "friendly call"
    assert (await desk.door.post("/steps", {"item_id": str(ITEM)})).json()["code"] == "step_beyond_policy"


async def test_an_account_is_held_and_released_by_another_permission(desk: Desk) -> None:
    collector = desk.door.as_("collector.1", "collector")
    body = {"account_id": str(ACCOUNT), "reason": "past_due", "placed_on": "2025-06-01"}
    assert (await collector.post("/holds", body)).status_code == 201
    assert (await collector.post(f"/holds/{ACCOUNT}/release", {})).status_code == 403
    manager = desk.door.as_("manager.1", "branch_manager", ["CHI"])
    assert (await manager.post(f"/holds/{ACCOUNT}/release", {"released_on": "2025-06-09"})).status_code == 200
    shown = (await desk.door.get(f"/holds/{ACCOUNT}")).json()
    assert (shown["on_hold"], shown["released_by"], shown["released_on"]) == (False, "manager.1", "2025-06-09")


async def test_a_placement_from_hand_over_to_closure(desk: Desk) -> None:
    placement_id = await desk.place(ITEM, SMALL)
    recovery = {"gross": "400.01", "currency": "USD", "reported_on": "2025-08-01"}
    assert (await desk.door.post(f"/placements/{placement_id}/recoveries", recovery)).status_code == 201
    closure = {"outcome": "settled", "closed_on": "2025-09-01"}
    assert (await desk.door.post(f"/placements/{placement_id}/closure", closure)).status_code == 200
    shown = (await desk.door.get(f"/placements/{placement_id}")).json()
    assert (shown["state"], shown["amount"], shown["recovered"]) == ("closed", "920.00", "400.01")
    assert [i["amount"] for i in shown["items"]] == ["900.00", "20.00"]
    assert await desk.recoveries(placement_id) == [("agency", "400.01", "140.00", "260.01")]
    recall = await desk.door.post(f"/placements/{placement_id}/recall", {"reason": "error"})
    assert (recall.status_code, recall.json()["code"]) == (409, "placement_ended")


async def test_an_item_comes_back_from_a_recall_and_can_be_placed_again(desk: Desk) -> None:
    first = await desk.place(ITEM)
    again = await desk.door.post("/placements", placement(ITEM, agency="Other"))
    assert (again.status_code, again.json()["code"]) == (409, "item_placed")
    await desk.door.post(f"/placements/{first}/recall", {"reason": "customer_service", "recalled_on": "2025-07-20"})
    await desk.place(ITEM, agency="Other", placed_on="2025-07-21")


async def test_of_many_at_once_one_agency_gets_the_item(desk: Desk) -> None:
    bodies = [placement(ITEM, SMALL, agency=f"Agency {n}") for n in range(6)]
    answers = await asyncio.gather(*(desk.door.post("/placements", body) for body in bodies))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 5
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"item_placed"}


async def test_nothing_is_placed_that_is_contested_or_promised(desk: Desk) -> None:
    dispute, promise = UUID(int=70), UUID(int=71)
    about: dict[str, Any] = {"branch": "CHI", "effective_on": DAY, "account_id": ACCOUNT}
    await desk.tell(DisputeOpened(dispute_id=dispute, item_id=ITEM, amount=usd(1), reason="PRC", **about))
    assert (await desk.door.post("/placements", placement())).json()["code"] == "item_disputed"
    resolved = DisputeResolved(
        dispute_id=dispute, item_id=ITEM, amount=usd(1), outcome="rejected", upheld=usd(0), **about
    )
    promised: dict[str, Any] = {"promise_id": promise, "amount": usd(1), "promised_on": date(2025, 7, 9)}
    made = PromiseMade(item_ids=(ITEM, SMALL), grace_days=3, threshold_pct=100, **about, **promised)
    await desk.tell(resolved, made)
    assert (await desk.door.post("/placements", placement())).json()["code"] == "item_promised"
    assert (await desk.door.post("/steps", {"item_id": str(ITEM)})).json()["code"] == "item_promised"
    await desk.tell(PromiseBroken(paid=usd(0), reason="not_paid", **about, **promised), version=2)
    await desk.tell(made)  # A repeat of what ended does not bring it back.
    await desk.place(ITEM)


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/placements", placement(SMALL), 409, "placement_below_minimum"),
        ("/placements", placement(ITEM, DALLAS), 409, "item_of_another_branch"),
        ("/placements", placement(account_id=NOBODYS), 409, "item_of_another_account"),
        ("/placements", placement(UUID(int=99)), 404, "item_not_known"),
        ("/placements", placement(flat_fee="10.00"), 422, "placement_fee_invalid"),
        ("/placements", placement(placed_on="9999-12-31"), 422, "escalation_date_out_of_range"),
        ("/holds", {"account_id": NOBODYS, "reason": "nsf"}, 404, "account_not_known"),
        (f"/holds/{ACCOUNT}/release", {}, 409, "hold_not_placed"),
        (f"/placements/{NOBODYS}/recall", {"reason": "error"}, 404, "placement_not_placed"),
        ("/write-offs", {"item_id": str(ITEM), "amount": "900.01", "reason": "other"}, 409, "write_off_above_open"),
        ("/write-offs", {"item_id": str(ITEM), "amount": "0", "reason": "other"}, 422, "write_off_not_positive"),
        (f"/write-offs/{NOBODYS}/approval", {}, 404, "write_off_not_requested"),
        ("/steps", {"item_id": str(ITEM), "step": 0}, 422, "invalid_request"),
    ],
)
async def test_what_is_refused_says_why(desk: Desk, path: str, body: dict[str, Any], status: int, code: str) -> None:
    answer = await desk.door.post(path, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_write_off_takes_two_persons(desk: Desk) -> None:
    one, two = desk.door.as_("controller.1", "controller"), desk.door.as_("controller.2", "controller")
    body = {"item_id": str(SMALL), "reason": "small_balance", "requested_on": "2025-07-01"}
    requested = await one.post("/write-offs", body)
    write_off = f"/write-offs/{requested.json()['write_off_id']}"
    refused = await one.post(f"{write_off}/approval", {})
    assert (refused.status_code, refused.json()["code"]) == (403, "write_off_same_person")
    assert (await two.post(f"{write_off}/approval", {"approved_on": "2025-07-02"})).status_code == 200
    shown = (await desk.door.get(write_off)).json()
    assert (shown["state"], shown["amount"], shown["approved_by"]) == ("approved", "20.00", "controller.2")
    assert (await one.post(f"{write_off}/reversal", {"reversed_on": "2025-07-03"})).status_code == 200
    assert (await two.post(f"{write_off}/rejection", {"because": "other"})).json()[
        "code"
    ] == "write_off_already_decided"
    assert [f[2] for f in await desk.door.facts()] == [
        "openitem.escalation.write_off_requested.v1",
        "openitem.escalation.write_off_approved.v1",
        "openitem.escalation.write_off_reversed.v1",
    ]


async def test_of_two_who_decide_at_once_one_does(desk: Desk) -> None:
    requested = await desk.door.as_("collector.1", "collector").post(
        "/write-offs", {"item_id": str(ITEM), "reason": "uncollectable"}
    )
    write_off = f"/write-offs/{requested.json()['write_off_id']}"
    judges = [desk.door.as_(f"controller.{n}", "controller") for n in range(4)]
    approvals = [judge.post(f"{write_off}/approval", {}) for judge in judges[:2]]
    rejections = [judge.post(f"{write_off}/rejection", {"because": "collectable"}) for judge in judges[2:]]
    answers = await asyncio.gather(*approvals, *rejections)
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409]


async def test_a_collector_may_request_but_not_approve(desk: Desk) -> None:
    collector = desk.door.as_("collector.1", "collector")
    requested = await collector.post("/write-offs", {"item_id": str(ITEM), "reason": "uncollectable"})
    assert requested.status_code == 201
    approval = f"/write-offs/{requested.json()['write_off_id']}/approval"
    assert (await collector.post(approval, {})).status_code == 403


async def test_the_same_key_replays_the_answer(desk: Desk) -> None:
    first = await desk.door.post("/placements", placement(), "once")
    again = await desk.door.post("/placements", placement(), "once")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["placement_id"] == again.json()["placement_id"]
    assert len(await desk.door.facts()) == 1


async def test_a_command_waits_for_an_item_that_is_about_to_arrive(desk: Desk) -> None:
    body = {"item_id": NOBODYS, "reason": "other"}
    waiting = asyncio.create_task(desk.door.post("/write-offs", body, Prefer="wait=30"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await desk.tell(opened(UUID(NOBODYS), 5_00))
    assert (await waiting).status_code == 201


async def test_other_branches_are_neither_seen_nor_written(desk: Desk) -> None:
    placement_id = await desk.place(ITEM)
    dallas = desk.door.as_("collector.dal", "controller", ["DAL"])
    assert (await dallas.get(f"/placements/{placement_id}")).status_code == 404
    assert (await dallas.post(f"/placements/{placement_id}/recall", {"reason": "error"})).status_code == 404
    assert (await dallas.post("/steps", {"item_id": str(ITEM)})).json()["code"] == "item_not_known"
    assert (await dallas.post("/holds", {"account_id": str(ACCOUNT), "reason": "nsf"})).status_code == 404
    assert (await dallas.post("/steps", {"item_id": str(DALLAS)})).status_code == 201


def test_every_route_names_a_permission(desk: Desk) -> None:
    assert unprotected(desk.door.app) == []
