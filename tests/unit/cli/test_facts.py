"""What `openitem tail` makes of a record."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given

from events import codec, golden
from events.envelope import Fact
from events.registry import REGISTRY, Registered
from services.cli.facts import Seen, Wanted, as_json, as_line, read
from tests.support.strategies import facts


def record(known: Registered, fact: Fact | None = None) -> Seen:
    fact = fact or golden.sample_of(known)
    return read("openitem.payment.v1", 3, 41, codec.headers_of(golden.envelope_of(known, fact)), codec.encode(fact))


def sample(name: str) -> Seen:
    return record(next(known for known in REGISTRY.all() if known.name == name))


APPLIED = sample("payment.applied")
ACCOUNT = APPLIED.data["account_id"]


@pytest.mark.parametrize("known", REGISTRY.all(), ids=lambda known: known.wire)
def test_every_fact_has_a_line(known: Registered) -> None:
    line = as_line(record(known)).plain
    assert known.name in line
    assert "CHI" in line
    assert "2026-03-02" in line
    assert "\n" not in line


def test_a_line_shows_amounts_and_counts_and_no_ids() -> None:
    line = as_line(APPLIED).plain
    assert "lines=1 applied=4000.00 USD unapplied=1000.00 USD" in line
    assert ACCOUNT not in line


@given(facts())
def test_any_fact_has_a_line_and_a_json_object(fact: Fact) -> None:
    seen = record(REGISTRY.of(type(fact)), fact)
    assert as_line(seen).plain
    assert json.loads(as_json(seen))["data"] == json.loads(codec.encode(fact))


def test_json_has_where_it_stands_its_envelope_and_its_data() -> None:
    shown = json.loads(as_json(APPLIED))
    assert (shown["topic"], shown["partition"], shown["offset"]) == ("openitem.payment.v1", 3, 41)
    assert shown["type"] == "openitem.payment.applied.v1"
    assert shown["seq"] == 10_472
    assert shown["data"]["applied"] == {"minor": 400_000, "currency": "USD"}


@pytest.mark.parametrize(
    ("headers", "value", "said"),
    [
        ([], b"{}", "header ce_id is missing"),
        (codec.headers_of(APPLIED.envelope), b"not json", "malformed"),  # type: ignore[arg-type]
        (codec.headers_of(APPLIED.envelope), b"[1]", "Expected `object`"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_read_is_shown_as_that(headers: list[tuple[str, bytes]], value: bytes, said: str) -> None:
    seen = read("openitem.payment.v1", 3, 41, headers, value)
    assert said in as_line(seen).plain
    assert "openitem.payment.v1[3]@41" in as_line(seen).plain
    assert said in json.loads(as_json(seen))["problem"]
    assert Wanted().fits(seen)
    assert not Wanted(branches=["CHI"]).fits(seen)


def test_a_type_from_the_future_is_shown() -> None:
    assert APPLIED.envelope is not None
    envelope = msgspec.structs.replace(APPLIED.envelope, type="openitem.payment.blessed.v7")
    seen = read("openitem.payment.v1", 3, 41, codec.headers_of(envelope), b'{"blessing":"of the bank"}')
    assert "payment.blessed.v7" in as_line(seen).plain
    assert "blessing=of the bank" in as_line(seen).plain


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        ({}, True),
        ({"types": ["payment.applied"]}, True),
        ({"types": ["payment.applied.v1"]}, True),
        ({"types": ["openitem.payment.applied.v1"]}, True),
        ({"types": ["payment.*"]}, True),
        ({"types": ["payment.app*", "invoice.*"]}, True),
        ({"types": ["payment"]}, False),
        ({"types": ["invoice.*"]}, False),
        ({"branches": ["MKE", "CHI"]}, True),
        ({"branches": ["CH"]}, False),
        ({"accounts": [ACCOUNT]}, True),
        ({"accounts": [APPLIED.data["receipt_id"]]}, False),
        ({"streams": [f"receipt-{APPLIED.data['receipt_id']}"]}, True),
        ({"streams": ["receipt-*"]}, True),
        ({"streams": ["invoice-*"]}, False),
        ({"types": ["payment.*"], "branches": ["MKE"]}, False),
    ],
)
def test_every_option_must_fit_with_one_of_its_values(wanted: dict[str, Any], fits: bool) -> None:
    assert Wanted(**wanted).fits(APPLIED) is fits


def test_an_account_is_found_inside_an_item() -> None:
    voided = sample("invoice.voided")
    assert "account_id" not in voided.data
    assert Wanted(accounts=[voided.data["item"]["account_id"]]).fits(voided)


def test_a_long_text_is_cut_on_the_line_and_whole_in_json() -> None:
    voided = sample("invoice.voided")
    voided.data["reason"] = "because " * 40
    assert "because …" in as_line(voided).plain.replace("because be", "because …")
    assert len(as_line(voided).plain) < 300
    assert json.loads(as_json(voided))["data"]["reason"] == "because " * 40
