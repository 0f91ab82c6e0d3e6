"""A fact survives the wire, and a record that is no fact is named as what it is."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings

from events import codec
from events.envelope import Envelope, Fact
from events.registry import REGISTRY, Malformed, Registered, UnknownType, UnknownVersion
from tests.support.strategies import envelopes, facts, facts_of

KINDS = pytest.mark.parametrize("known", REGISTRY.all(), ids=lambda known: known.wire)
REQUIRED = [
    "ce_id",
    "ce_type",
    "ce_source",
    "ce_subject",
    "ce_streamversion",
    "ce_sequence",
    "ce_time",
    "ce_actor",
    "ce_branch",
    "ce_correlationid",
]


@KINDS
def test_every_kind_of_fact_survives_the_wire(known: Registered) -> None:
    @settings(max_examples=15)
    @given(facts_of(known))
    def survives(fact: Fact) -> None:
        assert codec.wire_of(fact) == known.wire
        assert codec.decode(codec.wire_of(fact), codec.encode(fact)) == fact

    survives()


@given(facts())
def test_encoding_again_gives_the_same_bytes(fact: Fact) -> None:
    data = codec.encode(fact)
    assert codec.encode(codec.decode(codec.wire_of(fact), data)) == data


@given(envelopes())
def test_what_surrounds_a_fact_survives_the_wire(envelope: Envelope) -> None:
    assert codec.envelope_of(codec.headers_of(envelope)) == envelope


@given(envelopes())
def test_the_order_of_headers_does_not_matter(envelope: Envelope) -> None:
    assert codec.envelope_of(reversed(codec.headers_of(envelope))) == envelope


@given(facts())
def test_a_field_that_a_later_writer_added_is_passed_over(fact: Fact) -> None:
    data = codec.encode(fact)[:-1] + b',"added_later":{"by":"somebody"}}'
    assert codec.decode(codec.wire_of(fact), data) == fact


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_header_is_named(name: str, envelope: Envelope) -> None:
    headers = [(n, v) for n, v in codec.headers_of(envelope) if n != name]
    with pytest.raises(Malformed, match=f"header {name} is missing"):
        codec.envelope_of(headers)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_id", b"not a uuid"),
        ("ce_sequence", b"seven"),
        ("ce_streamversion", b""),
        ("ce_time", b"yesterday"),
        ("ce_actor", b"\xff\xfe"),
        ("ce_subject", None),
    ],
)
def test_a_header_that_cannot_be_read_is_malformed(name: str, value: bytes, envelope: Envelope) -> None:
    headers = [(n, value if n == name else v) for n, v in codec.headers_of(envelope)]
    with pytest.raises(Malformed):
        codec.envelope_of(headers)


def test_the_same_instant_is_written_the_same_from_any_zone() -> None:
    here = datetime(2026, 3, 2, 9, 5, 33, tzinfo=timezone(timedelta(hours=-5)))
    assert codec.time_text(here) == codec.time_text(here.astimezone(UTC)) == b"2026-03-02T14:05:33.000000Z"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"{}", b'{"branch":"CHI"}', b"\xff", b'{"branch":5}'])
def test_data_that_is_not_the_fact_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match=r"openitem\.payment\.received\.v1"):
        codec.decode("openitem.payment.received.v1", data)


@pytest.mark.parametrize(
    "wire", ["", "openitem", "openitem.payment.received", "openitem.payment.lost.v1", "other.payment.received.v1"]
)
def test_a_type_outside_the_contract_is_unknown(wire: str) -> None:
    with pytest.raises(UnknownType):
        codec.decode(wire, b"{}")


def test_a_version_newer_than_ours_is_unknown() -> None:
    with pytest.raises(UnknownVersion, match="newer than v1"):
        codec.decode("openitem.payment.received.v2", b"{}")
