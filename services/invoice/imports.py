"""Rows of imports, and the command of each. A row's ids are given, so that a second run finds everything on record."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec

from events.envelope import Branch
from events.invoice import CreditReason, Profile
from events.money import Currency
from services.invoice.domain.account import OpenAccount
from services.invoice.domain.branch import RegisterBranch
from services.invoice.domain.credit_note import CreditInvoice
from services.invoice.domain.invoice import IssueInvoice
from services.invoice.domain.job import OpenJob
from services.invoice.domain.retainage import ReleaseRetainage
from services.invoice.handlers import DOMAIN
from services.invoice.rim import NAME_MAX, RowName, RowNumber, RowTermsDays, known_timezone, now
from services.kernel.bulk import BulkKind
from services.kernel.rim import money

Terms = Annotated[str, msgspec.Meta(max_length=NAME_MAX)]


class BranchRow(msgspec.Struct, frozen=True, kw_only=True):
    branch: Branch
    name: RowName
    region: RowName | None = None
    timezone: str = "America/New_York"
    registered_on: date | None = None


class AccountRow(msgspec.Struct, frozen=True, kw_only=True):
    account_id: UUID
    branch: Branch
    number: RowNumber
    name: RowName | None = None
    profile: Profile = "consumer"
    currency: Currency
    terms_days: RowTermsDays = 30
    collector: RowName | None = None
    opened_on: date | None = None


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    job_id: UUID
    branch: Branch
    account_id: UUID
    number: RowNumber
    name: RowName | None = None
    opened_on: date | None = None


class InvoiceRow(msgspec.Struct, frozen=True, kw_only=True):
    invoice_id: UUID
    branch: Branch
    account_id: UUID
    job_id: UUID | None = None
    number: RowNumber
    po: RowNumber | None = None
    issued_on: date
    due_on: date | None = None
    terms: Terms | None = None
    total: str
    tax: str = "0"
    retainage: str = "0"
    currency: Currency


class CreditNoteRow(msgspec.Struct, frozen=True, kw_only=True):
    credit_note_id: UUID
    invoice_id: UUID
    number: RowNumber | None = None
    amount: str
    currency: Currency
    reason: CreditReason = "other"
    issued_on: date


class RetainageReleaseRow(msgspec.Struct, frozen=True, kw_only=True):
    release_id: UUID
    invoice_id: UUID
    number: RowNumber | None = None
    amount: str
    currency: Currency
    released_on: date
    due_on: date | None = None


def register_branch(row: BranchRow, _actor: str) -> RegisterBranch:
    return RegisterBranch(
        branch=row.branch,
        name=row.name,
        region=row.region,
        timezone=known_timezone(row.timezone),
        on=row.registered_on,
        now=now(),
    )


def open_account(row: AccountRow, _actor: str) -> OpenAccount:
    return OpenAccount(
        account_id=row.account_id,
        branch=row.branch,
        number=row.number,
        name=row.name,
        profile=row.profile,
        currency=row.currency,
        terms_days=row.terms_days,
        collector=row.collector,
        on=row.opened_on,
        now=now(),
    )


def open_job(row: JobRow, _actor: str) -> OpenJob:
    return OpenJob(
        job_id=row.job_id,
        branch=row.branch,
        account_id=row.account_id,
        number=row.number,
        name=row.name,
        on=row.opened_on,
        now=now(),
    )


def issue_invoice(row: InvoiceRow, _actor: str) -> IssueInvoice:
    return IssueInvoice(
        invoice_id=row.invoice_id,
        branch=row.branch,
        account_id=row.account_id,
        job_id=row.job_id,
        number=row.number,
        po=row.po,
        issued_on=row.issued_on,
        due_on=row.due_on,
        terms=row.terms,
        total=money(row.total, row.currency, "total"),
        tax=money(row.tax, row.currency, "tax"),
        retainage=money(row.retainage, row.currency, "retainage"),
    )


def credit_invoice(row: CreditNoteRow, _actor: str) -> CreditInvoice:
    return CreditInvoice(
        credit_note_id=row.credit_note_id,
        invoice_id=row.invoice_id,
        number=row.number,
        amount=money(row.amount, row.currency, "amount"),
        reason=row.reason,
        on=row.issued_on,
        now=now(),
    )


def release_retainage(row: RetainageReleaseRow, _actor: str) -> ReleaseRetainage:
    return ReleaseRetainage(
        release_id=row.release_id,
        invoice_id=row.invoice_id,
        number=row.number,
        amount=money(row.amount, row.currency, "amount"),
        due_on=row.due_on,
        on=row.released_on,
        now=now(),
    )


KINDS: Final[list[BulkKind[Any, Any]]] = [
    BulkKind("branches", BranchRow, register_branch, DOMAIN),
    BulkKind("accounts", AccountRow, open_account, DOMAIN),
    BulkKind("jobs", JobRow, open_job, DOMAIN),
    BulkKind("invoices", InvoiceRow, issue_invoice, DOMAIN),
    BulkKind("credit-notes", CreditNoteRow, credit_invoice, DOMAIN),
    BulkKind("retainage-releases", RetainageReleaseRow, release_retainage, DOMAIN),
]
