"""A receipt's own life."""

from datetime import date

import pytest

from events.money import Money
from events.payment import PaymentIdentified
from services.payment.domain import DOMAIN
from services.payment.domain.commands import IdentifyReceipt, RefundReceipt, ReverseReceipt
from services.payment.domain.refusals import (
    AlreadyIdentified,
    BeforeReceived,
    CardNumber,
    DateOutOfRange,
    MoreThanUnapplied,
    NotPositive,
    OtherCurrency,
    ReceiptChanged,
    ReceiptUnknown,
    RefundChanged,
    Refunded,
    ReversalChanged,
    Reversed,
    Unidentified,
)
from tests.support.scenario import Scenario
from tests.unit.payment.build import (
    ACCOUNT,
    OTHER_ACCOUNT,
    REFUND,
    B,
    R,
    applied,
    apply,
    changed,
    day,
    item,
    opened,
    paid_in_full,
    received,
    record,
    refunded,
    reversed_,
    share,
    unapplied,
    usd,
)

given = Scenario(DOMAIN).given


class TestRecord:
    def test_money_that_came_in_is_unapplied(self) -> None:
        history = given().when(record("100")).then(received("100"))
        assert history.states[f"receipt-{R}"].unapplied == 100_00

    def test_the_payer_may_be_unknown(self) -> None:
        given().when(record(account=None)).then(received(account=None))

    def test_the_same_receipt_again_adds_nothing(self) -> None:
        given(received("100")).when(record("100")).then()

    def test_the_same_receipt_adds_nothing_after_it_was_identified(self) -> None:
        given(received(account=None), identified()).when(record(account=None)).then()

    @pytest.mark.parametrize(
        ("field", "other"),
        [
            ("amount", record("99")),
            ("account_id", record(account=OTHER_ACCOUNT)),
            ("method", record(method="wire")),
            ("reference", record(reference="1002")),
            ("received_on", record(on=day(1))),
        ],
    )
    def test_the_same_id_with_another_value_is_refused(self, field: str, other: object) -> None:
        given(received()).when(other).refused_as(ReceiptChanged, field=field)

    @pytest.mark.parametrize("amount", ["0", "-1"])
    def test_nothing_or_less_is_no_receipt(self, amount: str) -> None:
        given().when(record(amount)).refused_as(NotPositive, field="amount")

    @pytest.mark.parametrize("on", [date(1969, 12, 31), date(2100, 1, 1)])
    def test_a_date_that_no_ledger_has_is_refused(self, on: date) -> None:
        given().when(record(on=on)).refused_as(DateOutOfRange, field="received_on")
        given(received()).when(ReverseReceipt(receipt_id=R, reason="nsf", on=date(2100, 1, 1))).refused_as(
            DateOutOfRange, field="reversed_on"
        )

    def test_a_card_number_is_refused_as_a_reference(self) -> None:
        given().when(record(reference="4111 1111 1111 1111")).refused_as(CardNumber, field="reference")

    def test_an_ach_trace_number_is_no_card_number(self) -> None:
        trace = "091000010000008"  # Passes the check of card numbers, as one in ten does.
        given().when(record(method="ach", reference=trace)).then(received(method="ach", reference=trace))
        given().when(record(method="check", reference=trace)).refused_as(CardNumber)


class TestIdentify:
    def test_the_payer_becomes_known(self) -> None:
        given(received(account=None)).when(IdentifyReceipt(receipt_id=R, account_id=ACCOUNT)).then(identified())

    def test_the_same_payer_again_adds_nothing(self) -> None:
        given(received()).when(IdentifyReceipt(receipt_id=R, account_id=ACCOUNT)).then()

    def test_another_payer_is_refused(self) -> None:
        given(received()).when(IdentifyReceipt(receipt_id=R, account_id=OTHER_ACCOUNT)).refused_as(AlreadyIdentified)

    def test_a_reversed_receipt_is_refused(self) -> None:
        history = given(received(account=None), reversed_(account=None))
        history.when(IdentifyReceipt(receipt_id=R, account_id=ACCOUNT)).refused_as(Reversed)

    def test_before_the_money_came_in_is_refused(self) -> None:
        command = IdentifyReceipt(receipt_id=R, account_id=ACCOUNT, on=day(-1))
        given(received(account=None)).when(command).refused_as(BeforeReceived, field="identified_on")

    def test_a_receipt_that_was_never_recorded_is_refused(self) -> None:
        given().when(IdentifyReceipt(receipt_id=R, account_id=ACCOUNT)).refused_as(ReceiptUnknown)


class TestReverse:
    def test_unapplied_money_is_taken_back(self) -> None:
        given(received()).when(nsf()).then(reversed_(on=day(5)))

    def test_money_of_an_unknown_payer_is_taken_back(self) -> None:
        given(received(account=None)).when(nsf()).then(reversed_(on=day(5), account=None))

    def test_what_it_had_settled_is_open_again(self) -> None:
        given(*paid_in_full()).when(nsf()).then(
            unapplied(share("100", "100"), unapplied="100", reason="reversal", on=day(5)),
            reversed_(on=day(5)),
            changed("unapplied", "100", "100", on=day(5)),
        )

    def test_an_application_later_than_the_return_is_undone_on_its_own_day(self) -> None:
        # Undone on the day of the return, the receipt would have had 100 too much until the application.
        given(*paid_in_full(on=day(8))).when(nsf()).then(
            unapplied(share("100", "100"), unapplied="100", reason="reversal", on=day(8)),
            reversed_(on=day(5)),
            changed("unapplied", "100", "100", on=day(8)),
        )

    def test_every_item_is_open_again_and_the_untouched_rest_is_taken_back_too(self) -> None:
        b = item(B)
        history = given(opened(), opened(b), received("150")).when(apply((item().item_id, "60"), (B, "70")))
        history.then(
            applied(share("60", "40"), share("70", "30", b), unapplied="20"),
            changed("applied", "-60", "40"),
            changed("applied", "-70", "30", of=b),
        ).when(nsf()).then(
            unapplied(share("60", "100"), share("70", "100", b), unapplied="150", reason="reversal", on=day(5)),
            reversed_("150", on=day(5)),
            changed("unapplied", "60", "100", on=day(5)),
            changed("unapplied", "70", "100", of=b, on=day(5)),
        )

    def test_the_same_reversal_again_adds_nothing(self) -> None:
        given(received(), reversed_(on=day(5))).when(nsf()).then()

    def test_another_day_is_refused(self) -> None:
        given(received(), reversed_(on=day(5))).when(nsf(after=6)).refused_as(ReversalChanged)

    def test_before_the_money_came_in_is_refused(self) -> None:
        given(received()).when(nsf(after=-1)).refused_as(BeforeReceived, field="reversed_on")

    def test_a_receipt_that_was_partly_refunded_is_refused(self) -> None:
        refusal = given(received(), refunded("30", "70")).when(nsf()).refused_as(Refunded)
        assert refusal.members == {"refunded": "30.00"}

    def test_a_receipt_that_was_never_recorded_is_refused(self) -> None:
        given().when(nsf()).refused_as(ReceiptUnknown)


class TestRefund:
    def test_unapplied_money_goes_back(self) -> None:
        given(received()).when(refund("30")).then(refunded("30", "70", on=day(2)))

    def test_the_same_refund_again_adds_nothing(self) -> None:
        given(received(), refunded("30", "70")).when(refund("30")).then()

    def test_the_same_id_with_another_amount_is_refused(self) -> None:
        given(received(), refunded("30", "70")).when(refund("31")).refused_as(RefundChanged)

    def test_a_cent_more_than_is_unapplied_is_refused(self) -> None:
        refusal = given(received()).when(refund("100.01")).refused_as(MoreThanUnapplied)
        assert refusal.members == {"unapplied": "100.00"}

    def test_applied_money_is_refused(self) -> None:
        given(*paid_in_full()).when(refund("1")).refused_as(MoreThanUnapplied)

    def test_reversed_money_is_refused(self) -> None:
        given(received(), reversed_()).when(refund("1")).refused_as(Reversed)

    def test_money_of_an_unknown_payer_is_refused(self) -> None:
        given(received(account=None)).when(refund("1")).refused_as(Unidentified)

    def test_nothing_is_refused(self) -> None:
        given(received()).when(refund("0")).refused_as(NotPositive)

    def test_another_currency_is_refused(self) -> None:
        command = RefundReceipt(receipt_id=R, refund_id=REFUND, amount=Money(1, "CAD"), on=day(2))
        given(received()).when(command).refused_as(OtherCurrency)

    def test_before_the_money_came_in_is_refused(self) -> None:
        given(received()).when(refund("1", after=-1)).refused_as(BeforeReceived, field="refunded_on")


def identified() -> PaymentIdentified:
    return PaymentIdentified(branch="CHI", effective_on=day(0), receipt_id=R, account_id=ACCOUNT, unapplied=usd("100"))


def nsf(after: int = 5) -> ReverseReceipt:
    return ReverseReceipt(receipt_id=R, reason="nsf", on=day(after))


def refund(amount: str, after: int = 2) -> RefundReceipt:
    return RefundReceipt(receipt_id=R, refund_id=REFUND, amount=usd(amount), on=day(after))
