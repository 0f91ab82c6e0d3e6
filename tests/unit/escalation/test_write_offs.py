"""Write-offs: two persons, once, and never more than is open."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from events.money import Money
from services.escalation.domain.seen import CurrencyNotItems, ItemClosed, NotTheAccounts, NotTheBranchs
from services.escalation.domain.write_off import (
    BeforeRequest,
    WriteOffAboveOpen,
    WriteOffDecided,
    WriteOffDiffers,
    WriteOffNotApproved,
    WriteOffNotPositive,
    WriteOffSamePerson,
    WriteOffUnknown,
)
from services.mirror.known import ItemNotKnown
from tests.unit.escalation.build import (
    ACCOUNT,
    DAY,
    LATER,
    LATEST,
    approve,
    approved,
    given,
    reject,
    rejected,
    request,
    requested,
    reverse,
    reversed_,
    seen,
    usd,
)


class TestRequest:
    def test_part_of_an_item_or_all_of_it_is_requested(self) -> None:
        given().when(request(100_00)).then(requested(100_00))
        given().when(request(None)).then(requested(900_00))

    def test_one_cent_more_than_is_open_is_refused(self) -> None:
        refusal = given().when(request(900_01)).refused_as(WriteOffAboveOpen, field="amount")
        assert refusal.members["open"] == {"minor": 900_00, "currency": "USD"}

    @pytest.mark.parametrize("minor", [0, -1])
    def test_an_amount_that_is_not_above_zero_is_refused(self, minor: int) -> None:
        given().when(request(minor)).refused_as(WriteOffNotPositive, field="amount")

    def test_an_item_that_is_closed_or_not_known_is_refused(self) -> None:
        given().when(request(seen=seen(minor=0))).refused_as(ItemClosed)
        given().when(request(seen=None)).refused_as(ItemNotKnown)

    def test_another_currency_account_or_branch_is_refused(self) -> None:
        given().when(request(amount=Money(1, "CAD"))).refused_as(CurrencyNotItems)
        given().when(request(account_id=UUID(int=2))).refused_as(NotTheAccounts)
        given().when(request(branch="DAL")).refused_as(NotTheBranchs)
        given().when(request(account_id=ACCOUNT, branch="CHI")).then(requested())

    def test_the_same_request_again_adds_nothing_though_the_item_is_closed_by_now(self) -> None:
        given(requested(), approved()).when(request(seen=seen(minor=0))).then()
        given(requested()).when(request(None, on=None, seen=seen(minor=1))).then()

    @pytest.mark.parametrize(
        "other", [{"amount": usd(1)}, {"reason": "bankruptcy"}, {"requested_by": "x"}, {"on": LATER}], ids=str
    )
    def test_other_values_for_a_request_are_refused(self, other: dict[str, Any]) -> None:
        given(requested()).when(request(**other)).refused_as(WriteOffDiffers)


class TestDecision:
    def test_somebody_else_approves(self) -> None:
        given(requested()).when(approve()).then(approved())

    def test_who_requested_it_may_not_approve_it(self) -> None:
        given(requested()).when(approve(approved_by="collector.1")).refused_as(WriteOffSamePerson)
        given(requested(), approved()).when(approve(approved_by="collector.1")).refused_as(WriteOffSamePerson)

    def test_the_same_approval_again_adds_nothing(self) -> None:
        given(requested(), approved()).when(approve()).then()
        given(requested(), approved(), reversed_()).when(approve(on=None)).then()

    def test_it_is_decided_once(self) -> None:
        given(requested(), approved()).when(approve(approved_by="controller.2")).refused_as(WriteOffDecided)
        given(requested(), rejected()).when(approve()).refused_as(WriteOffDecided)
        given(requested(), approved()).when(reject()).refused_as(WriteOffDecided)
        given(requested(), rejected()).when(reject(because="other")).refused_as(WriteOffDecided)

    def test_a_request_is_rejected_and_the_same_again_adds_nothing(self) -> None:
        given(requested()).when(reject()).then(rejected())
        given(requested(), rejected()).when(reject()).then()

    def test_an_approved_one_is_reversed_once(self) -> None:
        given(requested(), approved()).when(reverse()).then(reversed_())
        given(requested(), approved(), reversed_()).when(reverse()).then()
        again = reverse(reversed_by="controller.2")
        given(requested(), approved(), reversed_()).when(again).refused_as(WriteOffNotApproved)

    def test_only_an_approved_one_is_reversed(self) -> None:
        given(requested()).when(reverse()).refused_as(WriteOffNotApproved)
        given(requested(), rejected()).when(reverse()).refused_as(WriteOffNotApproved)

    def test_what_nobody_requested_is_not_decided(self) -> None:
        for command in (approve(), reject(), reverse()):
            given().when(command).refused_as(WriteOffUnknown, field="write_off_id")

    def test_a_decision_dated_before_what_it_decides_is_refused(self) -> None:
        given(requested(effective_on=LATEST)).when(approve()).refused_as(BeforeRequest)
        given(requested(effective_on=LATEST)).when(reject()).refused_as(BeforeRequest)
        given(requested(), approved()).when(reverse(on=DAY)).refused_as(BeforeRequest)


class TestHistoricWriteOff:
    """An import brings the request and the approval together, with both persons."""

    def test_both_facts_land_with_their_own_dates(self) -> None:
        command = request(approved_by="controller.1", approved_on=LATER)
        given().when(command).then(requested(), approved())

    def test_a_second_run_adds_nothing(self) -> None:
        command = request(approved_by="controller.1", approved_on=LATER, seen=seen(minor=0))
        given(requested(), approved()).when(command).then()
        given(requested(), approved(), reversed_()).when(command).then()

    def test_an_approval_that_was_missing_is_added(self) -> None:
        given(requested()).when(request(approved_by="controller.1", approved_on=LATER)).then(approved())

    def test_two_roles_of_one_person_do_not_do_in_the_past_either(self) -> None:
        given().when(request(approved_by="collector.1")).refused_as(WriteOffSamePerson)

    def test_an_approval_without_a_date_is_of_the_day_of_the_request(self) -> None:
        given().when(request(approved_by="controller.1")).then(requested(), approved(effective_on=DAY))


def test_a_request_names_the_items_account() -> None:
    moved = msgspec.structs.replace(seen().item, account_id=UUID(int=7))
    given().when(request(seen=seen(item=moved))).then(requested(account_id=UUID(int=7)))
