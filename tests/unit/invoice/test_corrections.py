"""Credit notes, releases of retainage, and what they conserve."""

from datetime import date
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from events.envelope import Fact
from events.invoice import CreditNoteIssued, InvoiceVoided, RetainageReleased
from events.money import Money
from services.invoice.domain import Command
from services.invoice.domain.claim import Claim, Holder
from services.invoice.domain.credit_note import (
    CreditAboveBilled,
    CreditNoteDiffers,
    CreditNoteElsewhere,
    CreditNotPositive,
)
from services.invoice.domain.invoice import (
    BeforeInvoiceDate,
    CurrencyNotAccounts,
    DueBeforeIssued,
    InvoiceUnknown,
    InvoiceVoid,
)
from services.invoice.domain.retainage import (
    ReleaseAboveWithheld,
    ReleaseDiffers,
    ReleaseElsewhere,
    ReleaseNotPositive,
)
from services.kernel.errors import Refused
from tests.unit.invoice.build import (
    CREDIT,
    INVOICE,
    ISSUED,
    LATER,
    OTHER_INVOICE,
    RELEASE,
    RELEASED_ITEM,
    STORY,
    branch,
    credit,
    credited,
    given,
    issued,
    release,
    released,
    usd,
    void,
    voided,
)

SECOND = UUID(int=21)


class TestCreditNote:
    def test_a_credit_note_takes_part_of_the_invoice_back(self) -> None:
        given(*STORY, issued()).when(credit(200_00)).then(credited(200_00))

    def test_the_next_credit_note_adds_to_the_first(self) -> None:
        second = credited(50_00, in_all=250_00, credit_note_id=SECOND, number="4711/C2")
        given(*STORY, issued(), credited(200_00)).when(credit(50_00, credit_note_id=SECOND)).then(second)

    def test_all_that_was_billed_can_be_credited_but_not_the_retainage(self) -> None:
        given(*STORY, issued()).when(credit(900_00)).then(credited(900_00))
        refusal = given(*STORY, issued()).when(credit(900_01)).refused_as(CreditAboveBilled, field="amount")
        assert refusal.members["left"] == {"minor": 900_00, "currency": "USD"}

    def test_one_cent_more_than_is_left_is_refused(self) -> None:
        command = credit(700_01, credit_note_id=SECOND)
        given(*STORY, issued(), credited(200_00)).when(command).refused_as(CreditAboveBilled)

    @pytest.mark.parametrize("minor", [0, -1])
    def test_a_credit_that_is_not_above_zero_is_refused(self, minor: int) -> None:
        given(*STORY, issued()).when(credit(minor)).refused_as(CreditNotPositive, field="amount")

    def test_the_same_credit_note_again_adds_nothing(self) -> None:
        given(*STORY, issued(), credited(200_00)).when(credit(200_00)).then()
        given(*STORY, issued(), credited(200_00), voided(700_00, 100_00)).when(credit(200_00)).then()

    @pytest.mark.parametrize(
        "other", [{"reason": "scope"}, {"number": "X"}, {"on": ISSUED}, {"amount": usd(1)}], ids=str
    )
    def test_other_values_for_a_credit_note_are_refused(self, other: dict[str, Any]) -> None:
        given(*STORY, issued(), credited(200_00)).when(credit(200_00, **other)).refused_as(CreditNoteDiffers)

    def test_a_credit_note_of_another_invoice_is_refused(self) -> None:
        holder = Holder(Claim("credit_note_id", "", str(CREDIT)), f"invoice-{OTHER_INVOICE}", recorded=True)
        given(*STORY, issued()).when(credit(1, holders=(holder,))).refused_as(CreditNoteElsewhere)

    def test_a_void_invoice_takes_no_credit_note(self) -> None:
        given(*STORY, issued(), voided(900_00, 100_00)).when(credit(1)).refused_as(InvoiceVoid)

    def test_a_credit_note_for_an_invoice_nobody_issued_is_refused(self) -> None:
        given(branch()).when(credit(1)).refused_as(InvoiceUnknown, field="invoice_id")

    def test_another_currency_is_refused(self) -> None:
        given(*STORY, issued()).when(credit(1, amount=Money(1, "CAD"))).refused_as(CurrencyNotAccounts)

    def test_a_credit_note_dated_before_the_invoice_is_refused(self) -> None:
        given(*STORY, issued()).when(credit(1, on=date(2025, 3, 2))).refused_as(BeforeInvoiceDate)


class TestReleaseRetainage:
    def test_released_retainage_falls_due_by_the_accounts_terms(self) -> None:
        given(*STORY, issued()).when(release(40_00)).then(released(40_00, left=60_00))

    def test_a_due_date_of_its_own_counts_before_the_accounts_terms(self) -> None:
        item = msgspec.structs.replace(RELEASED_ITEM, due_on=date(2025, 9, 30))
        command = release(40_00, due_on=date(2025, 9, 30))
        given(*STORY, issued()).when(command).then(released(40_00, left=60_00, item=item))

    def test_the_rest_can_be_released_later(self) -> None:
        item = msgspec.structs.replace(RELEASED_ITEM, item_id=SECOND)
        second = released(60_00, left=0, item=item, number="4711/R2")
        given(*STORY, issued(), released(40_00, left=60_00)).when(release(60_00, release_id=SECOND)).then(second)

    def test_one_cent_more_than_is_withheld_is_refused(self) -> None:
        refusal = given(*STORY, issued()).when(release(100_01)).refused_as(ReleaseAboveWithheld, field="amount")
        assert refusal.members["withheld"] == {"minor": 100_00, "currency": "USD"}

    @pytest.mark.parametrize("minor", [0, -1])
    def test_a_release_that_is_not_above_zero_is_refused(self, minor: int) -> None:
        given(*STORY, issued()).when(release(minor)).refused_as(ReleaseNotPositive, field="amount")

    def test_the_same_release_again_adds_nothing(self) -> None:
        given(*STORY, issued(), released(40_00, left=60_00)).when(release(40_00)).then()

    @pytest.mark.parametrize("other", [{"number": "X"}, {"on": ISSUED}, {"amount": usd(1)}, {"due_on": LATER}], ids=str)
    def test_other_values_for_a_release_are_refused(self, other: dict[str, Any]) -> None:
        given(*STORY, issued(), released(40_00, left=60_00)).when(release(40_00, **other)).refused_as(ReleaseDiffers)

    def test_an_id_that_another_item_has_is_refused(self) -> None:
        holder = Holder(Claim("release_id", "", str(RELEASE)), f"invoice-{OTHER_INVOICE}", recorded=True)
        given(*STORY, issued()).when(release(1, holders=(holder,))).refused_as(ReleaseElsewhere)
        given(*STORY, issued()).when(release(1, release_id=INVOICE)).refused_as(ReleaseElsewhere)

    def test_a_void_invoice_releases_nothing(self) -> None:
        given(*STORY, issued(), voided(900_00, 100_00)).when(release(1)).refused_as(InvoiceVoid)

    def test_a_release_of_an_invoice_nobody_issued_is_refused(self) -> None:
        given(branch()).when(release(1)).refused_as(InvoiceUnknown)

    def test_dates_out_of_order_are_refused(self) -> None:
        given(*STORY, issued()).when(release(1, on=date(2025, 3, 2))).refused_as(BeforeInvoiceDate)
        given(*STORY, issued()).when(release(1, due_on=ISSUED)).refused_as(DueBeforeIssued, field="due_on")

    def test_another_currency_is_refused(self) -> None:
        given(*STORY, issued()).when(release(1, amount=Money(1, "CAD"))).refused_as(CurrencyNotAccounts)


AMOUNTS = st.integers(-5_00, 700_00)
CORRECTIONS = st.lists(st.tuples(st.sampled_from(("credit", "release", "void")), AMOUNTS), max_size=10)


def run(corrections: list[tuple[str, int]]) -> list[Fact]:
    """What of a run of corrections takes place."""
    history = given(*STORY, issued())
    for at, (kind, minor) in enumerate(corrections):
        command: Command
        match kind:
            case "credit":
                command = credit(minor, credit_note_id=UUID(int=100 + at))
            case "release":
                command = release(minor, release_id=UUID(int=200 + at))
            case _:
                command = void()
        try:
            decided = history.when(command).decided()
        except Refused:
            continue
        history = given(*history.facts, *decided)
    return list(history.facts)


@forall(CORRECTIONS)
def test_no_run_of_corrections_credits_more_than_was_billed(corrections: list[tuple[str, int]]) -> None:
    credits_ = [fact for fact in run(corrections) if isinstance(fact, CreditNoteIssued)]
    assert sum(c.amount.minor for c in credits_) <= 900_00
    assert not credits_ or credits_[-1].credited.minor == sum(c.amount.minor for c in credits_)


@forall(CORRECTIONS)
def test_retainage_is_conserved(corrections: list[tuple[str, int]]) -> None:
    releases = [fact for fact in run(corrections) if isinstance(fact, RetainageReleased)]
    for at, fact in enumerate(releases, start=1):
        assert sum(r.amount.minor for r in releases[:at]) + fact.retainage.minor == 100_00
        assert fact.retainage.minor >= 0


@forall(CORRECTIONS)
def test_a_void_accounts_for_the_whole_total(corrections: list[tuple[str, int]]) -> None:
    facts = run([*corrections, ("void", 0)])
    [void_] = [fact for fact in facts if isinstance(fact, InvoiceVoided)]
    credited_ = sum(fact.amount.minor for fact in facts if isinstance(fact, CreditNoteIssued))
    taken_back = sum(r.amount.minor for r in void_.releases)
    assert void_.cancelled.minor + void_.retainage_cancelled.minor + taken_back + credited_ == 1000_00
