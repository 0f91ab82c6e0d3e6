"""Every command over HTTP, on a real Postgres."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.kernel.http import unprotected
from tests.integration.contact.conftest import (
    ACCOUNT,
    DALLAS,
    A,
    B,
    Topics,
    account,
    attempt,
    dispute,
    follow_up,
    issued,
    make,
    promise,
    seen,
)
from tests.support.front_door import FrontDoor


def test_every_route_names_the_permission_it_needs() -> None:
    from services.contact.app import build
    from services.kernel.settings import Settings

    settings = Settings(service="contact", postgres="postgresql://nowhere/x", kafka="x:1", jwks="keys.json", issuer="i")
    app = build(settings)
    assert unprotected(app) == []
    document = app.openapi()
    commands = [
        (path, operation["post"])
        for path, operation in document["paths"].items()
        if "post" in operation and not path.startswith("/imports")
    ]
    assert len(commands) == 9
    for path, operation in commands:
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
        assert document["components"]["schemas"][reference]["examples"], path


async def test_an_attempt_is_logged_and_read(door: FrontDoor) -> None:
    logged = await door.post("/attempts", attempt())
    assert (logged.status_code, logged.headers["ETag"]) == (201, '"1"')
    attempt_id = logged.json()["attempt_id"]
    assert logged.json()["recorded"] == {f"attempt-{attempt_id}": 1}
    assert (await door.get(f"/attempts/{attempt_id}")).json() == {
        "attempt_id": attempt_id,
        "branch": "CHI",
        "account_id": str(ACCOUNT),
        "channel": "call",
        "outcome": "reached",
        "item_ids": [str(A)],
        "attempted_on": "2026-03-02",
        "person_id": None,
        "note_id": None,
    }


async def test_a_promise_from_being_made_to_its_ends(door: FrontDoor) -> None:
    first = await make(door, threshold_pct=90, grace_days=0)
    answer = (await door.get(f"/promises/{first}")).json()
    assert (answer["status"], answer["amount"], answer["paid"], answer["due_on"]) == (
        "open",
        "500.00",
        "0.00",
        "2026-03-13",
    )
    kept = await door.post(f"/promises/{first}/kept", {"kept_on": "2026-03-12"})
    assert (kept.status_code, kept.headers["ETag"]) == (200, '"2"')
    assert await seen(door, first) == ("kept", "0.00", "2026-03-12", None)

    second = await make(door)
    assert (await door.post(f"/promises/{second}/broken", {"broken_on": "2026-03-05"})).status_code == 200
    assert await seen(door, second) == ("broken", "0.00", "2026-03-05", "not_paid")
    refused = await door.post(f"/promises/{second}/kept", {"kept_on": "2026-03-12"})
    assert (refused.status_code, refused.json()["code"]) == (409, "promise_already_ended")

    third = await make(door)
    cancelled = await door.post(
        f"/promises/{third}/cancellation", {"reason": "withdrawn", "cancelled_on": "2026-03-05"}
    )
    assert cancelled.status_code == 200
    assert await seen(door, third) == ("cancelled", "0.00", "2026-03-05", "withdrawn")


async def test_a_newer_promise_cancels_the_one_it_renegotiates_in_the_same_decision(door: FrontDoor) -> None:
    older = await make(door, item_ids=[str(A), str(B)])
    newer = await door.post("/promises", promise(made_on="2026-03-10", promised_on="2026-03-20"))
    assert newer.json()["recorded"] == {f"promise-{newer.json()['promise_id']}": 1, f"promise-{older}": 2}
    assert await seen(door, older) == ("cancelled", "0.00", "2026-03-10", "renegotiated")


async def test_a_dispute_is_opened_and_resolved(door: FrontDoor) -> None:
    opened = await door.post("/disputes", dispute(owner="maria"))
    assert opened.status_code == 201
    dispute_id = opened.json()["dispute_id"]
    body = {"outcome": "partly_upheld", "upheld": "100.00", "currency": "USD", "resolved_on": "2026-03-20"}
    assert (await door.post(f"/disputes/{dispute_id}/resolution", body)).status_code == 200
    answer = (await door.get(f"/disputes/{dispute_id}")).json()
    assert (answer["status"], answer["outcome"], answer["upheld"]) == ("resolved", "partly_upheld", "100.00")
    assert (answer["resolved_on"], answer["owner"], answer["reason"]) == ("2026-03-20", "maria", "PRC")


async def test_disputes_of_an_item_contest_no_more_than_is_open_on_it(door: FrontDoor) -> None:
    first = await door.post("/disputes", dispute(amount="600.00"))
    refused = await door.post("/disputes", dispute(amount="400.01"))
    assert (refused.status_code, refused.json()["code"]) == (409, "dispute_above_open")
    assert refused.json()["members"]["contested"] == {"minor": 600_00, "currency": "USD"}
    body = {"outcome": "rejected", "resolved_on": "2026-03-20"}
    await door.post(f"/disputes/{first.json()['dispute_id']}/resolution", body)
    assert (await door.post("/disputes", dispute(amount="400.01"))).status_code == 201


async def test_of_disputes_opened_at_the_same_moment_only_as_many_land_as_fit(door: FrontDoor) -> None:
    answers = await asyncio.gather(*(door.post("/disputes", dispute(amount="400.00")) for _ in range(6)))
    assert sorted(a.status_code for a in answers) == [201, 201, 409, 409, 409, 409]


async def test_of_promises_made_at_the_same_moment_one_stays(door: FrontDoor) -> None:
    ids = await asyncio.gather(*(make(door) for _ in range(5)))
    statuses = sorted([(await seen(door, promise_id))[0] for promise_id in ids])
    assert statuses == ["cancelled"] * 4 + ["open"]


async def test_a_follow_up_is_scheduled_and_done_by_an_attempt(door: FrontDoor) -> None:
    scheduled = await door.post("/follow-ups", follow_up())
    follow_up_id = scheduled.json()["follow_up_id"]
    done = {"attempt_id": str(uuid4()), "done_on": "2026-03-13"}
    refused = await door.post(f"/follow-ups/{follow_up_id}/done", done)
    assert (refused.status_code, refused.json()["code"]) == (422, "attempt_not_known")
    attempt_id = (await door.post("/attempts", attempt())).json()["attempt_id"]
    finished = await door.post(f"/follow-ups/{follow_up_id}/done", done | {"attempt_id": attempt_id})
    assert (finished.status_code, finished.headers["ETag"]) == (200, '"2"')
    answer = (await door.get(f"/follow-ups/{follow_up_id}")).json()
    assert (answer["due_on"], answer["done_on"], answer["attempt_id"]) == ("2026-03-13", "2026-03-13", attempt_id)


async def test_the_same_key_replays_the_answer_and_another_request_under_it_is_refused(door: FrontDoor) -> None:
    for path, body, other in (
        ("/attempts", attempt(note="spoke to them"), attempt(outcome="no_answer")),
        ("/promises", promise(item_ids=[str(B)]), promise(amount="1.00")),
        ("/disputes", dispute(), dispute(amount="1.00")),
        ("/follow-ups", follow_up(), follow_up(owner="ron")),
    ):
        key = uuid4().hex
        first = await door.post(path, body, key)
        assert first.status_code == 201, first.text
        again = await door.post(path, body, key)
        assert (again.status_code, again.json()) == (201, first.json())
        refused = await door.post(path, other, key)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


async def test_the_same_id_and_values_under_another_key_add_nothing(door: FrontDoor) -> None:
    given = str(uuid4())
    for path, body in (
        ("/attempts", attempt(attempt_id=given, note="once")),
        ("/promises", promise(promise_id=given)),
        ("/disputes", dispute(dispute_id=given)),
        ("/follow-ups", follow_up(follow_up_id=given)),
    ):
        assert (await door.post(path, body)).json()["position"]
        before = await door.facts()
        again = await door.post(path, body)
        assert (again.status_code, again.json()["position"]) == (201, None)
        assert await door.facts() == before


async def test_if_match_holds_a_command_against_the_version_its_sender_saw(door: FrontDoor) -> None:
    promise_id = await make(door)
    stale = await door.post(f"/promises/{promise_id}/kept", {"kept_on": "2026-03-12"}, If_Match='"2"')
    assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
    fresh = await door.post(f"/promises/{promise_id}/kept", {"kept_on": "2026-03-12"}, If_Match='"1"')
    assert fresh.status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        ("/attempts", attempt(channel="letter", outcome="no_answer"), 422, "attempt_outcome_impossible", "outcome"),
        ("/attempts", attempt(item_ids=[str(DALLAS)]), 422, "contact_item_of_other_account", "item_ids"),
        ("/attempts", attempt(item_ids=[], account_id=str(UUID(int=99))), 404, "account_not_known", "account_id"),
        ("/promises", promise(item_ids=[str(UUID(int=99))]), 404, "item_not_known", "item_ids"),
        ("/promises", promise(amount="1000.01"), 409, "promise_above_open", "amount"),
        ("/promises", promise(amount="0.00"), 422, "contact_amount_not_positive", "amount"),
        ("/promises", promise(currency="EUR"), 422, "contact_currency_differs", "currency"),
        ("/promises", promise(promised_on="2026-03-01"), 422, "promise_date_before_made", "promised_on"),
        ("/disputes", dispute(amount="1.001"), 422, "amount_invalid", "amount"),
        ("/disputes", dispute(account_id=str(UUID(int=2))), 422, "contact_item_of_other_account", "account_id"),
        ("/follow-ups", follow_up(due_on="2026-03-01"), 422, "follow_up_due_before_scheduled", "due_on"),
    ],
)
async def test_a_refusal_has_its_status_its_code_and_the_field_at_fault(
    door: FrontDoor, path: str, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    refused = await door.post(path, body)
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (status, code, field), refused.text
    assert await door.facts() == []


@pytest.mark.parametrize("body", [attempt(attempted_on="2999-01-01"), attempt(typo=1), attempt(note="")])
async def test_a_day_to_come_a_misspelt_member_and_an_empty_note_are_refused(
    door: FrontDoor, body: dict[str, Any]
) -> None:
    assert (await door.post("/attempts", body)).status_code == 422


async def test_a_command_waits_for_an_item_that_is_just_arriving(empty: FrontDoor, topics: Topics) -> None:
    await topics.deliver(account())
    assert (await empty.post("/attempts", attempt())).status_code == 404
    waiting = asyncio.create_task(empty.post("/attempts", attempt(), Prefer="wait=30"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await topics.deliver(*issued(A))
    assert (await waiting).status_code == 201


async def test_a_caller_of_another_branch_neither_sees_nor_touches_what_is_not_his(door: FrontDoor) -> None:
    promise_id = await make(door)
    dallas = door.as_("dora", "collector", ["DAL"])
    for path, body in (("/promises", promise()), ("/disputes", dispute()), ("/attempts", attempt())):
        refused = await dallas.post(path, body)
        assert (refused.status_code, refused.json()["code"]) == (404, "item_not_known")
    assert (await dallas.get(f"/promises/{promise_id}")).status_code == 404
    kept = await dallas.post(f"/promises/{promise_id}/kept", {"kept_on": "2026-03-12"})
    assert (kept.status_code, kept.json()["code"]) == (404, "not_found")
    own = await dallas.post("/disputes", dispute(item_id=str(DALLAS)))
    assert own.status_code == 201
    assert (await dallas.get(f"/disputes/{own.json()['dispute_id']}")).json()["branch"] == "DAL"


async def test_roles_may_do_what_they_may_and_no_more(door: FrontDoor) -> None:
    desk = door.as_("sam", "service_desk", ["CHI"])
    assert (await desk.post("/attempts", attempt())).status_code == 201
    assert (await desk.post("/follow-ups", follow_up())).status_code == 201
    assert (await desk.post("/promises", promise())).json()["code"] == "forbidden"
    assert (await desk.post("/disputes", dispute())).json()["code"] == "forbidden"
    auditor = door.as_("ada", "auditor")
    assert (await auditor.post("/attempts", attempt())).status_code == 403
