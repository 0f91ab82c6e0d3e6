"""Branches, accounts and jobs as their newest fact has them."""

from __future__ import annotations

from datetime import date
from typing import Final
from uuid import UUID

from events.invoice import AccountChanged, AccountOpened, BranchRegistered, JobOpened
from services.kernel.delivery import Known
from services.projections.deltas import Deltas, Model
from services.projections.table import Row, Table


class BranchRow(Row):
    branch: str
    name: str | None = None
    region: str | None = None
    timezone: str | None = None
    first_on: date | None = None


class AccountRow(Row):
    account_id: UUID
    branch: str | None = None
    number: str | None = None
    name: str | None = None
    profile: str | None = None
    currency: str | None = None
    terms_days: int | None = None
    collector: str | None = None
    opened_on: date | None = None


class JobRow(Row):
    job_id: UUID
    branch: str | None = None
    account_id: UUID | None = None
    number: str | None = None
    name: str | None = None
    opened_on: date | None = None


BRANCH: Final = Table("branch", BranchRow, ["branch"], least=["first_on"])
# An account's fact is the account as it is from then on: a collector taken away is gone.
ACCOUNT: Final = Table("account", AccountRow, ["account_id"], replaced=["name", "profile", "terms_days", "collector"])
JOB: Final = Table("job", JobRow, ["job_id"])


def _branch(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, BranchRegistered)
    row = out.at(BRANCH, fact.branch)
    row.name, row.region, row.timezone = fact.name, fact.region, fact.timezone


def _account(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, AccountOpened | AccountChanged)
    row = out.at(ACCOUNT, fact.account_id)
    row.branch, row.number, row.currency = fact.branch, fact.number, fact.currency
    row.name, row.profile = fact.name, fact.profile
    row.terms_days, row.collector = fact.terms_days, fact.collector
    if isinstance(fact, AccountOpened):
        row.opened_on = fact.effective_on


def _job(out: Deltas, known: Known) -> None:
    fact = known.fact
    assert isinstance(fact, JobOpened)
    row = out.at(JOB, fact.job_id)
    row.branch, row.account_id, row.number = fact.branch, fact.account_id, fact.number
    row.name, row.opened_on = fact.name, fact.effective_on


DIMENSIONS: Final = Model(
    "dimensions",
    (BRANCH, ACCOUNT, JOB),
    {BranchRegistered: _branch, AccountOpened: _account, AccountChanged: _account, JobOpened: _job},
)
