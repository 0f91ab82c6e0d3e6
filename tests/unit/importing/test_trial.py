"""What a dry run finds without sending anything."""

from __future__ import annotations

from services.cli.importing.mapping import Record
from services.cli.importing.trial import Trial

BRANCH: Record = {"branch": "B1", "name": "One", "registered_on": "2025-01-01"}
ACCOUNT: Record = {
    "account_id": "11111111-1111-4111-8111-111111111111",
    "branch": "B1",
    "number": "C1",
    "currency": "USD",
    "opened_on": "2025-01-01",
}
INVOICE: Record = {
    "invoice_id": "22222222-2222-4222-8222-222222222222",
    "branch": "B1",
    "account_id": ACCOUNT["account_id"],
    "number": "100",
    "issued_on": "2025-02-01",
    "total": "100.00",
    "currency": "USD",
}
RECEIPT: Record = {
    "receipt_id": "33333333-3333-4333-8333-333333333333",
    "branch": "B1",
    "account_id": ACCOUNT["account_id"],
    "method": "check",
    "amount": "150.00",
    "currency": "USD",
    "received_on": "2025-03-01",
    "item_id": INVOICE["invoice_id"],
    "applied": "100.00",
}


def billed() -> Trial:
    trial = Trial()
    for kind, record in (("branches", BRANCH), ("accounts", ACCOUNT), ("invoices", INVOICE)):
        assert trial.check(kind, 1, record) is None
    return trial


def code(trial: Trial, kind: str, record: Record) -> str | None:
    problem = trial.check(kind, 7, record)
    return problem.code if problem else None


def test_a_good_ledger_has_no_problems_and_a_repeated_row_is_none_either() -> None:
    trial = billed()
    assert code(trial, "receipts", RECEIPT) is None
    assert code(trial, "invoices", INVOICE) is None
    assert code(trial, "receipts", RECEIPT) is None


def test_a_second_invoice_with_the_same_number_is_found() -> None:
    other = {**INVOICE, "invoice_id": "44444444-4444-4444-8444-444444444444"}
    assert code(billed(), "invoices", other) == "invoice_number_taken"


def test_the_same_invoice_with_another_amount_is_found() -> None:
    assert code(billed(), "invoices", {**INVOICE, "total": "99.00"}) == "invoice_changed"


def test_a_receipt_that_pays_more_than_is_open_is_found() -> None:
    assert code(billed(), "receipts", {**RECEIPT, "applied": "100.01"}) == "more_than_open"


def test_a_row_that_is_wrong_in_itself_is_found_with_its_field() -> None:
    problem = billed().check("invoices", 9, {**INVOICE, "issued_on": "soon"})
    assert problem is not None
    assert (problem.line, problem.field, problem.code) == (9, "issued_on", "row_field_invalid")


def test_what_the_ledger_does_not_hold_may_be_in_the_books_already() -> None:
    trial = Trial()
    assert code(trial, "invoices", INVOICE) is None
    assert code(trial, "receipts", RECEIPT) is None
