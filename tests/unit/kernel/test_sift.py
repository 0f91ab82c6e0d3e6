"""Which records are applied, which parked, which left out: by the version of their stream alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.position import Held
from services.kernel.sift import Arrived, Sifted, arrive, sift
from tests.support.facts import Sent, sent

ACCOUNT = UUID(int=7)


def read(record: Sent, *, offset: int = 1, ignored: frozenset[str] = frozenset()) -> Arrived:
    key, headers, value = record
    came: Any = SimpleNamespace(topic="t", partition=0, offset=offset, key=key, headers=headers, value=value)
    return arrive(came, ignored)


def arrived(version: int, **changed: Any) -> Arrived:
    return read(sent(ACCOUNT, version, **changed), offset=version)


def sifted(versions: list[int], known: Held) -> tuple[Sifted, Held]:
    records = [arrived(version) for version in versions]
    streams = {one.stream: known for one in records}
    return sift(records, streams), known


def versions_of(result: Sifted) -> list[int | None]:
    return [one.version for one in result.apply]


def codes_of(result: Sifted) -> list[tuple[int, str]]:
    return [(parked.version, parked.code) for parked in result.park]


def test_the_next_versions_are_applied() -> None:
    result, known = sifted([3, 4, 5], Held(version=2))
    assert versions_of(result) == [3, 4, 5]
    assert known.version == 5


def test_versions_that_are_applied_already_are_repeats() -> None:
    result, _ = sifted([1, 2, 3, 2, 3, 4], Held(version=2))
    assert versions_of(result) == [3, 4]
    assert result.repeats == {"t": 4}


def test_a_hole_parks_what_follows_it() -> None:
    result, _ = sifted([1, 3, 4], Held())
    assert versions_of(result) == [1]
    assert codes_of(result) == [(3, "fact_hole"), (4, "waits_for_earlier")]


def test_the_missing_fact_is_applied_and_the_stream_is_to_be_tried_again() -> None:
    result, _ = sifted([2], Held(version=1, parked_min=3, parked_max=4))
    assert versions_of(result) == [2]
    assert result.refilled


def test_of_a_larger_hole_each_missing_fact_is_applied_and_only_the_last_calls_for_a_retry() -> None:
    result, _ = sifted([2], Held(version=1, parked_min=4, parked_max=4))
    assert versions_of(result) == [2]
    assert not result.refilled


def test_a_parked_fact_that_is_delivered_again_is_not_applied() -> None:
    result, _ = sifted([2], Held(version=1, parked_min=2, parked_max=2))
    assert versions_of(result) == []
    assert codes_of(result) == [(2, "waits_for_earlier")]


def test_a_record_without_readable_headers_takes_the_version_that_was_due() -> None:
    broken = arrived(2, streamversion=b"second")
    result = sift([arrived(1), broken, arrived(3)], {broken.stream: Held()})
    assert broken.version is None
    assert versions_of(result) == [1]
    assert codes_of(result) == [(2, "fact_malformed"), (3, "waits_for_earlier")]


@given(st.lists(st.integers(1, 8), max_size=30))
def test_whatever_order_versions_come_in_they_are_applied_once_and_in_order(versions: list[int]) -> None:
    result, known = sifted(versions, Held())
    assert versions_of(result) == list(range(1, known.version + 1))
    assert len(result.apply) + len(result.park) + sum(result.repeats.values()) == len(versions)


def test_a_fact_that_is_ignored_moves_its_stream_on_and_is_not_handed_on() -> None:
    key, headers, _ = sent(ACCOUNT, 1)
    ignored = read((key, headers, b"{}"), ignored=frozenset({dict(headers)["ce_type"].decode()}))
    known = Held()
    result = sift([ignored, arrived(2)], {ignored.stream: known})
    assert versions_of(result) == [1, 2]
    assert [one.fact is None for one in result.apply] == [True, False]
    assert known.version == 2


@given(st.booleans(), st.booleans())
def test_headers_that_the_envelope_says_are_not_kept_but_made_anew(caused: bool, traced: bool) -> None:
    more = {"ce_causationid": b"a command"} if caused else {}
    more |= {"traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} if traced else {}
    key, headers, value = sent(ACCOUNT, 1)
    headers += more.items()
    one = read((key, headers, value))
    assert one.record.headers is None
    assert one.headers == headers


def test_headers_that_say_more_than_the_envelope_are_kept() -> None:
    key, headers, value = sent(ACCOUNT, 1)
    for other in (
        [*headers, ("note", b"from elsewhere \xff")],
        [("content-type", b"application/cloudevents+json"), *headers[1:]],
        [*headers, headers[-1]],
    ):
        one = read((key, other, value))
        assert one.record.headers == one.headers == other
