"""Yesterday's records can be read today: one sample of every fact version ever published."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from events import codec, golden, schemas
from events.registry import REGISTRY, Registered

SAMPLES = sorted(golden.FOLDER.glob("*.json"))
EACH_SAMPLE = pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)


def read(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    record = msgspec.json.decode(path.read_bytes())
    return record["headers"], record["data"]


def covers(full: Any, sample: Any) -> bool:
    """Whether `full` says all that `sample` says. It may say more: fields that came to the version later."""
    if isinstance(sample, dict) and isinstance(full, dict):
        return all(key in full and covers(full[key], value) for key, value in sample.items())
    if isinstance(sample, list) and isinstance(full, list):
        return len(full) == len(sample) and all(map(covers, full, sample))
    return bool(full == sample)


@pytest.mark.parametrize("known", REGISTRY.all(), ids=lambda known: known.wire)
def test_every_fact_has_a_sample(known: Registered) -> None:
    assert golden.FOLDER / f"{known.wire}.json" in SAMPLES, (
        f"run `make golden` and commit what it adds for {known.wire}"
    )


def test_every_published_version_has_a_sample() -> None:
    assert {path.stem for path in SAMPLES} == set(schemas.published())


@EACH_SAMPLE
def test_its_headers_are_read(path: Path) -> None:
    headers, data = read(path)
    envelope = codec.envelope_of((name, value.encode()) for name, value in headers.items())
    assert envelope.type == path.stem
    assert envelope.branch == data["branch"]
    assert dict(codec.headers_of(envelope)) == {name: value.encode() for name, value in headers.items()}


@EACH_SAMPLE
def test_its_data_is_read_and_nothing_of_it_is_lost(path: Path) -> None:
    headers, data = read(path)
    fact = codec.decode(headers["ce_type"], msgspec.json.encode(data))
    if codec.wire_of(fact) == headers["ce_type"]:  # An older version is lifted: it says it in other words.
        assert covers(msgspec.json.decode(codec.encode(fact)), data)


@EACH_SAMPLE
def test_it_is_valid_by_the_schema_that_was_published_with_it(path: Path) -> None:
    schema = msgspec.json.decode(schemas.path_of(path.stem).read_bytes())
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(read(path)[1])


@EACH_SAMPLE
def test_it_names_no_person(path: Path) -> None:
    """A fact is for ever, so it carries ids of people: contact can forget what they name."""
    names = {"first_name", "last_name", "person_name", "phone", "email", "address", "note", "card", "card_number"}
    assert not names & set(_keys(read(path)[1]))


def test_a_sample_that_is_there_is_left_alone(tmp_path: Path) -> None:
    [first, *rest] = REGISTRY.all()
    kept = tmp_path / f"{first.wire}.json"
    kept.write_text("as it was")
    assert golden.write(REGISTRY, tmp_path) == [known.wire for known in rest]
    assert kept.read_text() == "as it was"
    assert golden.write(REGISTRY, tmp_path) == []


def test_the_same_sample_is_made_every_time() -> None:
    assert [golden.text_of(known) for known in REGISTRY.all()] == [golden.text_of(known) for known in REGISTRY.all()]


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for inner in value.values() for key in _keys(inner))]
    return [key for inner in value for key in _keys(inner)] if isinstance(value, list) else []
