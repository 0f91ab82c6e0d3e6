"""Follow-ups: scheduled once, done once."""

from datetime import timedelta
from typing import Any

from events.contact import FollowUpDone
from services.contact.domain.attempt import AttemptNotKnown
from services.contact.domain.follow_up import (
    DoneBeforeScheduled,
    DueBeforeScheduled,
    FinishFollowUp,
    FollowUpChanged,
    FollowUpOver,
)
from services.contact.domain.named import ItemOfOtherAccount, Named
from services.kernel.errors import Unknown
from services.mirror.known import AccountNotKnown, ItemNotKnown
from tests.unit.contact.build import (
    ACCOUNT,
    ATTEMPT,
    FOLLOW_UP,
    MADE_ON,
    OTHER_ACCOUNT,
    PROMISED_ON,
    STRANGER,
    UNHEARD,
    follow_up,
    given,
    logged,
    scheduled,
)


def finish(**values: Any) -> FinishFollowUp:
    return FinishFollowUp(**{"follow_up_id": FOLLOW_UP, "done_on": PROMISED_ON} | values)


def done(**values: Any) -> FollowUpDone:
    common = {"branch": "CHI", "effective_on": PROMISED_ON, "follow_up_id": FOLLOW_UP, "account_id": ACCOUNT}
    return FollowUpDone(**common | values)


def test_a_follow_up_is_scheduled_and_done() -> None:
    given().when(follow_up()).then(scheduled()).when(finish()).then(done())


def test_the_attempt_that_did_it_is_named() -> None:
    given(scheduled(), logged()).when(finish(attempt_id=ATTEMPT)).then(done(attempt_id=ATTEMPT))


def test_an_attempt_that_is_unknown_or_of_another_account_is_refused() -> None:
    given(scheduled()).when(finish(attempt_id=ATTEMPT)).refused_as(AttemptNotKnown, field="attempt_id")
    strange = logged(account_id=OTHER_ACCOUNT)
    given(scheduled(), strange).when(finish(attempt_id=ATTEMPT)).refused_as(AttemptNotKnown)


def test_the_same_again_adds_nothing() -> None:
    given(scheduled()).when(follow_up()).then()
    given(scheduled(), done()).when(finish()).then()


def test_the_same_id_with_other_values_is_refused() -> None:
    given(scheduled()).when(follow_up(owner="ron")).refused_as(FollowUpChanged, field="follow_up_id")


def test_it_is_not_done_twice() -> None:
    another_day = PROMISED_ON + timedelta(days=1)
    refused = given(scheduled(), done()).when(finish(done_on=another_day)).refused_as(FollowUpOver)
    assert refused.members["done_on"] == "2026-03-13"


def test_it_is_neither_due_nor_done_before_it_is_scheduled() -> None:
    before = MADE_ON - timedelta(days=1)
    given().when(follow_up(due_on=before)).refused_as(DueBeforeScheduled, field="due_on")
    given(scheduled()).when(finish(done_on=before)).refused_as(DoneBeforeScheduled, field="done_on")
    given(scheduled()).when(finish(done_on=MADE_ON)).then(done(effective_on=MADE_ON))


def test_one_that_was_never_scheduled_cannot_be_done() -> None:
    given().when(finish()).refused_as(Unknown)


def test_what_it_names_must_be_known_and_the_accounts() -> None:
    given().when(follow_up(item_ids=(UNHEARD,))).refused_as(ItemNotKnown)
    given().when(follow_up(item_ids=(STRANGER,))).refused_as(ItemOfOtherAccount)
    given().when(follow_up(item_ids=(), named=Named())).refused_as(AccountNotKnown)
