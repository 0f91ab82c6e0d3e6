"""Issue and void."""

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest

from events.invoice import ReleaseCancelled
from services.invoice.domain.account import AccountUnknown
from services.invoice.domain.branch import BranchUnknown
from services.invoice.domain.claim import Holder, invoice_number, release_id
from services.invoice.domain.day import DateOutOfRange
from services.invoice.domain.invoice import (
    BeforeInvoiceDate,
    CurrencyNotAccounts,
    DueBeforeIssued,
    InvoiceDiffers,
    InvoiceIdTaken,
    InvoiceNumberMissing,
    InvoiceNumberTaken,
    InvoiceUnknown,
    InvoiceVoid,
    RetainageOutOfRange,
    TaxOutOfRange,
    TotalNotPositive,
)
from services.invoice.domain.job import JobOfOtherAccount, JobUnknown
from tests.unit.invoice.build import (
    INVOICE,
    ISSUED,
    ITEM,
    LATER,
    OTHER_ACCOUNT,
    OTHER_INVOICE,
    RELEASED_ITEM,
    STORY,
    account,
    branch,
    credited,
    given,
    issue,
    issued,
    job,
    released,
    usd,
    void,
    voided,
)

ITEM_DUE_LATER = msgspec.structs.replace(ITEM, due_on=LATER)


class TestIssueInvoice:
    def test_an_invoice_falls_due_by_the_accounts_terms(self) -> None:
        given(*STORY).when(issue()).then(issued())

    def test_a_due_date_and_terms_of_its_own_count_before_the_accounts(self) -> None:
        command = issue(due_on=LATER, terms="end of month")
        given(*STORY).when(command).then(issued(item=ITEM_DUE_LATER, terms="end of month"))

    def test_the_same_invoice_again_adds_nothing(self) -> None:
        given(*STORY, issued()).when(issue()).then()

    def test_the_same_invoice_again_adds_nothing_after_the_accounts_terms_changed(self) -> None:
        given(branch(), account(terms_days=60), job(), issued()).when(issue()).then()

    @pytest.mark.parametrize(
        "other",
        [
            {"total": 1001_00},
            {"tax": 71_00},
            {"retainage": 0},
            {"number": "4712"},
            {"po": None},
            {"account_id": OTHER_ACCOUNT},
            {"job_id": None},
            {"issued_on": date(2025, 3, 4)},
            {"due_on": LATER},
            {"terms": "net 60"},
        ],
        ids=str,
    )
    def test_other_values_for_an_issued_invoice_are_refused(self, other: dict[str, Any]) -> None:
        given(*STORY, issued()).when(issue(**other)).refused_as(InvoiceDiffers)

    @pytest.mark.parametrize("number", ["", "  "])
    def test_an_invoice_without_a_number_is_refused(self, number: str) -> None:
        given(*STORY).when(issue(number=number)).refused_as(InvoiceNumberMissing, field="number")

    def test_a_branch_an_account_or_a_job_nobody_knows_is_refused(self) -> None:
        given(*STORY).when(issue(branch="DAL")).refused_as(BranchUnknown, field="branch")
        given(*STORY).when(issue(account_id=OTHER_ACCOUNT)).refused_as(AccountUnknown, field="account_id")
        given(*STORY).when(issue(job_id=UUID(int=99))).refused_as(JobUnknown, field="job_id")

    def test_a_job_of_another_account_is_refused(self) -> None:
        other = account(account_id=OTHER_ACCOUNT, number="A-2")
        given(*STORY, other).when(issue(account_id=OTHER_ACCOUNT)).refused_as(JobOfOtherAccount, field="job_id")

    def test_another_currency_than_the_accounts_is_refused(self) -> None:
        given(branch(), account(currency="CAD"), job()).when(issue()).refused_as(CurrencyNotAccounts, field="currency")

    @pytest.mark.parametrize("total", [0, -1])
    def test_a_total_that_is_not_above_zero_is_refused(self, total: int) -> None:
        given(*STORY).when(issue(total, 0, 0)).refused_as(TotalNotPositive, field="total")

    @pytest.mark.parametrize("tax", [-1, 1000_01])
    def test_a_tax_outside_zero_and_the_total_is_refused(self, tax: int) -> None:
        given(*STORY).when(issue(tax=tax)).refused_as(TaxOutOfRange, field="tax")

    @pytest.mark.parametrize("retainage", [-1, 1000_00])
    def test_retainage_outside_zero_and_less_than_the_total_is_refused(self, retainage: int) -> None:
        given(*STORY).when(issue(retainage=retainage)).refused_as(RetainageOutOfRange, field="retainage")

    def test_all_of_the_total_may_be_tax_and_nearly_all_of_it_retainage(self) -> None:
        given(*STORY).when(issue(tax=1000_00, retainage=999_99)).then(issued(tax=1000_00, retainage=999_99))

    def test_an_invoice_due_before_it_is_issued_is_refused(self) -> None:
        given(*STORY).when(issue(due_on=date(2025, 3, 2))).refused_as(DueBeforeIssued, field="due_on")

    def test_an_invoice_may_be_due_on_the_day_it_is_issued(self) -> None:
        item = msgspec.structs.replace(ITEM, due_on=ISSUED)
        given(*STORY).when(issue(due_on=ISSUED)).then(issued(item=item))

    @pytest.mark.parametrize("field", ["issued_on", "due_on"])
    def test_a_date_no_ledger_has_is_refused(self, field: str) -> None:
        said: dict[str, Any] = {field: date(9999, 12, 31)}
        given(*STORY).when(issue(**said)).refused_as(DateOutOfRange, field=field)

    def test_a_number_the_branch_used_before_is_refused(self) -> None:
        holder = Holder(invoice_number("CHI", "4711"), f"invoice-{OTHER_INVOICE}", recorded=True)
        given(*STORY).when(issue(holders=(holder,))).refused_as(InvoiceNumberTaken, field="number")

    def test_an_id_that_a_release_has_is_refused(self) -> None:
        """Payment keeps both as items under their ids: the second would never open there."""
        holder = Holder(release_id(INVOICE), f"invoice-{OTHER_INVOICE}", recorded=True)
        given(*STORY).when(issue(holders=(holder,))).refused_as(InvoiceIdTaken, field="invoice_id")

    def test_a_number_an_earlier_row_of_the_batch_took_is_refused(self) -> None:
        holder = Holder(invoice_number("CHI", "4711"), f"invoice-{OTHER_INVOICE}", recorded=False)
        item = msgspec.structs.replace(ITEM, item_id=OTHER_INVOICE, invoice_id=OTHER_INVOICE)
        given(*STORY, issued(item=item)).when(issue(holders=(holder,))).refused_as(InvoiceNumberTaken)
        given(*STORY).when(issue(holders=(holder,))).then(issued())


class TestVoidInvoice:
    def test_a_void_cancels_what_was_billed_and_what_is_withheld(self) -> None:
        given(*STORY, issued()).when(void()).then(voided(900_00, 100_00))

    def test_a_void_cancels_what_was_not_credited(self) -> None:
        given(*STORY, issued(), credited(200_00)).when(void()).then(voided(700_00, 100_00))

    def test_a_void_takes_released_retainage_with_it(self) -> None:
        cancelled = ReleaseCancelled(item=RELEASED_ITEM, amount=usd(40_00))
        given(*STORY, issued(), released(40_00, left=60_00)).when(void()).then(voided(900_00, 60_00, cancelled))

    def test_the_same_void_again_adds_nothing(self) -> None:
        given(*STORY, issued(), voided(900_00, 100_00)).when(void()).then()
        given(*STORY, issued(), voided(900_00, 100_00)).when(void(on=None)).then()

    def test_another_void_of_a_void_invoice_is_refused(self) -> None:
        history = given(*STORY, issued(), voided(900_00, 100_00))
        history.when(void(reason="wrong_amount")).refused_as(InvoiceVoid)
        history.when(void(on=ISSUED)).refused_as(InvoiceVoid)

    def test_an_invoice_nobody_issued_is_refused(self) -> None:
        given(*STORY).when(void()).refused_as(InvoiceUnknown, field="invoice_id")

    def test_a_void_dated_before_the_invoice_is_refused(self) -> None:
        given(*STORY, issued()).when(void(on=date(2025, 3, 2))).refused_as(BeforeInvoiceDate)

    def test_without_a_date_it_is_void_from_the_branchs_own_today(self) -> None:
        given(*STORY, issued()).when(void(on=None)).then(voided(900_00, 100_00, effective_on=date(2025, 5, 1)))


def test_the_invoices_own_item_is_the_invoice() -> None:
    assert issue().stream == f"invoice-{INVOICE}"
    assert ITEM.item_id == ITEM.invoice_id
