"""Commands over HTTP on a real Postgres."""

import asyncio
from uuid import uuid4

from services.kernel.http import unprotected
from tests.integration.payment.conftest import ACCOUNT, Desk, issued


async def test_a_receipt_pays_two_hundred_items_in_one_decision(desk: Desk) -> None:
    invoices = [issued(uuid4(), "10.00") for _ in range(200)]
    await desk.arrive(*invoices)
    receipt = await desk.receipt("2000.00")
    lines = [{"item_id": str(one.item.item_id), "amount": "10.00"} for one in invoices]
    answer = await desk.post(f"/receipts/{receipt}/applications", {"currency": "USD", "lines": lines})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["recorded"]) == 201
    assert answer.headers["ETag"] == '"2"'
    body = (await desk.get(f"/receipts/{receipt}")).json()
    assert (body["applied"], body["unapplied"], len(body["applications"])) == ("2000.00", "0.00", 200)
    assert {await desk.open_of(str(one.item.item_id)) for one in invoices[:5]} == {"0.00"}


async def test_of_two_applications_that_together_exceed_the_item_one_is_refused(desk: Desk) -> None:
    item = await desk.item("100.00")
    receipts = [await desk.receipt("70.00") for _ in range(2)]
    body = {"currency": "USD", "lines": [{"item_id": item, "amount": "70.00"}]}
    answers = await asyncio.gather(*(desk.post(f"/receipts/{receipt}/applications", body) for receipt in receipts))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    [refused] = [answer.json() for answer in answers if answer.status_code == 409]
    assert refused["code"] == "more_than_open"
    assert refused["members"]["open"] == "30.00"
    assert await desk.open_of(item) == "30.00"


async def test_of_two_applications_that_together_exceed_the_receipt_one_is_refused(desk: Desk) -> None:
    items = [await desk.item("100.00") for _ in range(2)]
    receipt = await desk.receipt("150.00")
    bodies = [{"currency": "USD", "lines": [{"item_id": item, "amount": "100.00"}]} for item in items]
    answers = await asyncio.gather(*(desk.post(f"/receipts/{receipt}/applications", body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    assert (await desk.get(f"/receipts/{receipt}")).json()["unapplied"] == "50.00"


async def test_twenty_concurrent_applications_never_take_an_item_below_nothing(desk: Desk) -> None:
    item = await desk.item("100.00")
    receipts = [await desk.receipt("15.00") for _ in range(20)]
    body = {"currency": "USD", "lines": [{"item_id": item, "amount": "15.00"}]}
    answers = await asyncio.gather(*(desk.post(f"/receipts/{receipt}/applications", body) for receipt in receipts))
    landed = sum(answer.status_code == 200 for answer in answers)
    assert {answer.json()["code"] for answer in answers if answer.status_code != 200} <= {
        "more_than_open",
        "version_conflict",
    }
    assert 1 <= landed <= 6
    assert await desk.open_of(item) == f"{100 - 15 * landed}.00"


async def test_a_returned_check_opens_what_it_had_paid(desk: Desk) -> None:
    item = await desk.item("100.00")
    receipt = await desk.receipt("100.00")
    lines = [{"item_id": item, "amount": "100.00"}]
    await desk.post(f"/receipts/{receipt}/applications", {"currency": "USD", "lines": lines})
    answer = await desk.post(f"/receipts/{receipt}/reversal", {"reason": "nsf", "reversed_on": "2025-04-15"})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["recorded"]) == {f"receipt-{receipt}", f"item-{item}"}
    assert await desk.open_of(item) == "100.00"
    body = (await desk.get(f"/receipts/{receipt}")).json()
    assert (body["reversed"], body["unapplied"], body["applied"]) == ("100.00", "0.00", "0.00")
    assert body["reversed_on"] == "2025-04-15"


async def test_a_life_of_a_receipt_through_every_command(desk: Desk) -> None:
    item = await desk.item("80.00")
    receipt = await desk.receipt("100.00", account_id=None, reference="1002")
    path = f"/receipts/{receipt}"
    assert (await desk.post(f"{path}/identification", {"account_id": str(ACCOUNT)})).status_code == 200
    lines = [{"item_id": item, "amount": "80.00"}]
    assert (await desk.post(f"{path}/applications", {"currency": "USD", "lines": lines})).status_code == 200
    undone = {"currency": "USD", "lines": [{"item_id": item, "amount": "30.00"}]}
    assert (await desk.post(f"{path}/unapplications", undone)).status_code == 200
    refund = {"amount": "50.00", "currency": "USD", "refunded_on": "2025-05-01"}
    assert (await desk.post(f"{path}/refunds", refund)).status_code == 201
    answer = await desk.get(path)
    assert answer.headers["ETag"] == '"5"'
    assert answer.json() == {
        "receipt_id": receipt,
        "branch": "CHI",
        "account_id": str(ACCOUNT),
        "method": "check",
        "reference": "1002",
        "received_on": "2025-04-10",
        "currency": "USD",
        "amount": "100.00",
        "applied": "50.00",
        "unapplied": "0.00",
        "reversed": "0.00",
        "refunded": "50.00",
        "reversed_on": None,
        "applications": [{"item_id": item, "amount": "50.00"}],
    }
    reversal = await desk.post(f"{path}/reversal", {"reason": "nsf", "reversed_on": "2025-05-02"})
    assert (reversal.status_code, reversal.json()["code"]) == (409, "receipt_refunded")


async def test_an_application_waits_for_an_item_that_arrives_meanwhile(desk: Desk) -> None:
    receipt = await desk.receipt("100.00")
    invoice = issued(uuid4(), "100.00")
    body = {"currency": "USD", "lines": [{"item_id": str(invoice.item.item_id), "amount": "100.00"}]}
    refused = await desk.post(f"/receipts/{receipt}/applications", body)
    assert (refused.status_code, refused.json()["code"]) == (404, "item_unknown")
    waiting = asyncio.create_task(desk.post(f"/receipts/{receipt}/applications", body, Prefer="wait=30"))
    reading = asyncio.create_task(desk.get(f"/items/{invoice.item.item_id}", Prefer="wait=30"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await desk.arrive(invoice)
    assert (await waiting).status_code == 200
    assert (await reading).status_code == 200
    assert await desk.open_of(str(invoice.item.item_id)) == "0.00"


async def test_the_same_key_applies_once(desk: Desk) -> None:
    item = await desk.item("100.00")
    receipt = await desk.receipt("100.00")
    body = {"currency": "USD", "lines": [{"item_id": item, "amount": "40.00"}]}
    answers = [await desk.post(f"/receipts/{receipt}/applications", body, key="k-1") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert await desk.open_of(item) == "60.00"
    other = {"currency": "USD", "lines": [{"item_id": item, "amount": "41.00"}]}
    assert (await desk.post(f"/receipts/{receipt}/applications", other, key="k-1")).status_code == 422


async def test_an_id_that_was_left_out_follows_from_the_key(desk: Desk) -> None:
    body = {"branch": "CHI", "method": "wire", "amount": "1", "currency": "USD", "received_on": "2025-04-10"}
    answers = [await desk.post("/receipts", body, key="k-2") for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert await desk.facts() == 1


async def test_another_version_than_the_one_seen_is_refused(desk: Desk) -> None:
    receipt = await desk.receipt("100.00")
    body = {"reason": "nsf", "reversed_on": "2025-04-15"}
    assert (await desk.post(f"/receipts/{receipt}/reversal", body, If_Match='"2"')).status_code == 412
    assert (await desk.post(f"/receipts/{receipt}/reversal", body, If_Match='"1"')).status_code == 200


class TestBranches:
    async def test_a_receipt_of_another_branch_is_not_there(self, desk: Desk) -> None:
        receipt = await desk.receipt("100.00", branch="DET")
        assert (await desk.get(f"/receipts/{receipt}", branches=["CHI"])).status_code == 404
        assert (await desk.get(f"/receipts/{receipt}", branches=["DET"])).status_code == 200
        body = {"reason": "nsf", "reversed_on": "2025-04-15"}
        assert (await desk.post(f"/receipts/{receipt}/reversal", body, branches=["CHI"])).status_code == 404

    async def test_an_item_of_another_branch_cannot_be_paid(self, desk: Desk) -> None:
        item = await desk.item("100.00", branch="DET")
        receipt = await desk.receipt("100.00")
        body = {"currency": "USD", "lines": [{"item_id": item, "amount": "1.00"}]}
        path = f"/receipts/{receipt}/applications"
        assert (await desk.post(path, body, branches=["CHI"])).status_code == 404
        assert (await desk.post(path, body, branches=["CHI", "DET"])).status_code == 200
        assert (await desk.get(f"/items/{item}", branches=["CHI"])).status_code == 404

    async def test_a_line_can_be_undone_without_seeing_the_branches_of_the_others(self, desk: Desk) -> None:
        here, there = await desk.item("50.00"), await desk.item("50.00", branch="DET")
        receipt = await desk.receipt("100.00")
        lines = [{"item_id": item, "amount": "50.00"} for item in (here, there)]
        await desk.post(f"/receipts/{receipt}/applications", {"currency": "USD", "lines": lines})
        path = f"/receipts/{receipt}/unapplications"
        assert (await desk.post(path, {"currency": "USD"}, branches=["CHI"])).status_code == 404
        undone = {"currency": "USD", "lines": [{"item_id": here}]}
        assert (await desk.post(path, undone, branches=["CHI"])).status_code == 200
        assert (await desk.open_of(here), await desk.open_of(there)) == ("50.00", "0.00")

    async def test_a_receipt_cannot_be_recorded_for_another_branch(self, desk: Desk) -> None:
        body = {"branch": "DET", "method": "wire", "amount": "1", "currency": "USD", "received_on": "2025-04-10"}
        assert (await desk.post("/receipts", body, branches=["CHI"])).status_code == 403
        assert await desk.facts() == 0

    async def test_every_route_asks_for_a_permission(self, desk: Desk) -> None:
        assert unprotected(desk.app) == []

    async def test_a_role_that_may_not_reverse_is_refused(self, desk: Desk) -> None:
        receipt = await desk.receipt("100.00")
        body = {"reason": "nsf", "reversed_on": "2025-04-15"}
        assert (await desk.post(f"/receipts/{receipt}/reversal", body, role="billing")).status_code == 403


class TestRequests:
    async def test_a_card_number_is_refused_and_stored_nowhere(self, desk: Desk) -> None:
        body = {
            "branch": "CHI",
            "method": "card",
            "reference": "4111-1111-1111-1111",
            "amount": "1",
            "currency": "USD",
            "received_on": "2025-04-10",
        }
        answer = await desk.post("/receipts", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "card_number_refused")
        assert "4111" not in answer.text
        assert await desk.facts() == 0

    async def test_a_member_that_nobody_knows_is_refused(self, desk: Desk) -> None:
        body = {"branch": "CHI", "method": "wire", "amount": "1", "currency": "USD", "recieved_on": "2025-04-10"}
        assert (await desk.post("/receipts", body)).json()["code"] == "invalid_request"

    async def test_every_body_has_an_example_that_its_schema_takes(self, desk: Desk) -> None:
        from services.payment.routes import bodies

        for name in ("Receipt", "Identification", "Application", "Unapplication", "Reversal", "Refund"):
            body = getattr(bodies, f"{name}Body")
            [example] = body.model_json_schema()["examples"]
            assert body.model_validate(example)
