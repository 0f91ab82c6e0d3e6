"""Placements and recoveries."""

from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from events.escalation import PlacedItem, RecoveryReported
from events.money import Money
from services.escalation.domain.ending import PlacementEnded
from services.escalation.domain.placed import BeforePlacement, PlacementUnknown
from services.escalation.domain.placing import (
    AccountBankrupt,
    BelowMinimum,
    FeeInvalid,
    ItemDisputed,
    NothingToPlace,
    PlacedNotPositive,
    PlacementDiffers,
    Placing,
)
from services.escalation.domain.recovery import (
    CurrencyNotPlacements,
    RecoveryDiffers,
    RecoveryNotPositive,
    fee_of,
)
from services.escalation.domain.seen import (
    CurrencyNotItems,
    ItemClosed,
    ItemPlaced,
    ItemPromised,
    NotTheAccounts,
    NotTheBranchs,
)
from services.mirror.known import ItemNotKnown
from tests.unit.escalation.build import (
    DAY,
    EVENT,
    ITEM,
    LATER,
    LATEST,
    OTHER_ITEM,
    OTHER_PLACEMENT,
    PLACEMENT,
    RECEIPT,
    RECOVERY,
    close,
    closed,
    count,
    given,
    held,
    place,
    placed,
    recall,
    recalled,
    recovered,
    report,
    seen,
    usd,
)

ONE_ITEM = (Placing(item_id=ITEM),)
# A placement of the past, and the fact it leads to.
HISTORIC = {"items": (Placing(item_id=ITEM, amount=usd(700_00)),), "historic": True, "branch": "CHI"}
HAD = {"items": (PlacedItem(item_id=ITEM, amount=usd(700_00)),), "amount": usd(700_00)}


def elsewhere(**values: Any) -> Any:
    return placed(placement_id=OTHER_PLACEMENT, **values)


def both(**values: Any) -> dict[str, Any]:
    """What is seen of the first item, beside the second as it is."""
    return {"seen": (seen(**values), seen(OTHER_ITEM, 60_00))}


class TestPlaceWithAgency:
    def test_items_are_placed_with_what_is_open_on_them(self) -> None:
        given().when(place()).then(placed())

    def test_a_flat_fee_is_a_price_per_placement(self) -> None:
        command = place(phase="written_demand", fee_bp=0, flat_fee=usd(10_00))
        given().when(command).then(placed(phase="written_demand", fee_bp=0, flat_fee=usd(10_00)))

    def test_the_same_placement_again_adds_nothing_though_the_balances_moved(self) -> None:
        given(placed()).when(place(**both(minor=1_00))).then()
        given(placed(), recalled()).when(place()).then()

    @pytest.mark.parametrize(
        "other",
        [{"agency": "Other"}, {"phase": "written_demand"}, {"fee_bp": 3_000}, {"on": LATER}, {"items": ONE_ITEM}],
        ids=str,
    )
    def test_other_values_for_a_placement_are_refused(self, other: dict[str, Any]) -> None:
        given(placed()).when(place(**other)).refused_as(PlacementDiffers)

    def test_a_placement_without_items_or_with_one_twice_is_refused(self) -> None:
        given().when(place(items=())).refused_as(NothingToPlace, field="items")
        given().when(place(items=(Placing(item_id=ITEM),) * 2)).refused_as(NothingToPlace, field="items")

    def test_an_item_not_known_here_is_refused(self) -> None:
        given().when(place(seen=(seen(),))).refused_as(ItemNotKnown, field="item_id")

    def test_an_item_of_another_account_branch_or_currency_is_refused(self) -> None:
        item = seen().item
        other = msgspec.structs.replace(item, account_id=UUID(int=2))
        given().when(place(**both(item=other))).refused_as(NotTheAccounts)
        elsewhere_ = msgspec.structs.replace(seen(OTHER_ITEM).item, branch="DAL")
        given().when(place(seen=(seen(), seen(OTHER_ITEM, item=elsewhere_)))).refused_as(NotTheBranchs)
        given().when(place(branch="DAL")).refused_as(NotTheBranchs)
        foreign = seen(OTHER_ITEM, open=Money(1, "CAD"))
        given().when(place(seen=(seen(), foreign))).refused_as(CurrencyNotItems)

    def test_nothing_is_placed_that_is_closed_contested_promised_or_placed_already(self) -> None:
        given().when(place(**both(minor=0))).refused_as(ItemClosed)
        given().when(place(**both(disputed=True))).refused_as(ItemDisputed)
        given().when(place(**both(promised=True))).refused_as(ItemPromised)
        given(elsewhere()).when(place(**both(placements=(OTHER_PLACEMENT,)))).refused_as(ItemPlaced)

    def test_an_item_can_be_placed_again_after_the_first_placement_ended(self) -> None:
        ended = recalled(placement_id=OTHER_PLACEMENT)
        given(elsewhere(), ended).when(place(**both(placements=(OTHER_PLACEMENT,)))).then(placed())

    def test_an_earlier_row_of_the_batch_that_was_refused_does_not_have_the_item(self) -> None:
        given().when(place(**both(placements=(OTHER_PLACEMENT,)))).then(placed())

    def test_less_than_the_minimum_is_refused(self) -> None:
        refusal = given().when(place(minimum=usd(960_01))).refused_as(BelowMinimum)
        assert refusal.members["minimum"] == {"minor": 960_01, "currency": "USD"}
        given().when(place(minimum=usd(960_00))).then(placed())
        given().when(place(minimum=None)).then(placed())

    def test_an_account_in_bankruptcy_is_refused(self) -> None:
        given(held(reason="bankruptcy")).when(place()).refused_as(AccountBankrupt)
        given(held(reason="past_due")).when(place()).then(placed())

    @pytest.mark.parametrize(
        "fees", [{"fee_bp": -1}, {"fee_bp": 10_001}, {"flat_fee": usd(1)}, {"fee_bp": 0, "flat_fee": usd(-1)}], ids=str
    )
    def test_a_fee_that_is_none_or_both_is_refused(self, fees: dict[str, Any]) -> None:
        given().when(place(**fees)).refused_as(FeeInvalid)

    def test_a_fee_in_another_currency_is_refused(self) -> None:
        given().when(place(fee_bp=0, flat_fee=Money(1, "CAD"))).refused_as(CurrencyNotItems, field="currency")


class TestHistoricPlacement:
    """What is open, contested or promised today says nothing about a placement of the past."""

    def test_it_is_put_on_record_with_the_balance_it_had(self) -> None:
        now = {"seen": (seen(minor=0, disputed=True, promised=True),), "minimum": usd(1000_00)}
        given(held(reason="bankruptcy")).when(place(**HISTORIC, **now)).then(placed(**HAD))

    def test_the_same_again_adds_nothing_and_another_balance_is_refused(self) -> None:
        given(placed(**HAD)).when(place(**HISTORIC)).then()
        other = HISTORIC | {"items": (Placing(item_id=ITEM, amount=usd(1)),)}
        given(placed(**HAD)).when(place(**other)).refused_as(PlacementDiffers)

    def test_a_balance_that_is_not_above_zero_is_refused(self) -> None:
        zero = HISTORIC | {"items": (Placing(item_id=ITEM, amount=usd(0)),)}
        given().when(place(**zero)).refused_as(PlacedNotPositive, field="amount")

    def test_an_item_is_with_one_agency_at_a_time_in_the_past_too(self) -> None:
        now = {"seen": (seen(placements=(OTHER_PLACEMENT,)),)}
        given(elsewhere()).when(place(**HISTORIC, **now)).refused_as(ItemPlaced)


class TestEndOfPlacement:
    def test_a_placement_is_recalled(self) -> None:
        given(placed(), recovered(100_00, 35_00)).when(recall()).then(recalled(100_00))

    def test_a_placement_is_closed(self) -> None:
        given(placed()).when(close()).then(closed())

    def test_the_same_end_again_adds_nothing(self) -> None:
        given(placed(), recalled()).when(recall()).then()
        given(placed(), closed()).when(close(on=None)).then()

    def test_another_end_is_refused(self) -> None:
        given(placed(), recalled()).when(recall(reason="paid")).refused_as(PlacementEnded)
        given(placed(), recalled()).when(close()).refused_as(PlacementEnded)
        given(placed(), closed()).when(recall()).refused_as(PlacementEnded)
        given(placed(), closed()).when(close(on=LATEST)).refused_as(PlacementEnded)

    def test_a_placement_nobody_made_cannot_end(self) -> None:
        given().when(recall()).refused_as(PlacementUnknown, field="placement_id")
        given().when(close()).refused_as(PlacementUnknown, field="placement_id")

    def test_an_end_before_the_placement_is_refused(self) -> None:
        given(placed(effective_on=LATEST)).when(recall()).refused_as(BeforePlacement)


class TestReportRecovery:
    def test_the_agency_earns_its_share_of_the_gross(self) -> None:
        given(placed()).when(report(400_00)).then(recovered(400_00, 140_00))

    def test_a_flat_fee_placement_has_no_fee_on_what_comes_in(self) -> None:
        flat = placed(phase="written_demand", fee_bp=0, flat_fee=usd(10_00))
        given(flat).when(report(400_00)).then(recovered(400_00, 0, phase="written_demand"))

    def test_the_next_recovery_adds_to_the_first(self) -> None:
        second = recovered(50_00, 17_50, in_all=450_00, recovery_id=EVENT)
        given(placed(), recovered(400_00, 140_00)).when(report(50_00, recovery_id=EVENT)).then(second)

    def test_a_last_remittance_after_the_end_still_counts(self) -> None:
        given(placed(), closed()).when(report(400_00)).then(recovered(400_00, 140_00))

    def test_the_same_recovery_again_adds_nothing_and_other_values_are_refused(self) -> None:
        given(placed(), recovered(400_00, 140_00)).when(report(400_00)).then()
        given(placed(), recovered(400_00, 140_00)).when(report(400_01)).refused_as(RecoveryDiffers)

    def test_what_cannot_be_is_refused(self) -> None:
        given().when(report(1)).refused_as(PlacementUnknown)
        given(placed()).when(report(0)).refused_as(RecoveryNotPositive, field="gross")
        given(placed()).when(msgspec.structs.replace(report(1), gross=Money(1, "CAD"))).refused_as(
            CurrencyNotPlacements
        )
        given(placed(effective_on=LATEST)).when(report(1)).refused_as(BeforePlacement)

    @pytest.mark.parametrize(
        ("gross", "bp", "fee"),
        [(1_00, 5, 0), (10_00, 5, 0), (30_00, 5, 2), (50_00, 5, 2), (3, 5_000, 2), (1, 5_000, 0)],
    )
    def test_the_fee_is_rounded_half_to_even(self, gross: int, bp: int, fee: int) -> None:
        assert fee_of(usd(gross), bp) == usd(fee)
        assert fee_of(usd(-gross), bp) == usd(-fee)


def direct(change: int, fee: int, *, in_all: int, event: UUID = EVENT, **values: Any) -> RecoveryReported:
    recovery_id = uuid5(event, f"{PLACEMENT} {ITEM}")
    said = {"recovery_id": recovery_id, "recovered_from": "direct", "receipt_id": RECEIPT, "item_id": ITEM}
    return recovered(change, fee, in_all=in_all, **said | values)


SECOND = UUID(int=61)


class TestCountPayment:
    def test_a_payment_to_us_on_a_placed_item_is_a_direct_recovery(self) -> None:
        given(placed()).when(count(300_00)).then(direct(300_00, 105_00, in_all=300_00))

    def test_the_same_fact_again_adds_nothing(self) -> None:
        given(placed(), direct(300_00, 105_00, in_all=300_00)).when(count(300_00)).then()

    def test_an_item_with_no_agency_counts_nowhere(self) -> None:
        given().when(count(300_00, placements=())).then()
        given(placed()).when(count(300_00, item_id=UUID(int=99))).then()

    def test_money_from_before_the_placement_or_after_its_end_does_not_count(self) -> None:
        given(placed(effective_on=LATEST)).when(count(300_00)).then()
        given(placed(), recalled()).when(count(300_00, on=LATEST)).then()
        given(placed(), recalled()).when(count(300_00, on=LATER)).then(direct(300_00, 105_00, in_all=300_00))

    def test_the_deposit_date_decides_and_not_when_it_was_applied(self) -> None:
        given(placed(effective_on=LATER)).when(count(300_00, received_on=DAY)).then()
        given(placed(), recalled()).when(count(1_00, on=LATEST, received_on=LATER)).then(
            direct(1_00, 35, in_all=1_00, effective_on=LATEST)
        )

    def test_what_was_counted_is_taken_back_when_it_is_unapplied(self) -> None:
        history = given(placed(), direct(300_00, 105_00, in_all=300_00))
        history.when(count(-300_00, event_id=SECOND)).then(direct(-300_00, -105_00, in_all=0, event=SECOND))

    def test_what_was_counted_is_taken_back_after_the_end_too(self) -> None:
        history = given(placed(), direct(300_00, 105_00, in_all=300_00), recalled(300_00))
        undone = direct(-300_00, -105_00, in_all=0, event=SECOND, effective_on=LATEST)
        history.when(count(-300_00, event_id=SECOND, on=LATEST)).then(undone)

    def test_no_more_is_taken_back_than_was_counted(self) -> None:
        given(placed()).when(count(-300_00)).then()
        history = given(placed(), direct(100_00, 35_00, in_all=100_00))
        history.when(count(-300_00, event_id=SECOND)).then(direct(-100_00, -35_00, in_all=0, event=SECOND))

    def test_the_agencys_own_remittance_is_no_direct_payment(self) -> None:
        remitted = recovered(300_00, 105_00, receipt_id=RECEIPT)
        given(placed(), remitted).when(count(300_00)).then()

    def test_a_receipt_that_turns_out_to_be_the_agencys_counts_once(self) -> None:
        history = given(placed(), direct(300_00, 105_00, in_all=300_00))
        undone = direct(-300_00, -105_00, in_all=0, recovery_id=uuid5(RECOVERY, f"not direct {ITEM}"))
        reported = recovered(320_00, 112_00, receipt_id=RECEIPT)
        history.when(report(320_00, receipt_id=RECEIPT)).then(undone, reported)


@forall(st.lists(st.integers(-50_00, 50_00).filter(bool), max_size=12), st.integers(0, 10_000))
def test_the_fee_is_that_on_what_still_counts_whatever_was_applied_and_undone(changes: list[int], bp: int) -> None:
    history = given(placed(fee_bp=bp))
    for at, change in enumerate(changes):
        decided = history.when(count(change, event_id=UUID(int=1000 + at))).decided()
        history = given(*history.facts, *decided)
    recoveries = [fact for fact in history.facts if isinstance(fact, RecoveryReported)]
    gross, fee = sum(r.gross.minor for r in recoveries), sum(r.fee.minor for r in recoveries)
    assert gross >= 0
    assert usd(fee) == fee_of(usd(gross), bp)
    assert all(r.net == r.gross - r.fee for r in recoveries)
    assert not recoveries or recoveries[-1].recovered == usd(gross)
