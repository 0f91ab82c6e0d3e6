"""Attempts: what may be logged, and that it is logged once."""

from typing import get_args

import pytest

from events.contact import Channel, Outcome
from services.contact.domain.attempt import OUTCOMES, AttemptChanged, OutcomeImpossible
from services.contact.domain.named import ItemOfOtherAccount, Named
from services.mirror.known import AccountNotKnown, ItemNotKnown
from tests.unit.contact.build import ATTEMPT, ELSEWHERE, HOME, NOTE, STRANGER, UNHEARD, A, B, attempt, given, logged


def test_an_attempt_is_logged_where_its_items_stand() -> None:
    given().when(attempt()).then(logged())
    given().when(attempt(item_ids=(ELSEWHERE,))).then(logged(branch="DAL", item_ids=(ELSEWHERE,)))


def test_without_items_or_with_items_of_several_branches_it_stands_in_the_home_branch() -> None:
    given().when(attempt(item_ids=(), named=Named(account=HOME))).then(logged(item_ids=()))
    given().when(attempt(item_ids=(ELSEWHERE, A))).then(logged(item_ids=(A, ELSEWHERE)))


def test_items_are_a_set() -> None:
    given().when(attempt(item_ids=(B, A, B))).then(logged(item_ids=(A, B)))
    given(logged(item_ids=(A, B))).when(attempt(item_ids=(B, A))).then()


def test_the_fact_names_its_note_and_holds_no_word_of_it() -> None:
    given().when(attempt(note_id=NOTE)).then(logged(note_id=NOTE))


def test_the_same_attempt_again_adds_nothing() -> None:
    given(logged()).when(attempt()).then()


def test_the_same_id_with_other_values_is_refused() -> None:
    given(logged()).when(attempt(outcome="no_answer")).refused_as(AttemptChanged, field="attempt_id")


@pytest.mark.parametrize("channel", get_args(Channel))
def test_every_channel_ends_in_its_own_ways_and_no_other(channel: Channel) -> None:
    for outcome in get_args(Outcome):
        asked = given().when(attempt(channel=channel, outcome=outcome))
        if outcome in OUTCOMES[channel]:
            asked.then(logged(channel=channel, outcome=outcome))
        else:
            refused = asked.refused_as(OutcomeImpossible, field="outcome")
            assert refused.members["possible"] == sorted(OUTCOMES[channel])


def test_a_letter_is_never_left_as_a_message_and_a_call_never_bounces() -> None:
    given().when(attempt(channel="letter", outcome="left_message")).refused_as(OutcomeImpossible)
    given().when(attempt(channel="call", outcome="bounced")).refused_as(OutcomeImpossible)


def test_an_item_or_account_that_is_not_known_yet_is_refused() -> None:
    refused = given().when(attempt(item_ids=(UNHEARD,))).refused_as(ItemNotKnown, field="item_ids")
    assert refused.members["item_id"] == str(UNHEARD)
    given().when(attempt(item_ids=(), named=Named())).refused_as(AccountNotKnown, field="account_id")


def test_an_item_of_another_account_is_refused() -> None:
    given().when(attempt(item_ids=(A, STRANGER))).refused_as(ItemOfOtherAccount, field="item_ids")


def test_a_stream_is_named_for_its_attempt() -> None:
    assert list(given(logged()).states) == [f"attempt-{ATTEMPT}"]
