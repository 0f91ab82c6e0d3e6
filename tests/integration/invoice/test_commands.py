"""Every command over HTTP, on a real Postgres."""

import asyncio
from uuid import UUID

import pytest

from services.kernel.http import unprotected
from tests.integration.invoice.conftest import ACCOUNT, INVOICE, invoice
from tests.support.front_door import FrontDoor

NEW = {"branch": "DAL", "number": "A-9", "currency": "USD"}


async def test_an_invoice_from_issue_to_void(door: FrontDoor) -> None:
    issued = await door.post("/invoices", invoice())
    assert (issued.status_code, issued.headers["ETag"]) == (201, '"1"')
    assert issued.json()["recorded"] == {f"invoice-{INVOICE}": 1}
    assert issued.headers["Openitem-Position"] == f"invoice-{INVOICE}@1"

    body = {"currency": "USD", "amount": "200.00", "reason": "price", "issued_on": "2025-04-01"}
    credited = await door.post(f"/invoices/{INVOICE}/credit-notes", body)
    assert (credited.status_code, credited.headers["ETag"]) == (201, '"2"')
    release = {"currency": "USD", "amount": "40.00", "released_on": "2025-06-01"}
    released = await door.post(f"/invoices/{INVOICE}/retainage-releases", release)
    assert released.status_code == 201

    seen = (await door.get(f"/invoices/{INVOICE}")).json()
    assert (seen["due_on"], seen["terms"], seen["state"], seen["version"]) == ("2025-04-02", "net 30", "issued", 3)
    assert (seen["billed"], seen["credited"], seen["withheld"]) == ("900.00", "200.00", "60.00")
    assert [c["number"] for c in seen["credit_notes"]] == ["4711/C1"]
    [shown] = seen["retainage_releases"]
    assert shown == {
        "release_id": released.json()["release_id"],
        "number": "4711/R1",
        "released_on": "2025-06-01",
        "due_on": "2025-07-01",
        "amount": "40.00",
    }

    voided = await door.post(f"/invoices/{INVOICE}/void", {"reason": "duplicate", "voided_on": "2025-07-01"})
    assert (voided.status_code, voided.headers["ETag"]) == (200, '"4"')
    assert (await door.get(f"/invoices/{INVOICE}")).json()["state"] == "void"
    refused = await door.post(f"/invoices/{INVOICE}/credit-notes", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "invoice_void")


async def test_an_account_is_opened_changed_and_read(door: FrontDoor) -> None:
    changed = await door.post(f"/accounts/{ACCOUNT}/changes", {"terms_days": 45, "collector": "collector.2"})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    seen = (await door.get(f"/accounts/{ACCOUNT}")).json()
    assert (seen["terms_days"], seen["collector"], seen["name"]) == (45, "collector.2", "Granite Builders")
    assert (seen["opened_on"], seen["version"]) == ("2025-01-02", 2)
    await door.post(f"/accounts/{ACCOUNT}/changes", {"collector": None})
    assert (await door.get(f"/accounts/{ACCOUNT}")).json()["collector"] is None


async def test_the_same_key_replays_the_answer_and_another_request_under_it_is_refused(door: FrontDoor) -> None:
    first = await door.post("/invoices", invoice(), "once")
    again = await door.post("/invoices", invoice(), "once")
    assert (again.status_code, again.json()) == (
        first.status_code,
        first.json() | {"position": again.json()["position"]},
    )
    other = await door.post("/invoices", invoice(total="1.00", tax="0", retainage="0"), "once")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len([f for f in await door.facts() if f[0].startswith("invoice-")]) == 1


async def test_an_id_that_is_left_out_follows_from_the_key(door: FrontDoor) -> None:
    body = invoice()
    del body["invoice_id"]
    first = await door.post("/invoices", body, "mine")
    assert first.json()["recorded"] == {f"invoice-{first.json()['invoice_id']}": 1}
    assert (await door.post("/invoices", body, "mine")).json()["invoice_id"] == first.json()["invoice_id"]


async def test_if_match_guards_against_what_the_caller_did_not_see(door: FrontDoor) -> None:
    await door.post("/invoices", invoice())
    stale = await door.post(f"/invoices/{INVOICE}/void", {"reason": "other"}, If_Match='"7"')
    assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
    assert (await door.post(f"/invoices/{INVOICE}/void", {"reason": "other"}, If_Match='"1"')).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        ("/branches", {"branch": "NYC", "name": "New York", "timezone": "Gotham"}, 422, "timezone_unknown", "timezone"),
        ("/branches", {"branch": "nyc", "name": "New York"}, 422, "invalid_request", "branch"),
        ("/accounts", NEW | {"name": "Jo Roe"}, 422, "person_name_not_allowed", "name"),
        ("/accounts", NEW | {"branch": "NYC"}, 404, "branch_not_registered", "branch"),
        ("/accounts", NEW | {"number": "A-1"}, 409, "account_number_taken", "number"),
        ("/invoices", invoice(total="0"), 422, "total_not_positive", "total"),
        ("/invoices", invoice(total="1.005"), 422, "amount_invalid", "total"),
        ("/invoices", invoice(currency="CAD"), 422, "account_currency_differs", "currency"),
        ("/invoices", invoice(account_id=str(UUID(int=77))), 404, "account_not_open", "account_id"),
        ("/invoices", invoice(colour="red"), 422, "invalid_request", "colour"),
        ("/invoices", invoice(issued_on="9999-12-31"), 422, "date_out_of_range", "issued_on"),
        (f"/invoices/{INVOICE}/void", {"reason": "other"}, 404, "invoice_not_issued", "invoice_id"),
    ],
)  # fmt: skip
async def test_what_is_refused_says_why(
    door: FrontDoor, path: str, body: dict[str, object], status: int, code: str, field: str
) -> None:
    answer = await door.post(path, body)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (status, code, field)


async def test_a_number_is_its_branchs_alone(door: FrontDoor) -> None:
    await door.post("/invoices", invoice())
    again = await door.post("/invoices", invoice(invoice_id=str(UUID(int=11))))
    assert (again.status_code, again.json()["code"]) == (409, "invoice_number_taken")
    elsewhere = await door.post("/invoices", invoice(invoice_id=str(UUID(int=11)), branch="DAL"))
    assert elsewhere.status_code == 201


async def test_of_many_at_once_with_one_number_one_gets_it(door: FrontDoor) -> None:
    bodies = [invoice(invoice_id=str(UUID(int=100 + n))) for n in range(8)]
    answers = await asyncio.gather(*(door.post("/invoices", body) for body in bodies))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"invoice_number_taken"}
    assert len([f for f in await door.facts() if f[0].startswith("invoice-")]) == 1


async def test_of_many_credit_notes_at_once_no_more_than_was_billed_is_credited(door: FrontDoor) -> None:
    await door.post("/invoices", invoice())
    body = {"currency": "USD", "amount": "400.00", "reason": "scope", "issued_on": "2025-04-01"}
    answers = await asyncio.gather(*(door.post(f"/invoices/{INVOICE}/credit-notes", body) for _ in range(5)))
    credited = [a for a in answers if a.status_code == 201]
    assert 1 <= len(credited) <= 2
    assert {a.json()["code"] for a in answers if a.status_code != 201} <= {"credit_above_billed", "version_conflict"}
    shown = (await door.get(f"/invoices/{INVOICE}")).json()["credited"]
    assert shown == f"{400 * len(credited)}.00"


async def test_a_credit_note_id_is_one_invoices_alone(door: FrontDoor) -> None:
    other = str(UUID(int=11))
    await door.post("/invoices", invoice())
    await door.post("/invoices", invoice(invoice_id=other, number="4712"))
    note = {"credit_note_id": str(UUID(int=20)), "currency": "USD", "amount": "1.00", "reason": "price"}
    assert (await door.post(f"/invoices/{INVOICE}/credit-notes", note)).status_code == 201
    answer = await door.post(f"/invoices/{other}/credit-notes", note)
    assert (answer.status_code, answer.json()["code"]) == (409, "credit_note_of_other_invoice")


async def test_other_branches_are_neither_seen_nor_written(door: FrontDoor) -> None:
    await door.post("/invoices", invoice())
    dallas = door.as_("billing.dal", "billing", ["DAL"])
    assert (await dallas.get(f"/invoices/{INVOICE}")).status_code == 404
    assert (await dallas.get(f"/accounts/{ACCOUNT}")).status_code == 404
    note = {"currency": "USD", "amount": "1.00", "reason": "price"}
    assert (await dallas.post(f"/invoices/{INVOICE}/credit-notes", note)).status_code == 404
    account = {"branch": "CHI", "number": "A-2", "currency": "USD"}
    answer = await dallas.post("/accounts", account)
    assert answer.status_code in (403, 404)
    assert (await dallas.post("/accounts", account | {"branch": "DAL"})).status_code == 201


async def test_an_invoice_and_a_release_never_share_an_id(door: FrontDoor) -> None:
    """Both are items of the payment service, which knows them by that id."""
    other, released = str(UUID(int=11)), str(UUID(int=12))
    await door.post("/invoices", invoice())
    await door.post("/invoices", invoice(invoice_id=other, number="4712"))
    release = {"release_id": other, "currency": "USD", "amount": "10.00", "released_on": "2025-05-01"}
    taken = await door.post(f"/invoices/{INVOICE}/retainage-releases", release)
    assert (taken.status_code, taken.json()["code"]) == (409, "release_of_other_invoice")
    made = await door.post(f"/invoices/{INVOICE}/retainage-releases", release | {"release_id": released})
    assert made.status_code == 201, made.text
    taken = await door.post("/invoices", invoice(invoice_id=released, number="4713"))
    assert (taken.status_code, taken.json()["code"]) == (409, "invoice_id_taken")
    again = await door.post("/invoices", invoice())
    assert again.status_code == 201


async def test_who_may_do_what(door: FrontDoor) -> None:
    await door.post("/invoices", invoice())
    billing, auditor = door.as_("billing.1", "billing"), door.as_("auditor.1", "auditor")
    assert (await billing.post(f"/invoices/{INVOICE}/void", {"reason": "other"})).status_code == 403
    assert (await auditor.post("/invoices", invoice())).status_code == 403
    assert (await auditor.get(f"/invoices/{INVOICE}")).status_code == 200


def test_every_route_names_a_permission(door: FrontDoor) -> None:
    assert unprotected(door.app) == []


def test_every_command_has_an_example(door: FrontDoor) -> None:
    schema = door.app.openapi()
    for path, methods in schema["paths"].items():
        if "post" in methods and not path.startswith("/imports"):
            ref = methods["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            assert "example" in schema["components"]["schemas"][ref.rpartition("/")[2]], path
