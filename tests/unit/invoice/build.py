"""Facts and commands of one story: the branch CHI, the account A-1 in dollars on 30 days, its job, its invoice 4711."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from events.invoice import (
    AccountOpened,
    BranchRegistered,
    CreditNoteIssued,
    InvoiceIssued,
    InvoiceVoided,
    JobOpened,
    ReleaseCancelled,
    RetainageReleased,
)
from events.item import Item
from events.money import Money
from services.invoice.domain import RULES
from services.invoice.domain.account import ChangeAccount, OpenAccount
from services.invoice.domain.branch import RegisterBranch
from services.invoice.domain.credit_note import CreditInvoice
from services.invoice.domain.invoice import IssueInvoice, VoidInvoice
from services.invoice.domain.job import OpenJob
from services.invoice.domain.retainage import ReleaseRetainage
from tests.support.scenario import Scenario

given = Scenario(RULES).given

ACCOUNT, OTHER_ACCOUNT, JOB = UUID(int=1), UUID(int=2), UUID(int=3)
INVOICE, OTHER_INVOICE, CREDIT, RELEASE = UUID(int=10), UUID(int=11), UUID(int=20), UUID(int=30)
OPENED, ISSUED, DUE, LATER = date(2025, 1, 2), date(2025, 3, 3), date(2025, 4, 2), date(2025, 5, 1)
# Late on 1 May in Chicago, 2 May in UTC already.
NOW = datetime(2025, 5, 2, 2, 30, tzinfo=UTC)


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def branch(**values: Any) -> BranchRegistered:
    said: dict[str, Any] = {
        "branch": "CHI",
        "effective_on": OPENED,
        "name": "Chicago",
        "region": "IL",
        "timezone": "America/Chicago",
    }
    return BranchRegistered(**said | values)


def account(**values: Any) -> AccountOpened:
    said: dict[str, Any] = {
        "branch": "CHI",
        "effective_on": OPENED,
        "account_id": ACCOUNT,
        "number": "A-1",
        "name": "Granite Builders",
        "profile": "commercial_entity",
        "currency": "USD",
        "terms_days": 30,
        "collector": "collector.1",
    }
    return AccountOpened(**said | values)


def job(**values: Any) -> JobOpened:
    said: dict[str, Any] = {
        "branch": "CHI",
        "effective_on": OPENED,
        "job_id": JOB,
        "account_id": ACCOUNT,
        "number": "J-1",
    }
    return JobOpened(**said | {"name": "Riser repipe"} | values)


ITEM = Item(
    item_id=INVOICE,
    invoice_id=INVOICE,
    branch="CHI",
    account_id=ACCOUNT,
    job_id=JOB,
    issued_on=ISSUED,
    due_on=DUE,
)


def issued(total: int = 1000_00, tax: int = 70_00, retainage: int = 100_00, **values: Any) -> InvoiceIssued:
    said: dict[str, Any] = {
        "branch": "CHI",
        "effective_on": ISSUED,
        "item": ITEM,
        "number": "4711",
        "po": "PO-1",
        "terms": "net 30",
        "total": usd(total),
        "tax": usd(tax),
        "retainage": usd(retainage),
    }
    return InvoiceIssued(**said | values)


def credited(minor: int, *, in_all: int | None = None, **values: Any) -> CreditNoteIssued:
    said: dict[str, Any] = {
        "branch": "CHI",
        "effective_on": LATER,
        "item": ITEM,
        "credit_note_id": CREDIT,
        "number": "4711/C1",
        "amount": usd(minor),
        "reason": "price",
        "credited": usd(minor if in_all is None else in_all),
    }
    return CreditNoteIssued(**said | values)


RELEASED_ITEM = Item(
    item_id=RELEASE,
    invoice_id=INVOICE,
    branch="CHI",
    account_id=ACCOUNT,
    job_id=JOB,
    issued_on=LATER,
    due_on=date(2025, 5, 31),
)


def released(minor: int, *, left: int, **values: Any) -> RetainageReleased:
    said: dict[str, Any] = {
        "branch": "CHI",
        "effective_on": LATER,
        "item": RELEASED_ITEM,
        "parent": ITEM,
        "number": "4711/R1",
        "amount": usd(minor),
        "retainage": usd(left),
    }
    return RetainageReleased(**said | values)


def voided(cancelled: int, retainage: int, *releases: ReleaseCancelled, **values: Any) -> InvoiceVoided:
    said: dict[str, Any] = {
        "branch": "CHI",
        "effective_on": LATER,
        "item": ITEM,
        "reason": "duplicate",
        "cancelled": usd(cancelled),
        "retainage_cancelled": usd(retainage),
        "releases": releases,
    }
    return InvoiceVoided(**said | values)


STORY = (branch(), account(), job())


def register(**values: Any) -> RegisterBranch:
    said: dict[str, Any] = {
        "branch": "CHI",
        "name": "Chicago",
        "region": "IL",
        "timezone": "America/Chicago",
        "on": OPENED,
        "now": NOW,
    }
    return RegisterBranch(**said | values)


def open_account(**values: Any) -> OpenAccount:
    said: dict[str, Any] = {
        "account_id": ACCOUNT,
        "branch": "CHI",
        "number": "A-1",
        "name": "Granite Builders",
        "profile": "commercial_entity",
        "currency": "USD",
        "terms_days": 30,
        "collector": "collector.1",
        "on": OPENED,
        "now": NOW,
    }
    return OpenAccount(**said | values)


def change(**values: Any) -> ChangeAccount:
    said: dict[str, Any] = {"account_id": ACCOUNT, "on": LATER, "now": NOW}
    return ChangeAccount(**said | values)


def open_job(**values: Any) -> OpenJob:
    said: dict[str, Any] = {
        "job_id": JOB,
        "branch": "CHI",
        "account_id": ACCOUNT,
        "number": "J-1",
        "name": "Riser repipe",
    }
    return OpenJob(**said | {"on": OPENED, "now": NOW} | values)


def issue(total: int = 1000_00, tax: int = 70_00, retainage: int = 100_00, **values: Any) -> IssueInvoice:
    said: dict[str, Any] = {
        "invoice_id": INVOICE,
        "branch": "CHI",
        "account_id": ACCOUNT,
        "job_id": JOB,
        "number": "4711",
        "po": "PO-1",
        "issued_on": ISSUED,
        "total": usd(total),
        "tax": usd(tax),
        "retainage": usd(retainage),
    }
    return IssueInvoice(**said | values)


def credit(minor: int, **values: Any) -> CreditInvoice:
    said: dict[str, Any] = {
        "credit_note_id": CREDIT,
        "invoice_id": INVOICE,
        "amount": usd(minor),
        "reason": "price",
        "on": LATER,
    }
    return CreditInvoice(**said | {"now": NOW} | values)


def release(minor: int, **values: Any) -> ReleaseRetainage:
    said: dict[str, Any] = {
        "release_id": RELEASE,
        "invoice_id": INVOICE,
        "amount": usd(minor),
        "on": LATER,
        "now": NOW,
    }
    return ReleaseRetainage(**said | values)


def void(**values: Any) -> VoidInvoice:
    said: dict[str, Any] = {"invoice_id": INVOICE, "reason": "duplicate", "on": LATER, "now": NOW}
    return VoidInvoice(**said | values)
