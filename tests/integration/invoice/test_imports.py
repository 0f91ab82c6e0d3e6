"""Imports of the invoice service: good rows land, bad ones are named, a second run adds nothing."""

from typing import Any
from uuid import UUID

from tests.integration.invoice.conftest import ACCOUNT, INVOICE, invoice
from tests.support.front_door import FrontDoor

BRANCHES: list[dict[str, Any]] = [
    {"branch": "CHI", "name": "Chicago", "region": "IL", "timezone": "America/Chicago"},
    {"branch": "DAL", "name": "Dallas", "timezone": "America/Chicago", "registered_on": "2024-01-01"},
]
ACCOUNTS: list[dict[str, Any]] = [
    {"account_id": ACCOUNT, "branch": "CHI", "number": "A-1", "currency": "USD", "profile": "commercial_entity"},
    {"account_id": str(UUID(int=2)), "branch": "DAL", "number": "A-2", "currency": "USD", "terms_days": "45"},
]


def rows(count: int) -> list[dict[str, Any]]:
    """Invoices with numbers and ids of their own."""
    made = [invoice(invoice_id=str(UUID(int=1000 + n)), number=f"N{n}") for n in range(count)]
    for row in made:
        del row["job_id"]
    return made


async def fill(door: FrontDoor) -> None:
    for kind, given in (("branches", BRANCHES), ("accounts", ACCOUNTS)):
        summary, rejected = await door.import_(kind, given)
        assert (summary["landed"], rejected) == (2, [])


async def test_a_ledger_lands_and_a_second_run_adds_nothing(empty: FrontDoor) -> None:
    await fill(empty)
    first = {"invoice_id": rows(1)[0]["invoice_id"], "currency": "USD"}
    job = {"job_id": str(UUID(int=3)), "branch": "CHI", "account_id": ACCOUNT, "number": "J-1", "name": "Lofts"}
    credit_note = first | {"credit_note_id": str(UUID(int=20)), "amount": "1.00", "issued_on": "2025-04-01"}
    release = first | {"release_id": str(UUID(int=30)), "amount": "10.00", "released_on": "2025-05-01"}
    kinds: list[tuple[str, list[dict[str, Any]]]] = [
        ("branches", BRANCHES),
        ("accounts", ACCOUNTS),
        ("jobs", [job]),
        ("invoices", rows(1200)),
        ("credit-notes", [credit_note]),
        ("retainage-releases", [release]),
    ]
    for kind, given in kinds[2:]:
        summary, rejected = await empty.import_(kind, given)
        assert (summary["landed"], rejected) == (len(given), []), kind
    before = await empty.facts()
    for kind, given in kinds:
        summary, rejected = await empty.import_(kind, given)
        assert (summary["on_record"], summary["landed"], rejected) == (len(given), 0, []), kind
    assert await empty.facts() == before
    assert len(before) == 2 + 2 + 1 + 1200 + 1 + 1


async def test_a_bad_row_is_named_and_the_good_ones_land(empty: FrontDoor) -> None:
    await fill(empty)
    given = rows(6)
    given[1]["total"] = "0"
    given[2]["number"] = "N0"  # The first row's.
    given[3]["account_id"] = str(UUID(int=99))
    given[4]["issued_on"] = "yesterday"
    summary, rejected = await empty.import_("invoices", given)
    assert (summary["landed"], summary["rejected"]) == (2, 4)
    assert sorted((r["row"], r["field"], r["code"]) for r in rejected) == [
        (2, "total", "total_not_positive"),
        (3, "number", "invoice_number_taken"),
        (4, "account_id", "account_not_open"),
        (5, "issued_on", "row_field_invalid"),
    ]
    given[1]["total"], given[2]["number"], given[3]["account_id"] = "1000.00", "N2", ACCOUNT
    given[4]["issued_on"] = "2025-03-03"
    summary, rejected = await empty.import_("invoices", given)
    assert (summary["landed"], summary["on_record"], rejected) == (4, 2, [])


async def test_a_number_is_free_when_the_row_that_wanted_it_was_refused(empty: FrontDoor) -> None:
    await fill(empty)
    given = rows(2)
    given[0]["total"], given[1]["number"] = "0", "N0"
    summary, rejected = await empty.import_("invoices", given)
    assert (summary["landed"], [r["row"] for r in rejected]) == (1, [1])


async def test_a_csv_file_lands_as_ndjson_does(empty: FrontDoor) -> None:
    await fill(empty)
    header = "invoice_id,branch,account_id,number,issued_on,total,currency"
    body = f"{header}\n{INVOICE},CHI,{ACCOUNT},4711,2025-03-03,1000.00,USD\n"
    answer = await empty.post_file("/imports/invoices", body.encode(), "text/csv")
    assert '"landed":1' in answer.text
    assert (await empty.get(f"/invoices/{INVOICE}")).json()["due_on"] == "2025-04-02"


async def test_persons_names_do_not_come_in_by_the_back_door(empty: FrontDoor) -> None:
    await empty.import_("branches", BRANCHES)
    named = ACCOUNTS[1] | {"name": "Jo Roe"}
    _, rejected = await empty.import_("accounts", [named])
    assert [(r["field"], r["code"]) for r in rejected] == [("name", "person_name_not_allowed")]
