"""What payments do to promises: counted first come first served, uncounted, taken back by a reversal."""

from datetime import timedelta
from typing import Any

from services.contact.domain.promise import BreakOverdue
from tests.unit.contact.build import (
    DUE_ON,
    MADE_ON,
    OLDER,
    PROMISE,
    PROMISED_ON,
    SECOND,
    A,
    B,
    broken,
    cancelled,
    count,
    given,
    kept,
    made,
    paid,
    take_back,
    uncount,
)

DAY = timedelta(days=1)
BOTH = {"promises": (OLDER, PROMISE)}
ITS: dict[str, Any] = {"promise_id": OLDER, "amount": 300_00}


def older() -> Any:
    """Made ten days before, past its day but within its grace: it stands beside the newer one."""
    return made(300_00, OLDER, effective_on=MADE_ON - 10 * DAY, grace_days=9)


class TestCount:
    def test_a_part_payment_counts_and_keeps_nothing(self) -> None:
        given(made()).when(count(200_00)).then(paid(200_00, 200_00))

    def test_the_payment_that_reaches_the_amount_keeps_the_promise(self) -> None:
        given(made(), paid(200_00, 200_00)).when(count(300_00, 2)).then(paid(300_00, 500_00, 2), kept(500_00))

    def test_the_threshold_is_enough_and_a_cent_less_is_not(self) -> None:
        given(made(threshold_pct=80)).when(count(399_99)).then(paid(399_99, 399_99))
        given(made(threshold_pct=80)).when(count(400_00)).then(paid(400_00, 400_00), kept(400_00))

    def test_a_receipt_of_the_last_day_counts_though_it_is_booked_later(self) -> None:
        booked = DUE_ON + DAY
        given(made()).when(count(500_00, received_on=DUE_ON, applied_on=booked)).then(
            paid(500_00, 500_00, on=booked), kept(500_00, booked)
        )

    def test_a_receipt_of_the_day_after_does_not(self) -> None:
        given(made()).when(count(500_00, received_on=DUE_ON + DAY)).then()

    def test_any_of_its_items_will_do(self) -> None:
        given(made(item_ids=(A, B))).when(count(200_00, item_id=B)).then(paid(200_00, 200_00, item_id=B))

    def test_the_same_fact_again_adds_nothing(self) -> None:
        given(made(), paid(200_00, 200_00)).when(count(200_00)).then()

    def test_one_fact_may_pay_two_items_of_a_promise(self) -> None:
        history = given(made(item_ids=(A, B)), paid(200_00, 200_00))
        history.when(count(300_00, item_id=B)).then(paid(300_00, 500_00, item_id=B), kept(500_00))

    def test_what_has_ended_counts_nothing_more(self) -> None:
        for ending in (kept(0), broken(0, DUE_ON), cancelled("withdrawn", MADE_ON)):
            given(made(), ending).when(count(500_00)).then()

    def test_without_a_promise_there_is_nothing_to_count(self) -> None:
        given().when(count(500_00, promises=())).then()

    def test_more_than_was_promised_counts_as_what_it_is(self) -> None:
        given(made()).when(count(900_00)).then(paid(900_00, 900_00), kept(900_00))


class TestFirstPromisedFirstServed:
    def test_the_older_promise_takes_what_it_lacks_and_the_newer_the_rest(self) -> None:
        given(made(), older()).when(count(400_00, **BOTH)).then(
            paid(300_00, 300_00, **ITS), kept(300_00, promise_id=OLDER, amount=300_00), paid(100_00, 100_00)
        )

    def test_what_the_older_one_needs_in_full_is_not_the_newer_ones(self) -> None:
        given(made(), older()).when(count(300_00, **BOTH)).then(
            paid(300_00, 300_00, **ITS), kept(300_00, promise_id=OLDER, amount=300_00)
        )

    def test_one_the_receipt_is_too_late_for_is_passed_over(self) -> None:
        strict = made(300_00, OLDER, effective_on=MADE_ON - 10 * DAY, grace_days=0)
        on = PROMISED_ON + DAY
        given(made(), strict).when(count(400_00, received_on=on, **BOTH)).then(paid(400_00, 400_00, on=on))

    def test_the_same_fact_again_adds_nothing_to_either(self) -> None:
        history = given(older(), made(), paid(300_00, 300_00, **ITS), kept(300_00, promise_id=OLDER, amount=300_00))
        history.when(count(400_00, **BOTH)).then()


class TestUncount:
    def test_a_correction_takes_it_back_while_the_promise_is_open(self) -> None:
        given(made(), paid(200_00, 200_00)).when(uncount(150_00)).then(paid(-150_00, 50_00, 2))

    def test_no_more_than_the_receipt_had_counted_there(self) -> None:
        history = [paid(200_00, 200_00), paid(100_00, 300_00, 2, receipt_id=SECOND)]
        given(made(), *history).when(uncount(900_00, 3)).then(paid(-200_00, 100_00, 3))

    def test_a_promise_that_was_kept_stays_kept_when_the_money_is_booked_elsewhere(self) -> None:
        given(made(), paid(500_00, 500_00), kept(500_00)).when(uncount(500_00)).then()

    def test_the_newest_promise_gives_back_first(self) -> None:
        long = made(300_00, OLDER, effective_on=MADE_ON - 10 * DAY)
        history = given(long, made(), paid(200_00, 200_00, **ITS), paid(100_00, 100_00))
        history.when(uncount(150_00, **BOTH)).then(paid(-100_00, 0, 2), paid(-50_00, 150_00, 2, **ITS))

    def test_the_same_fact_again_adds_nothing(self) -> None:
        given(made(), paid(200_00, 200_00), paid(-100_00, 100_00, 2)).when(uncount(100_00)).then()

    def test_a_fact_that_was_never_counted_takes_nothing_back(self) -> None:
        given(made()).when(uncount(100_00)).then()


class TestReversal:
    def test_money_the_bank_took_back_no_longer_counts(self) -> None:
        history = given(made(), paid(200_00, 200_00), paid(100_00, 300_00, 2, receipt_id=SECOND))
        history.when(take_back()).then(paid(-200_00, 100_00, 3, on=DUE_ON))

    def test_a_promise_that_it_had_kept_is_broken_and_the_kept_fact_stays(self) -> None:
        given(made(), paid(500_00, 500_00), kept(500_00)).when(take_back()).then(
            paid(-500_00, 0, 3, on=DUE_ON), broken(0, DUE_ON, "payment_reversed")
        )

    def test_it_takes_all_items_of_the_receipt_and_breaks_once(self) -> None:
        history = [paid(200_00, 200_00), paid(300_00, 500_00, item_id=B), kept(500_00)]
        given(made(item_ids=(A, B)), *history).when(take_back()).then(
            paid(-200_00, 300_00, 3, on=DUE_ON),
            paid(-300_00, 0, 3, on=DUE_ON, item_id=B),
            broken(0, DUE_ON, "payment_reversed"),
        )

    def test_a_promise_that_stays_paid_without_it_stays_kept(self) -> None:
        history = [paid(100_00, 100_00), paid(500_00, 600_00, 2, receipt_id=SECOND), kept(600_00)]
        given(made(), *history).when(take_back()).then(paid(-100_00, 500_00, 3, on=DUE_ON))

    def test_a_promise_kept_by_hand_was_not_kept_by_the_receipt(self) -> None:
        given(made(), paid(100_00, 100_00), kept(100_00)).when(take_back()).then(paid(-100_00, 0, 3, on=DUE_ON))

    def test_a_correction_first_does_not_shield_it(self) -> None:
        """The receipt that kept it was moved to another item, and then bounced: it kept nothing after all."""
        history = given(made(), paid(500_00, 500_00), kept(500_00))
        history.when(uncount(500_00)).then().when(take_back()).then(
            paid(-500_00, 0, 3, on=DUE_ON), broken(0, DUE_ON, "payment_reversed")
        )

    def test_again_it_finds_nothing(self) -> None:
        over = [paid(500_00, 500_00), kept(500_00), paid(-500_00, 0, 3), broken(0, DUE_ON, "payment_reversed")]
        given(made(), *over).when(take_back()).then()
        given(made(), *over).when(BreakOverdue(promise_id=PROMISE, today=DUE_ON + DAY)).then()

    def test_one_that_was_broken_or_cancelled_is_left_alone(self) -> None:
        for ending in (broken(200_00, DUE_ON), cancelled("withdrawn", DUE_ON, 200_00)):
            given(made(), paid(200_00, 200_00), ending).when(take_back()).then()
