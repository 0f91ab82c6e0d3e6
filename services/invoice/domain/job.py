"""Jobs: work for one account, to which invoices may be billed."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import msgspec

from events.envelope import Fact
from events.invoice import JobOpened
from services.invoice.domain.account import PersonNameNotAllowed, account_of
from services.invoice.domain.branch import branch_of
from services.invoice.domain.day import Dated
from services.invoice.domain.state import Absent, Job, States, job_stream
from services.kernel.errors import Kind, Refused


class JobUnknown(Refused):
    """No such job is open, or the caller may not see it."""

    code = "job_not_open"
    kind: ClassVar[Kind] = Kind.UNKNOWN


class JobDiffers(Refused):
    """The job is open with other values."""

    code = "job_already_open"


class JobOfOtherAccount(Refused):
    """The job is another account's."""

    code = "job_of_other_account"


class OpenJob(Dated, frozen=True, kw_only=True):
    job_id: UUID
    branch: str
    account_id: UUID
    number: str
    name: str | None = None

    @property
    def stream(self) -> str:
        return job_stream(self.job_id)


def open_(command: OpenJob, states: States) -> list[Fact]:
    """Open a job. Errors, in this order: BranchUnknown, AccountUnknown, PersonNameNotAllowed, JobDiffers."""
    on = command.day_at(branch_of(command.branch, states))
    account = account_of(command.account_id, states).current
    if command.name is not None and account.profile != "commercial_entity":
        # A job at a home is called after who lives there.
        raise PersonNameNotAllowed(
            "leave the job's name out unless the account is a commercial_entity", field="name", profile=account.profile
        )
    fact = JobOpened(
        branch=command.branch,
        effective_on=on,
        job_id=command.job_id,
        account_id=command.account_id,
        number=command.number,
        name=command.name,
    )
    match states[command.stream]:
        case Job(opened=before):
            if msgspec.structs.replace(before, effective_on=on) != fact:
                raise JobDiffers("the job is open with other values", job=before)
            return []
        case Absent():
            return [fact]
        case _:
            raise AssertionError("no job in a job's stream")


def job_for(job_id: UUID, account_id: UUID, states: States) -> Job:
    """The account's job. Errors, in this order: JobUnknown, JobOfOtherAccount."""
    match states[job_stream(job_id)]:
        case Job() as job:
            if job.opened.account_id != account_id:
                raise JobOfOtherAccount("the job is another account's", field="job_id")
            return job
        case _:
            raise JobUnknown("no such job is open", field="job_id", job_id=job_id)
