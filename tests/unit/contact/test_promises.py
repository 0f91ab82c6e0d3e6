"""Promises: what may be promised, what a new one does to an older one, and how they end by hand or by their date."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.contact.domain.ended_item import EndItem
from services.contact.domain.named import (
    AmountNotPositive,
    CurrencyDiffers,
    ItemOfOtherAccount,
    Named,
    NoItems,
    SeveralBranches,
)
from services.contact.domain.promise import (
    BreakOverdue,
    BreakPromise,
    CancelPromise,
    EndedBeforeMade,
    GraceOutOfRange,
    KeepPromise,
    KeptTooLate,
    PromiseAboveBilled,
    PromiseAboveOpen,
    PromiseChanged,
    PromisedBeforeMade,
    PromisedTooFar,
    PromiseOver,
    Received,
    ThresholdOutOfRange,
)
from services.kernel.errors import Unknown
from services.mirror.known import ItemNotKnown
from tests.unit.contact.build import (
    DUE_ON,
    ELSEWHERE,
    FOREIGN,
    MADE_ON,
    NEWER,
    OLDER,
    PROMISE,
    PROMISED_ON,
    RECEIPT,
    SECOND,
    STRANGER,
    UNHEARD,
    A,
    B,
    broken,
    cancelled,
    given,
    kept,
    known,
    made,
    paid,
    promise,
    usd,
)

DAY = timedelta(days=1)


class TestMake:
    def test_a_promise_is_made(self) -> None:
        given().when(promise()).then(made())

    def test_all_that_is_open_on_its_items_may_be_promised_and_not_a_cent_more(self) -> None:
        given().when(promise(2_000_00, item_ids=(B, A))).then(made(2_000_00, item_ids=(A, B)))
        refused = given().when(promise(2_000_01, item_ids=(A, B))).refused_as(PromiseAboveOpen, field="amount")
        assert refused.members["open"] == {"minor": 2_000_00, "currency": "USD"}

    def test_an_item_named_twice_counts_once(self) -> None:
        given().when(promise(1_000_01, item_ids=(A, A))).refused_as(PromiseAboveOpen)

    def test_it_may_be_for_the_day_it_is_made_and_for_none_before(self) -> None:
        given().when(promise(promised_on=MADE_ON)).then(made(promised_on=MADE_ON))
        given().when(promise(promised_on=MADE_ON - DAY)).refused_as(PromisedBeforeMade, field="promised_on")

    @pytest.mark.parametrize(
        ("values", "refusal", "field"),
        [
            ({"item_ids": ()}, NoItems, "item_ids"),
            ({"amount": usd(0)}, AmountNotPositive, "amount"),
            ({"amount": usd(-5)}, AmountNotPositive, "amount"),
            ({"promised_on": date(2036, 3, 3)}, PromisedTooFar, "promised_on"),
            ({"promised_on": date.max}, PromisedTooFar, "promised_on"),
            ({"grace_days": -1}, GraceOutOfRange, "grace_days"),
            ({"grace_days": 91}, GraceOutOfRange, "grace_days"),
            ({"threshold_pct": 0}, ThresholdOutOfRange, "threshold_pct"),
            ({"threshold_pct": 101}, ThresholdOutOfRange, "threshold_pct"),
            ({"item_ids": (A, UNHEARD)}, ItemNotKnown, "item_ids"),
            ({"item_ids": (A, STRANGER)}, ItemOfOtherAccount, "item_ids"),
            ({"item_ids": (A, ELSEWHERE)}, SeveralBranches, "item_ids"),
            ({"item_ids": (A, FOREIGN)}, CurrencyDiffers, "currency"),
        ],
    )
    def test_what_makes_no_promise_is_refused(self, values: dict[str, Any], refusal: Any, field: str) -> None:
        given().when(promise(**values)).refused_as(refusal, field=field)

    def test_the_same_again_adds_nothing_whatever_became_of_it(self) -> None:
        given(made()).when(promise()).then()
        given(made(), paid(500_00, 500_00), kept(500_00)).when(promise()).then()

    def test_the_same_id_with_other_values_is_refused(self) -> None:
        given(made()).when(promise(499_00)).refused_as(PromiseChanged, field="promise_id")

    def test_a_promise_of_the_past_is_held_against_what_was_billed(self) -> None:
        given().when(promise(1_500_00, historic=True)).then(made(1_500_00))
        given().when(promise(1_500_01, historic=True)).refused_as(PromiseAboveBilled, field="amount")
        given().when(promise(historic=True, named=Named(items=(known(A),)))).refused_as(ItemNotKnown)


class TestRenegotiated:
    def test_a_new_promise_over_the_item_takes_the_place_of_the_one_whose_day_has_not_passed(self) -> None:
        newer = promise(promise_id=NEWER, made_on=PROMISED_ON, promised_on=DUE_ON, beside=(PROMISE,))
        given(made(), paid(1_00, 1_00)).when(newer).then(
            cancelled("renegotiated", PROMISED_ON, 1_00),
            made(promise_id=NEWER, effective_on=PROMISED_ON, promised_on=DUE_ON),
        )

    def test_one_overlapping_item_is_enough(self) -> None:
        newer = promise(promise_id=NEWER, item_ids=(B,), beside=(PROMISE,))
        given(made(item_ids=(A, B))).when(newer).then(
            cancelled("renegotiated", MADE_ON), made(promise_id=NEWER, item_ids=(B,))
        )

    def test_after_its_day_the_older_one_stands_to_be_kept_or_broken(self) -> None:
        on = PROMISED_ON + DAY
        newer = promise(promise_id=NEWER, made_on=on, promised_on=on, beside=(PROMISE,))
        given(made()).when(newer).then(made(promise_id=NEWER, effective_on=on, promised_on=on))

    def test_one_that_has_ended_is_left_alone(self) -> None:
        newer = promise(promise_id=NEWER, beside=(PROMISE,))
        given(made(), kept(0)).when(newer).then(made(promise_id=NEWER))

    def test_history_comes_in_any_order(self) -> None:
        """The older promise is put on record last: it was renegotiated all the same, on the day the newer was made."""
        on = MADE_ON + DAY
        newer = made(promise_id=NEWER, effective_on=on)
        given(newer).when(promise(beside=(NEWER,), historic=True)).then(made(), cancelled("renegotiated", on))

    def test_a_newer_promise_that_was_an_error_renegotiated_nothing(self) -> None:
        on = MADE_ON + DAY
        error = [made(promise_id=NEWER, effective_on=on), cancelled("entry_error", on, promise_id=NEWER)]
        given(*error).when(promise(beside=(NEWER,), historic=True)).then(made())

    def test_a_newer_promise_made_after_its_day_renegotiated_nothing(self) -> None:
        newer = made(promise_id=NEWER, effective_on=DUE_ON, promised_on=DUE_ON)
        given(newer).when(promise(beside=(NEWER,), historic=True)).then(made())


class TestPaidBeforeItWasOnRecord:
    def received(self, minor: int, applied_on: date, received_on: date | None = None, **values: Any) -> Received:
        common = {"receipt_id": RECEIPT, "item_id": A, "received_on": received_on or applied_on}
        return Received(**common | {"applied_on": applied_on, "amount": usd(minor)} | values)

    def test_what_came_after_it_was_made_counts(self) -> None:
        on = MADE_ON + DAY
        given().when(promise(received=(self.received(200_00, on),))).then(made(), paid(200_00, 200_00, None, on=on))

    def test_enough_of_it_keeps_the_promise_and_the_rest_is_left(self) -> None:
        on, later = MADE_ON + DAY, MADE_ON + 2 * DAY
        received = (
            self.received(100_00, later, receipt_id=SECOND, item_id=B),
            self.received(500_00, on),
        )
        given().when(promise(item_ids=(A, B), received=received)).then(
            made(item_ids=(A, B)), paid(500_00, 500_00, None, on=on), kept(500_00, on)
        )

    def test_what_was_applied_by_the_day_it_was_made_was_known_to_both(self) -> None:
        given().when(promise(received=(self.received(200_00, MADE_ON),))).then(made())

    def test_a_receipt_after_its_last_day_does_not_count(self) -> None:
        in_time = self.received(200_00, DUE_ON + DAY, DUE_ON)
        late = self.received(100_00, DUE_ON + DAY, receipt_id=SECOND)
        given().when(promise(received=(in_time, late))).then(made(), paid(200_00, 200_00, None, on=DUE_ON + DAY))

    def test_what_another_promise_has_counted_is_not_counted_twice(self) -> None:
        older = made(300_00, OLDER, effective_on=MADE_ON - 9 * DAY, promised_on=MADE_ON - DAY, grace_days=9)
        its = {"promise_id": OLDER, "amount": 300_00}
        on = MADE_ON + DAY
        history = given(older, paid(150_00, 150_00, on=on, **its))
        received = (self.received(200_00, on),)
        history.when(promise(beside=(OLDER,), received=received)).then(made(), paid(50_00, 50_00, None, on=on))

    def test_what_came_after_it_was_renegotiated_is_the_newer_ones(self) -> None:
        newer = made(promise_id=NEWER, effective_on=MADE_ON + 2 * DAY)
        received = (self.received(1_00, MADE_ON + DAY), self.received(2_00, MADE_ON + 2 * DAY, receipt_id=SECOND))
        given(newer).when(promise(beside=(NEWER,), received=received)).then(
            made(), paid(1_00, 1_00, None, on=MADE_ON + DAY), cancelled("renegotiated", MADE_ON + 2 * DAY, 1_00)
        )


class TestEndByHand:
    def test_it_was_kept_though_no_receipt_shows_it(self) -> None:
        given(made()).when(KeepPromise(promise_id=PROMISE, kept_on=DUE_ON)).then(kept(0, DUE_ON))

    def test_it_cannot_have_been_kept_after_its_last_day(self) -> None:
        late = KeepPromise(promise_id=PROMISE, kept_on=DUE_ON + DAY)
        refused = given(made()).when(late).refused_as(KeptTooLate, field="kept_on")
        assert refused.members["due_on"] == DUE_ON.isoformat()

    def test_it_is_known_to_be_broken_before_its_day(self) -> None:
        given(made()).when(BreakPromise(promise_id=PROMISE, broken_on=MADE_ON)).then(broken(0, MADE_ON))

    @pytest.mark.parametrize("reason", ["withdrawn", "entry_error", "invoice_voided"])
    def test_it_is_cancelled(self, reason: Any) -> None:
        cancel = CancelPromise(promise_id=PROMISE, reason=reason, cancelled_on=PROMISED_ON)
        given(made()).when(cancel).then(cancelled(reason, PROMISED_ON)).when(cancel).then()

    ENDINGS = (
        KeepPromise(promise_id=PROMISE, kept_on=PROMISED_ON),
        BreakPromise(promise_id=PROMISE, broken_on=PROMISED_ON),
        CancelPromise(promise_id=PROMISE, reason="withdrawn", cancelled_on=PROMISED_ON),
    )

    @pytest.mark.parametrize("first", ENDINGS)
    @pytest.mark.parametrize("second", ENDINGS)
    def test_no_promise_ends_twice_and_the_same_end_again_adds_nothing(self, first: Any, second: Any) -> None:
        over = given(made(), *given(made()).when(first).decided())
        if first is second:
            over.when(second).then()
        else:
            refused = over.when(second).refused_as(PromiseOver)
            assert refused.members["ended_on"] == PROMISED_ON.isoformat()

    def test_it_does_not_end_before_it_was_made_nor_without(self) -> None:
        before = MADE_ON - DAY
        for command in (
            KeepPromise(promise_id=PROMISE, kept_on=before),
            BreakPromise(promise_id=PROMISE, broken_on=before),
            CancelPromise(promise_id=PROMISE, reason="withdrawn", cancelled_on=before),
        ):
            given(made()).when(command).refused_as(EndedBeforeMade)
            given().when(command).refused_as(Unknown)


class TestOverdue:
    def at(self, today: date) -> BreakOverdue:
        return BreakOverdue(promise_id=PROMISE, today=today)

    def test_it_breaks_on_the_day_after_its_last_however_late_that_is_noticed(self) -> None:
        given(made(), paid(1_00, 1_00)).when(self.at(DUE_ON + 40 * DAY)).then(broken(1_00, DUE_ON + DAY))

    def test_it_does_not_break_on_its_last_day(self) -> None:
        given(made()).when(self.at(DUE_ON)).then()
        given(made()).when(self.at(DUE_ON + DAY)).then(broken(0, DUE_ON + DAY))

    def test_without_grace_its_last_day_is_the_one_promised(self) -> None:
        given(made(grace_days=0)).when(self.at(PROMISED_ON + DAY)).then(broken(0, PROMISED_ON + DAY))

    def test_a_signal_that_comes_twice_or_late_does_nothing(self) -> None:
        late = self.at(DUE_ON + DAY)
        given(made(), broken(0, DUE_ON + DAY)).when(late).then()
        given(made(), paid(500_00, 500_00), kept(500_00)).when(late).then()
        given(made(), cancelled("withdrawn", MADE_ON)).when(late).then()
        given().when(late).refused_as(Unknown)


class TestItemEnds:
    def ends(self, end: Any = "voided", on: date = PROMISED_ON, ended: tuple[UUID, ...] = ()) -> EndItem:
        return EndItem(item_id=A, end=end, ended_on=on, promises=(PROMISE,), ended=ended)

    def test_the_promise_of_a_voided_invoice_is_cancelled(self) -> None:
        given(made()).when(self.ends()).then(cancelled("invoice_voided", PROMISED_ON)).when(self.ends()).then()

    def test_the_promise_of_an_item_written_off_is_withdrawn_not_broken(self) -> None:
        given(made()).when(self.ends("written_off")).then(cancelled("withdrawn", PROMISED_ON))

    def test_it_stands_while_another_of_its_items_does(self) -> None:
        both = made(item_ids=(A, B))
        given(both).when(self.ends()).then()
        given(both).when(self.ends(ended=(B,))).then(cancelled("invoice_voided", PROMISED_ON))

    def test_a_void_dated_back_ends_it_on_the_day_it_was_made(self) -> None:
        given(made()).when(self.ends(on=MADE_ON - DAY)).then(cancelled("invoice_voided", MADE_ON))

    def test_one_that_has_ended_stays_as_it_ended(self) -> None:
        given(made(), paid(500_00, 500_00), kept(500_00)).when(self.ends()).then()
