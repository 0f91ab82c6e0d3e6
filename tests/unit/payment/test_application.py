"""Applying receipts, undoing it, and the rows of files that bring both receipt and application."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from events.money import Money
from services.kernel.errors import Refused
from services.kernel.store import Arriving
from services.payment.domain import DOMAIN
from services.payment.domain.commands import ApplyReceipt, Line, UnapplyReceipt, UndoLine
from services.payment.domain.refusals import (
    ApplicationChanged,
    BeforeReceived,
    CardNumber,
    ItemRepeated,
    ItemUnknown,
    MoreThanApplied,
    MoreThanOpen,
    MoreThanUnapplied,
    NothingToApply,
    NotPositive,
    OtherAccount,
    OtherCurrency,
    ReceiptChanged,
    ReceiptUnknown,
    Reversed,
    Unidentified,
)
from tests.support.scenario import Scenario
from tests.unit.payment.build import (
    OTHER_ACCOUNT,
    A,
    B,
    C,
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
    row,
    share,
    unapplied,
    usd,
)

given = Scenario(DOMAIN).given


class TestApply:
    def test_a_part_payment_leaves_the_rest_open(self) -> None:
        given(opened(), received("40")).when(apply((A, "40"))).then(
            applied(share("40", "60"), unapplied="0"), changed("applied", "-40", "60")
        )

    def test_what_is_left_of_the_receipt_stays_unapplied(self) -> None:
        given(opened(), received("150")).when(apply((A, "100"))).then(
            applied(share("100", "0"), unapplied="50"), changed("applied", "-100", "0")
        )

    def test_one_receipt_pays_two_hundred_items_in_one_decision(self) -> None:
        items = [item(UUID(int=1000 + n)) for n in range(200)]
        command = apply(*((one.item_id, "1") for one in items))
        given(received("200"), *(opened(one, "1") for one in items)).when(command).then(
            applied(*(share("1", "0", one) for one in items), unapplied="0"),
            *(changed("applied", "-1", "0", of=one) for one in items),
        )

    def test_more_lines_than_a_fact_can_carry_take_several_facts_there_and_back(self) -> None:
        items = [item(UUID(int=1000 + n)) for n in range(1500)]
        command = apply(*((one.item_id, "1") for one in items))
        history = (
            given(received("2000"), *(opened(one, "1") for one in items))
            .when(command)
            .then(
                applied(*(share("1", "0", one) for one in items[:1000]), unapplied="1000"),
                applied(*(share("1", "0", one) for one in items[1000:]), unapplied="500"),
                *(changed("applied", "-1", "0", of=one) for one in items),
            )
        )
        history.when(UnapplyReceipt(receipt_id=R)).then(
            unapplied(*(share("1", "1", one) for one in items[:1000]), unapplied="1500"),
            unapplied(*(share("1", "1", one) for one in items[1000:]), unapplied="2000"),
            *(changed("unapplied", "1", "1", of=one) for one in items),
        )

    def test_an_item_of_another_branch_changes_in_its_own_branch(self) -> None:
        other = item(branch="DET")
        given(opened(other), received()).when(apply((A, "100"))).then(
            applied(share("100", "0", other), unapplied="0"), changed("applied", "-100", "0", of=other)
        )

    def test_it_counts_from_the_day_that_was_given(self) -> None:
        given(opened(), received()).when(apply((A, "100"), on=day(3))).then(
            applied(share("100", "0"), unapplied="0", on=day(3)), changed("applied", "-100", "0", on=day(3))
        )

    def test_a_prepayment_counts_from_the_day_of_the_invoice(self) -> None:
        later = item(B, issued_on=day(6))
        given(opened(), opened(later), received()).when(apply((B, "60"), (A, "40"))).then(
            applied(share("40", "60"), unapplied="60"),
            applied(share("60", "40", later), unapplied="0", on=day(6)),
            changed("applied", "-40", "60"),
            changed("applied", "-60", "40", of=later, on=day(6)),
        )

    @pytest.mark.parametrize(
        ("command", "refusal"),
        [
            (apply((A, "100.01")), MoreThanOpen),
            (apply((A, "100"), (B, "100"), (C, "0.01")), MoreThanUnapplied),
            (apply((A, "0")), NotPositive),
            (apply((A, "-5")), NotPositive),
            (apply((A, "1"), (A, "1")), ItemRepeated),
            (apply(), NothingToApply),
            (apply((UUID(int=99), "1")), ItemUnknown),
            (apply((A, "1"), on=day(-1)), BeforeReceived),
            (ApplyReceipt(receipt_id=R, lines=(Line(A, Money(1, "CAD")),)), OtherCurrency),
            (apply((A, "1"), receipt=UUID(int=99)), ReceiptUnknown),
        ],
    )
    def test_it_is_refused_and_nothing_is_applied(self, command: ApplyReceipt, refusal: type[Refused]) -> None:
        history = given(opened(), opened(item(B)), opened(item(C)), received("200"))
        history.when(command).refused_as(refusal)

    def test_one_bad_line_refuses_all(self) -> None:
        refusal = given(opened(), opened(item(B)), received("200")).when(apply((A, "1"), (B, "101")))
        assert refusal.refused_as(MoreThanOpen).members == {"item_id": str(B), "open": "100.00"}

    def test_an_item_that_another_account_owes_is_refused(self) -> None:
        given(opened(item(account=OTHER_ACCOUNT)), received()).when(apply((A, "1"))).refused_as(OtherAccount)

    def test_an_item_in_another_currency_is_refused(self) -> None:
        canadian = replace(received(), amount=Money(100, "CAD"))
        given(opened(), canadian).when(ApplyReceipt(receipt_id=R, lines=(Line(A, Money(1, "CAD")),))).refused_as(
            OtherCurrency
        )

    def test_money_of_an_unknown_payer_is_refused(self) -> None:
        given(opened(), received(account=None)).when(apply((A, "1"))).refused_as(Unidentified)

    def test_reversed_money_is_refused(self) -> None:
        given(opened(), received(), reversed_()).when(apply((A, "1"))).refused_as(Reversed)

    def test_a_command_may_wait_for_an_item_that_is_not_known_yet(self) -> None:
        assert issubclass(ItemUnknown, Arriving)


class TestUnapply:
    def test_all_of_it_without_lines(self) -> None:
        given(*paid_in_full()).when(UnapplyReceipt(receipt_id=R)).then(
            unapplied(share("100", "100"), unapplied="100"), changed("unapplied", "100", "100")
        )

    def test_a_part_of_one_line(self) -> None:
        given(*paid_in_full()).when(UnapplyReceipt(receipt_id=R, lines=(UndoLine(A, usd("30")),))).then(
            unapplied(share("30", "30"), unapplied="30"), changed("unapplied", "30", "30")
        )

    def test_without_a_day_it_is_undone_as_though_it_had_never_been(self) -> None:
        given(*paid_in_full(on=day(4))).when(UnapplyReceipt(receipt_id=R)).then(
            unapplied(share("100", "100"), unapplied="100", on=day(4)), changed("unapplied", "100", "100", on=day(4))
        )

    def test_with_a_day_it_is_undone_from_then_on(self) -> None:
        given(*paid_in_full()).when(UnapplyReceipt(receipt_id=R, on=day(9))).then(
            unapplied(share("100", "100"), unapplied="100", on=day(9)), changed("unapplied", "100", "100", on=day(9))
        )

    def test_the_newest_application_is_undone_first(self) -> None:
        history = given(
            opened(),
            received(),
            applied(share("60", "40"), unapplied="40"),
            changed("applied", "-60", "40"),
            applied(share("40", "0"), unapplied="0", on=day(5)),
            changed("applied", "-40", "0", on=day(5)),
        )
        history.when(UnapplyReceipt(receipt_id=R, lines=(UndoLine(A, usd("70")),))).then(
            unapplied(share("30", "30"), unapplied="30", on=day(0)),
            unapplied(share("40", "70"), unapplied="70", on=day(5)),
            changed("unapplied", "30", "30", on=day(0)),
            changed("unapplied", "40", "70", on=day(5)),
        )

    def test_nothing_is_left_to_undo_after_all_was(self) -> None:
        history = (
            given(*paid_in_full())
            .when(UnapplyReceipt(receipt_id=R))
            .then(unapplied(share("100", "100"), unapplied="100"), changed("unapplied", "100", "100"))
        )
        history.when(UnapplyReceipt(receipt_id=R)).then()

    @pytest.mark.parametrize(
        ("command", "refusal"),
        [
            (UnapplyReceipt(receipt_id=R, lines=(UndoLine(A, usd("100.01")),)), MoreThanApplied),
            (UnapplyReceipt(receipt_id=R, lines=(UndoLine(B),)), MoreThanApplied),
            (UnapplyReceipt(receipt_id=R, lines=(UndoLine(A, usd("0")),)), NotPositive),
            (UnapplyReceipt(receipt_id=R, lines=(UndoLine(A, Money(1, "CAD")),)), OtherCurrency),
            (UnapplyReceipt(receipt_id=R, lines=(UndoLine(A), UndoLine(A))), ItemRepeated),
            (UnapplyReceipt(receipt_id=R, on=day(-1)), BeforeReceived),
            (UnapplyReceipt(receipt_id=UUID(int=99)), ReceiptUnknown),
        ],
    )
    def test_it_is_refused(self, command: UnapplyReceipt, refusal: type[Refused]) -> None:
        given(*paid_in_full()).when(command).refused_as(refusal)


class TestImportedRows:
    def test_a_row_records_and_applies_at_once(self) -> None:
        given(opened()).when(row("100", A, "60")).then(
            received(), applied(share("60", "40"), unapplied="40"), changed("applied", "-60", "40")
        )

    def test_a_row_without_an_item_only_records(self) -> None:
        given().when(row("100")).then(received())

    def test_another_row_of_the_same_receipt_only_applies(self) -> None:
        b = item(B)
        history = given(opened(), opened(b)).when(row("100", A, "60"))
        longer = history.then(received(), applied(share("60", "40"), unapplied="40"), changed("applied", "-60", "40"))
        longer.when(row("100", B, "40")).then(
            applied(share("40", "60", b), unapplied="0"), changed("applied", "-40", "60", of=b)
        )

    def test_a_row_again_adds_nothing(self) -> None:
        given(*paid_in_full()).when(row("100", A, "100")).then()

    def test_a_row_again_adds_nothing_after_its_application_was_undone(self) -> None:
        undone = (unapplied(share("100", "100"), unapplied="100"), changed("unapplied", "100", "100"))
        given(*paid_in_full(), *undone).when(row("100", A, "100")).then()

    def test_a_row_again_adds_nothing_after_its_receipt_was_reversed(self) -> None:
        undone = (unapplied(share("100", "100"), unapplied="100"), changed("unapplied", "100", "100"))
        given(*paid_in_full(), *undone, reversed_()).when(row("100", A, "100")).then()

    def test_a_row_of_another_day_is_another_application(self) -> None:
        history = given(
            opened(), received(), applied(share("60", "40"), unapplied="40"), changed("applied", "-60", "40")
        )
        history.when(row("100", A, "40", on=day(1))).then(
            applied(share("40", "0"), unapplied="0", on=day(1)), changed("applied", "-40", "0", on=day(1))
        )

    def test_a_row_with_another_amount_on_that_day_is_refused(self) -> None:
        refusal = given(*paid_in_full()).when(row("100", A, "99")).refused_as(ApplicationChanged, field="applied")
        assert refusal.members == {"was": "100.00"}

    def test_a_row_with_another_receipt_under_the_same_id_is_refused(self) -> None:
        given(*paid_in_full()).when(row("101", A, "100")).refused_as(ReceiptChanged, field="amount")

    def test_a_row_of_an_item_that_is_not_known_records_nothing(self) -> None:
        given().when(row("100", A, "100")).refused_as(ItemUnknown, field="item_id")

    def test_a_row_with_a_card_number_is_refused(self) -> None:
        command = row("100")
        given().when(replace(command, receipt=replace(command.receipt, reference="378282246310005"))).refused_as(
            CardNumber
        )
