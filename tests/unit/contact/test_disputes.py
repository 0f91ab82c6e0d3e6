"""Disputes: how much may be contested, and how they end."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from events.contact import DisputeOutcome
from events.money import Money
from services.contact.domain.dispute import (
    DisputeAboveBilled,
    DisputeAboveOpen,
    DisputeChanged,
    DisputeOver,
    ResolvedBeforeOpened,
    ResolveDispute,
    UpheldInconsistent,
)
from services.contact.domain.ended_item import EndItem
from services.contact.domain.named import AmountNotPositive, CurrencyDiffers, ItemOfOtherAccount, Named
from services.kernel.errors import Unknown
from services.mirror.known import ItemNotKnown
from tests.unit.contact.build import (
    ACCOUNT,
    DISPUTE,
    FOREIGN,
    MADE_ON,
    NAMED,
    OTHER_ACCOUNT,
    PROMISED_ON,
    UNHEARD,
    A,
    B,
    C,
    dispute,
    disputed,
    given,
    known,
    resolved,
    usd,
)

SECOND = UUID(int=31)


def resolve(outcome: DisputeOutcome, upheld: int | Money | None = None, **values: Any) -> ResolveDispute:
    common = {"dispute_id": DISPUTE, "outcome": outcome, "resolved_on": PROMISED_ON}
    return ResolveDispute(**common | {"upheld": usd(upheld) if isinstance(upheld, int) else upheld} | values)


class TestOpen:
    def test_part_of_an_item_is_contested(self) -> None:
        given().when(dispute()).then(disputed())

    def test_all_that_is_open_may_be_contested_and_not_a_cent_more(self) -> None:
        given().when(dispute(1_000_00)).then(disputed(1_000_00))
        refused = given().when(dispute(1_000_01)).refused_as(DisputeAboveOpen, field="amount")
        assert refused.members["open"] == {"minor": 1_000_00, "currency": "USD"}

    def test_several_disputes_of_an_item_contest_no_more_than_is_open_together(self) -> None:
        on_record = disputed(400_00)
        second = dispute(600_00, dispute_id=SECOND, beside=(DISPUTE,))
        given(on_record).when(second).then(disputed(600_00, dispute_id=SECOND))
        refused = (
            given(on_record).when(dispute(600_01, dispute_id=SECOND, beside=(DISPUTE,))).refused_as(DisputeAboveOpen)
        )
        assert refused.members["contested"] == {"minor": 400_00, "currency": "USD"}

    def test_a_resolved_dispute_and_one_of_another_item_leave_room(self) -> None:
        second = dispute(1_000_00, dispute_id=SECOND, beside=(DISPUTE,))
        given(disputed(), resolved("rejected", 0)).when(second).then(disputed(1_000_00, dispute_id=SECOND))
        given(disputed(item_id=B)).when(second).then(disputed(1_000_00, dispute_id=SECOND))

    def test_the_same_again_adds_nothing_even_when_less_is_open_now(self) -> None:
        given(disputed(1_000_00)).when(dispute(1_000_00, named=NAMED)).then()
        given(disputed(1_200_00)).when(dispute(1_200_00)).then()

    def test_the_same_id_with_other_values_is_refused(self) -> None:
        given(disputed()).when(dispute(reason="SCP")).refused_as(DisputeChanged, field="dispute_id")

    @pytest.mark.parametrize("minor", [0, -1])
    def test_nothing_cannot_be_contested(self, minor: int) -> None:
        given().when(dispute(minor)).refused_as(AmountNotPositive, field="amount")

    def test_the_item_must_be_known_the_accounts_and_of_the_currency(self) -> None:
        given().when(dispute(item_id=UNHEARD)).refused_as(ItemNotKnown, field="item_id")
        given().when(dispute(account_id=OTHER_ACCOUNT)).refused_as(ItemOfOtherAccount, field="account_id")
        given().when(dispute(account_id=ACCOUNT)).then(disputed())
        given().when(dispute(item_id=FOREIGN)).refused_as(CurrencyDiffers, field="currency")


class TestHistory:
    def test_a_dispute_of_the_past_is_held_against_what_was_billed(self) -> None:
        paid_since = Named(items=(known(A),), billed=((A, usd(1_500_00)),))
        given().when(dispute(1_500_00, historic=True, named=paid_since)).then(disputed(1_500_00))
        given().when(dispute(1_500_01, historic=True)).refused_as(DisputeAboveBilled, field="amount")

    def test_it_waits_for_the_invoice_where_that_is_not_known_yet(self) -> None:
        unbilled = Named(items=(known(C),))
        given().when(dispute(item_id=C, historic=True, named=unbilled)).refused_as(ItemNotKnown)


class TestResolve:
    @pytest.mark.parametrize(
        ("outcome", "said", "upheld"),
        [
            ("upheld", None, 400_00),
            ("upheld", 400_00, 400_00),
            ("partly_upheld", 1, 1),
            ("partly_upheld", 399_99, 399_99),
            ("rejected", None, 0),
            ("rejected", 0, 0),
            ("withdrawn", None, 0),
        ],
    )
    def test_what_is_upheld_goes_with_the_outcome(self, outcome: DisputeOutcome, said: int | None, upheld: int) -> None:
        given(disputed()).when(resolve(outcome, said)).then(resolved(outcome, upheld))

    @pytest.mark.parametrize(
        ("outcome", "said"),
        [
            ("upheld", 399_99),
            ("partly_upheld", None),
            ("partly_upheld", 0),
            ("partly_upheld", 400_00),
            ("partly_upheld", 400_01),
            ("partly_upheld", -1),
            ("rejected", 1),
            ("withdrawn", 400_00),
        ],
    )
    def test_anything_else_is_refused(self, outcome: DisputeOutcome, said: int | None) -> None:
        given(disputed()).when(resolve(outcome, said)).refused_as(UpheldInconsistent, field="upheld")

    def test_another_currency_is_refused(self) -> None:
        euros = Money(1_00, "EUR")
        given(disputed()).when(resolve("partly_upheld", upheld=euros)).refused_as(CurrencyDiffers, field="currency")

    def test_the_same_again_adds_nothing_and_another_end_is_refused(self) -> None:
        over = given(disputed(), resolved("rejected", 0))
        over.when(resolve("rejected")).then()
        refused = over.when(resolve("withdrawn")).refused_as(DisputeOver)
        assert refused.members["outcome"] == "rejected"

    def test_it_is_not_resolved_before_it_is_opened_nor_without(self) -> None:
        before = MADE_ON - timedelta(days=1)
        given(disputed()).when(resolve("rejected", resolved_on=before)).refused_as(ResolvedBeforeOpened)
        given().when(resolve("rejected")).refused_as(Unknown)


class TestItemEnds:
    def test_a_void_upholds_what_is_contested(self) -> None:
        voided = EndItem(item_id=A, end="voided", ended_on=PROMISED_ON, disputes=(DISPUTE,))
        given(disputed()).when(voided).then(resolved("upheld", 400_00)).when(voided).then()

    def test_a_void_dated_back_resolves_it_on_the_day_it_was_opened(self) -> None:
        voided = EndItem(item_id=A, end="voided", ended_on=date(2026, 1, 1), disputes=(DISPUTE,))
        given(disputed()).when(voided).then(resolved("upheld", 400_00, MADE_ON))

    def test_a_write_off_says_nothing_of_who_was_right(self) -> None:
        written_off = EndItem(item_id=A, end="written_off", ended_on=PROMISED_ON, disputes=(DISPUTE,))
        given(disputed()).when(written_off).then()
