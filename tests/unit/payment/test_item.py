"""What facts of other services do to an item, and to the receipts that had settled it."""

import pytest
from msgspec.structs import replace

from events.money import Money
from events.payment import ItemChanged
from services.payment.domain import DOMAIN
from services.payment.domain.commands import (
    CreditItem,
    OpenItem,
    ReverseReceipt,
    ReverseWriteOff,
    VoidItem,
    WriteOffItem,
)
from services.payment.domain.refusals import (
    CreditTooLarge,
    ItemDiffers,
    ItemIsVoid,
    ItemUnknown,
    MoreThanOpen,
    OtherCurrency,
    WriteOffUnknown,
)
from tests.support.scenario import Scenario
from tests.unit.payment.build import (
    DAY,
    NOTE,
    OFF,
    R2,
    A,
    R,
    applied,
    apply,
    changed,
    day,
    item,
    opened,
    paid_in_full,
    received,
    reversed_,
    share,
    unapplied,
    usd,
)

given = Scenario(DOMAIN).given
ON = day(20)


class TestOpen:
    def test_an_item_is_taken_into_the_mirror(self) -> None:
        given().when(open_("100")).then(opened())

    def test_the_same_item_again_adds_nothing_whatever_happened_to_it(self) -> None:
        given(*paid_in_full()).when(open_("100")).then()

    def test_the_same_id_with_another_amount_is_refused(self) -> None:
        given(opened()).when(open_("99")).refused_as(ItemDiffers)

    def test_the_same_id_due_on_another_day_is_refused(self) -> None:
        command = replace(open_("100"), item=replace(item(), due_on=day(0)))
        given(opened()).when(command).refused_as(ItemDiffers)


class TestCredit:
    def test_it_lowers_what_is_open(self) -> None:
        given(opened()).when(credit("30")).then(credited("-30", "70"))

    def test_the_same_credit_note_again_adds_nothing(self) -> None:
        given(opened(), credited("-30", "70")).when(credit("30")).then()

    def test_above_what_is_open_it_frees_money_that_had_been_applied(self) -> None:
        given(*paid_in_full()).when(credit("30")).then(
            unapplied(share("30", "30"), unapplied="30", reason="credit_note", on=ON),
            changed("unapplied", "30", "30", on=ON),
            credited("-30", "0"),
        )

    def test_the_newest_application_is_freed_first(self) -> None:
        history = given(
            opened(),
            received("60"),
            received("40", receipt=R2),
            applied(share("60", "40"), unapplied="0"),
            changed("applied", "-60", "40"),
            applied(share("40", "0"), unapplied="0", receipt=R2),
            changed("applied", "-40", "0", by=R2),
        )
        history.when(credit("50")).then(
            unapplied(share("40", "40"), unapplied="40", reason="credit_note", receipt=R2, on=ON),
            changed("unapplied", "40", "40", by=R2, on=ON),
            changed("unapplied", "10", "50", by=R, on=ON),
            credited("-50", "0"),
            unapplied(share("10", "50"), unapplied="10", reason="credit_note", on=ON),
        )

    def test_a_write_off_is_taken_back_before_money_is_freed(self) -> None:
        history = given(
            opened(),
            received("60"),
            applied(share("60", "40"), unapplied="0"),
            changed("applied", "-60", "40"),
            changed("written_off", "-40", "0", by=OFF),
        )
        history.when(credit("50")).then(
            changed("write_off_reversed", "40", "40", by=OFF, on=ON),
            changed("unapplied", "10", "50", on=ON),
            credited("-50", "0"),
            unapplied(share("10", "50"), unapplied="10", reason="credit_note", on=ON),
        )

    def test_an_application_later_than_the_credit_note_is_freed_on_its_own_day(self) -> None:
        given(*paid_in_full(on=day(30))).when(credit("30")).then(
            unapplied(share("30", "30"), unapplied="30", reason="credit_note", on=day(30)),
            changed("unapplied", "30", "30", on=day(30)),
            credited("-30", "0"),
        )

    def test_more_than_the_item_ever_stood_for_is_refused(self) -> None:
        given(opened(), credited("-30", "70")).when(replace(credit("71"), credit_note_id=R2)).refused_as(CreditTooLarge)

    def test_a_void_item_is_refused(self) -> None:
        given(opened(), voided("-100")).when(credit("1")).refused_as(ItemIsVoid)

    def test_another_currency_is_refused(self) -> None:
        given(opened()).when(replace(credit("1"), amount=Money(1, "CAD"))).refused_as(OtherCurrency)

    def test_an_unknown_item_is_refused(self) -> None:
        given().when(credit("1")).refused_as(ItemUnknown)


class TestVoid:
    def test_nothing_is_owed_any_more(self) -> None:
        given(opened()).when(void()).then(voided("-100"))

    def test_money_that_had_settled_it_is_free_again(self) -> None:
        given(*paid_in_full()).when(void()).then(
            unapplied(share("100", "100"), unapplied="100", reason="void", on=ON),
            changed("unapplied", "100", "100", on=ON),
            voided("-100"),
        )

    def test_a_write_off_and_a_credit_note_leave_the_rest_to_void(self) -> None:
        history = given(opened(), credited("-30", "70"), changed("written_off", "-70", "0", by=OFF, on=DAY))
        history.when(void()).then(changed("write_off_reversed", "70", "70", by=OFF, on=ON), voided("-70"))

    def test_a_fully_credited_item_is_void_too(self) -> None:
        given(opened(), credited("-100", "0")).when(void()).then(voided("0")).when(void()).then()

    def test_the_same_void_again_adds_nothing(self) -> None:
        given(opened(), voided("-100")).when(void()).then()

    def test_nothing_can_be_applied_to_it(self) -> None:
        given(opened(), received(), voided("-100")).when(apply((A, "1"))).refused_as(MoreThanOpen)

    def test_an_unknown_item_is_refused(self) -> None:
        given().when(void()).refused_as(ItemUnknown)


class TestWriteOff:
    def test_the_amount_is_given_up(self) -> None:
        given(opened()).when(write_off("40")).then(changed("written_off", "-40", "60", by=OFF, on=ON))

    def test_no_more_than_is_open(self) -> None:
        given(opened(), credited("-30", "70")).when(write_off("100")).then(
            changed("written_off", "-70", "0", by=OFF, on=ON)
        )

    def test_nothing_open_is_on_record_as_a_change_of_nothing(self) -> None:
        history = given(*paid_in_full()).when(write_off("100"))
        history.then(changed("written_off", "0", "0", by=OFF, on=ON)).when(write_off("100")).then()

    def test_the_same_write_off_again_adds_nothing(self) -> None:
        given(opened(), changed("written_off", "-40", "60", by=OFF, on=ON)).when(write_off("40")).then()

    def test_the_same_write_off_again_adds_nothing_after_it_was_reversed(self) -> None:
        off = changed("written_off", "-40", "60", by=OFF, on=ON)
        back = changed("write_off_reversed", "40", "100", by=OFF, on=ON)
        given(opened(), off, back).when(write_off("40")).then()

    def test_another_currency_is_refused(self) -> None:
        given(opened()).when(replace(write_off("1"), amount=Money(1, "CAD"))).refused_as(OtherCurrency)

    def test_an_unknown_item_is_refused(self) -> None:
        given().when(write_off("1")).refused_as(ItemUnknown)


class TestReverseWriteOff:
    def test_what_was_given_up_is_open_again(self) -> None:
        history = given(opened(), changed("written_off", "-40", "60", by=OFF)).when(reverse())
        history.then(changed("write_off_reversed", "40", "100", by=OFF, on=ON)).when(reverse()).then()

    def test_only_what_was_really_given_up(self) -> None:
        given(*paid_in_full(), changed("written_off", "0", "0", by=OFF)).when(reverse()).then()

    def test_nothing_is_open_again_of_a_void_item(self) -> None:
        void_ = (changed("write_off_reversed", "40", "100", by=OFF), voided("-100"))
        given(opened(), changed("written_off", "-40", "60", by=OFF), *void_).when(reverse()).then()

    def test_a_write_off_that_the_item_never_had_is_refused(self) -> None:
        given(opened()).when(reverse()).refused_as(WriteOffUnknown)


def test_a_return_of_money_after_a_credit_note_had_freed_it_opens_the_item_only_by_what_was_still_applied() -> None:
    history = (
        given(*paid_in_full())
        .when(credit("30"))
        .then(
            unapplied(share("30", "30"), unapplied="30", reason="credit_note", on=ON),
            changed("unapplied", "30", "30", on=ON),
            credited("-30", "0"),
        )
    )
    history.when(ReverseReceipt(receipt_id=R, reason="nsf", on=ON)).then(
        unapplied(share("70", "70"), unapplied="100", reason="reversal", on=ON),
        reversed_(on=ON),
        changed("unapplied", "70", "70", on=ON),
    )


@pytest.mark.parametrize("command", [WriteOffItem, ReverseWriteOff, VoidItem, CreditItem])
def test_every_command_on_an_item_is_about_its_stream(command: type) -> None:
    made = {WriteOffItem: write_off("1"), ReverseWriteOff: reverse(), VoidItem: void(), CreditItem: credit("1")}
    assert DOMAIN.subject(made[command]) == f"item-{A}"


def open_(original: str) -> OpenItem:
    return OpenItem(item=item(), number="4711", original=usd(original), on=DAY)


def credit(amount: str) -> CreditItem:
    return CreditItem(item_id=A, credit_note_id=NOTE, amount=usd(amount), on=ON)


def credited(change: str, left: str) -> ItemChanged:
    return changed("credited", change, left, by=NOTE, on=ON)


def void() -> VoidItem:
    return VoidItem(item_id=A, invoice_id=A, on=ON)


def voided(change: str) -> ItemChanged:
    return changed("voided", change, "0", by=A, on=ON)


def write_off(amount: str) -> WriteOffItem:
    return WriteOffItem(item_id=A, write_off_id=OFF, amount=usd(amount), on=ON)


def reverse() -> ReverseWriteOff:
    return ReverseWriteOff(item_id=A, write_off_id=OFF, on=ON)
