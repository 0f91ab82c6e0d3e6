"""Branches, accounts and jobs."""

from datetime import date
from uuid import UUID

import pytest

from events.invoice import AccountChanged
from services.invoice.domain.account import AccountDiffers, AccountNumberTaken, AccountUnknown, PersonNameNotAllowed
from services.invoice.domain.branch import BranchChanged, BranchUnknown, TimezoneUnknown
from services.invoice.domain.claim import Holder, account_number
from services.invoice.domain.day import DateOutOfRange
from services.invoice.domain.job import JobDiffers
from services.invoice.rim import known_timezone
from tests.unit.invoice.build import (
    ACCOUNT,
    LATER,
    OTHER_ACCOUNT,
    account,
    branch,
    change,
    given,
    job,
    open_account,
    open_job,
    register,
)


def changed(**values: object) -> AccountChanged:
    opened = {name: getattr(account(), name) for name in AccountChanged.__struct_fields__}
    return AccountChanged(**opened | {"effective_on": LATER} | values)


class TestRegisterBranch:
    def test_a_branch_is_registered_with_its_time_zone(self) -> None:
        given().when(register()).then(branch())

    def test_the_same_branch_again_adds_nothing_whatever_the_date(self) -> None:
        given(branch()).when(register(on=LATER)).then()

    def test_other_values_for_a_registered_branch_are_refused(self) -> None:
        given(branch()).when(register(timezone="America/Denver")).refused_as(BranchChanged)

    def test_without_a_date_it_is_registered_on_the_branchs_own_today(self) -> None:
        given().when(register(on=None)).then(branch(effective_on=date(2025, 5, 1)))

    @pytest.mark.parametrize("day", [date(1969, 12, 31), date(2100, 1, 1), date(9999, 12, 31)])
    def test_a_date_no_ledger_has_is_refused(self, day: date) -> None:
        given().when(register(on=day)).refused_as(DateOutOfRange, field="on")

    @pytest.mark.parametrize("name", ["Chicago", "", "../etc", "America", "CST6CDT2", "America/Chicago\x00"])
    def test_a_time_zone_that_iana_does_not_know_is_refused(self, name: str) -> None:
        with pytest.raises(TimezoneUnknown):
            known_timezone(name)

    def test_a_time_zone_that_iana_knows_is_taken(self) -> None:
        assert known_timezone("America/Chicago") == "America/Chicago"


class TestOpenAccount:
    def test_an_account_is_opened_at_its_home_branch(self) -> None:
        given(branch()).when(open_account()).then(account())

    def test_an_account_of_a_branch_nobody_registered_is_refused(self) -> None:
        given().when(open_account()).refused_as(BranchUnknown, field="branch")

    @pytest.mark.parametrize("profile", ["consumer", "commercial_natural"])
    def test_a_natural_persons_name_is_refused(self, profile: str) -> None:
        given(branch()).when(open_account(profile=profile)).refused_as(PersonNameNotAllowed, field="name")

    def test_a_natural_persons_account_is_opened_without_a_name(self) -> None:
        given(branch()).when(open_account(profile="consumer", name=None)).then(account(profile="consumer", name=None))

    def test_the_same_account_again_adds_nothing(self) -> None:
        given(branch(), account()).when(open_account(on=LATER)).then()

    def test_an_import_of_the_first_values_adds_nothing_after_a_change(self) -> None:
        given(branch(), account(), changed(terms_days=45)).when(open_account()).then()
        given(branch(), account(), changed(terms_days=45)).when(open_account(terms_days=45)).then()

    def test_other_values_for_an_open_account_are_refused(self) -> None:
        given(branch(), account()).when(open_account(terms_days=60)).refused_as(AccountDiffers)

    def test_a_number_that_another_account_has_is_refused(self) -> None:
        holder = Holder(account_number("A-1"), f"account-{OTHER_ACCOUNT}", recorded=True)
        given(branch()).when(open_account(holders=(holder,))).refused_as(AccountNumberTaken, field="number")

    def test_a_number_that_an_earlier_row_of_the_batch_took_is_refused(self) -> None:
        holder = Holder(account_number("A-1"), f"account-{OTHER_ACCOUNT}", recorded=False)
        earlier = account(account_id=OTHER_ACCOUNT)
        given(branch(), earlier).when(open_account(holders=(holder,))).refused_as(AccountNumberTaken)

    def test_a_number_is_free_when_the_earlier_row_of_the_batch_was_refused(self) -> None:
        holder = Holder(account_number("A-1"), f"account-{OTHER_ACCOUNT}", recorded=False)
        given(branch()).when(open_account(holders=(holder,))).then(account())


class TestChangeAccount:
    def test_only_what_is_said_changes(self) -> None:
        given(branch(), account()).when(change(terms_days=45)).then(changed(terms_days=45))

    def test_a_collector_can_be_taken_away(self) -> None:
        given(branch(), account()).when(change(collector=None)).then(changed(collector=None))

    def test_what_it_is_already_adds_nothing(self) -> None:
        given(branch(), account()).when(change(terms_days=30)).then()

    def test_a_firm_that_turns_out_to_be_a_person_must_lose_its_name(self) -> None:
        given(branch(), account()).when(change(profile="consumer")).refused_as(PersonNameNotAllowed, field="name")
        given(branch(), account()).when(change(profile="consumer", name=None)).then(
            changed(profile="consumer", name=None)
        )

    def test_an_account_nobody_opened_is_refused(self) -> None:
        given(branch()).when(change(terms_days=45)).refused_as(AccountUnknown, field="account_id")


class TestOpenJob:
    def test_a_job_is_opened_for_an_account(self) -> None:
        given(branch(), account()).when(open_job()).then(job())

    def test_the_same_job_again_adds_nothing(self) -> None:
        given(branch(), account(), job()).when(open_job(on=LATER)).then()

    def test_other_values_for_an_open_job_are_refused(self) -> None:
        given(branch(), account(), job()).when(open_job(number="J-2")).refused_as(JobDiffers)

    def test_a_job_for_an_account_nobody_opened_is_refused(self) -> None:
        given(branch()).when(open_job()).refused_as(AccountUnknown, field="account_id")
        given(branch(), account()).when(open_job(account_id=UUID(int=99))).refused_as(AccountUnknown)

    def test_a_job_at_a_home_has_no_name_because_it_would_be_a_persons(self) -> None:
        home = account(profile="consumer", name=None)
        given(branch(), home).when(open_job(name="Smith residence")).refused_as(PersonNameNotAllowed, field="name")
        given(branch(), home).when(open_job(name=None)).then(job(name=None))

    def test_a_job_at_a_branch_nobody_registered_is_refused(self) -> None:
        given(branch(), account()).when(open_job(branch="DAL")).refused_as(BranchUnknown, field="branch")


def test_the_account_of_the_story_is_the_one_that_is_opened() -> None:
    assert open_account().stream == f"account-{ACCOUNT}"
