"""Delinquency steps and account holds."""

from datetime import date

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from events.escalation import StepAdvanced
from services.escalation.domain.day import DateOutOfRange
from services.escalation.domain.hold import HoldAlreadyPlaced, HoldNotPlaced
from services.escalation.domain.seen import ItemClosed, ItemPlaced, ItemPromised
from services.escalation.domain.step import StepBeyondPolicy, StepNotPositive, StepOutOfOrder
from services.kernel.errors import Refused
from services.kernel.store import Arriving
from services.mirror.known import AccountNotKnown, ItemNotKnown
from tests.unit.escalation.build import (
    DAY,
    LABELS,
    LATER,
    PLACEMENT,
    ZONES,
    advance,
    advanced,
    given,
    held,
    hold,
    placed,
    recalled,
    seen,
    unheld,
    unhold,
)


class TestAdvanceStep:
    def test_the_first_step_of_the_policy_comes_first(self) -> None:
        given().when(advance()).then(advanced(1))
        given().when(advance(1)).then(advanced(1))

    def test_the_next_step_follows_with_its_label(self) -> None:
        given(advanced(1), advanced(2)).when(advance(3)).then(advanced(3, label="demand letter"))

    def test_a_step_that_was_reached_adds_nothing(self) -> None:
        given(advanced(1)).when(advance(1, on=LATER)).then()

    @pytest.mark.parametrize("step", [1, 4])
    def test_a_step_back_or_a_jump_is_refused(self, step: int) -> None:
        refusal = given(advanced(1), advanced(2)).when(advance(step)).refused_as(StepOutOfOrder, field="step")
        assert refusal.members == {"at": 2}

    def test_a_step_beyond_the_policy_is_refused(self) -> None:
        history = given(*(advanced(step) for step in range(1, 6)))
        history.when(advance()).refused_as(StepBeyondPolicy)
        given().when(advance(labels=())).refused_as(StepBeyondPolicy)

    def test_a_step_below_one_is_refused(self) -> None:
        given().when(advance(0)).refused_as(StepNotPositive, field="step")

    def test_an_item_that_is_not_known_here_may_be_about_to_arrive(self) -> None:
        refusal = given().when(advance(seen=None)).refused_as(ItemNotKnown, field="item_id")
        assert isinstance(refusal, Arriving)

    def test_nothing_is_escalated_on_an_item_that_is_closed_promised_or_placed(self) -> None:
        given().when(advance(seen=seen(minor=0))).refused_as(ItemClosed)
        given().when(advance(seen=seen(promised=True))).refused_as(ItemPromised)
        given(placed()).when(advance(seen=seen(placements=(PLACEMENT,)))).refused_as(ItemPlaced)
        given(placed(), recalled()).when(advance(seen=seen(placements=(PLACEMENT,)))).then(advanced(1))

    def test_a_part_that_is_contested_does_not_stop_the_rest(self) -> None:
        given().when(advance(seen=seen(disputed=True))).then(advanced(1))

    def test_without_a_date_it_is_the_branchs_own_today(self) -> None:
        given().when(advance(on=None, zones=ZONES)).then(advanced(1, effective_on=DAY))
        given().when(advance(on=None)).then(advanced(1, effective_on=date(2025, 7, 2)))

    def test_a_date_no_ledger_has_is_refused(self) -> None:
        given().when(advance(on=date(9999, 12, 31))).refused_as(DateOutOfRange, field="on")


@forall(st.lists(st.one_of(st.none(), st.integers(-1, 7)), max_size=12))
def test_steps_go_up_by_one_whatever_is_asked(asked: list[int | None]) -> None:
    history = given()
    for step in asked:
        try:
            decided = history.when(advance(step)).decided()
        except Refused:
            continue
        history = given(*history.facts, *decided)
    steps = [fact.step for fact in history.facts if isinstance(fact, StepAdvanced)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) <= len(LABELS)


class TestHolds:
    def test_an_account_is_put_on_hold(self) -> None:
        given().when(hold()).then(held())

    def test_the_same_hold_again_adds_nothing(self) -> None:
        given(held()).when(hold()).then()
        given(held()).when(hold(on=None)).then()

    def test_another_hold_on_a_held_account_is_refused(self) -> None:
        given(held()).when(hold(reason="nsf")).refused_as(HoldAlreadyPlaced)
        given(held()).when(hold(on=LATER)).refused_as(HoldAlreadyPlaced)

    def test_a_hold_on_an_account_not_known_here_is_refused(self) -> None:
        given().when(hold(branch=None)).refused_as(AccountNotKnown, field="account_id")

    def test_a_hold_is_released_by_somebody_who_answers_for_it(self) -> None:
        given(held()).when(unhold()).then(unheld())

    def test_the_same_release_again_adds_nothing(self) -> None:
        given(held(), unheld()).when(unhold()).then()

    def test_what_is_not_on_hold_cannot_be_released(self) -> None:
        given().when(unhold()).refused_as(HoldNotPlaced, field="account_id")
        given(held(), unheld()).when(unhold(released_by="manager.2")).refused_as(HoldNotPlaced)

    def test_an_account_can_be_put_on_hold_again(self) -> None:
        given(held(), unheld()).when(hold(on=LATER, reason="nsf")).then(held(effective_on=LATER, reason="nsf"))
