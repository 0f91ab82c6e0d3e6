"""The AsyncAPI document is whole: every reference leads somewhere, every fact and every header is in it."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from events import codec, golden, schemas
from events.registry import REGISTRY
from events.topics import PARTITIONS, SERVICES, topic_of

DOCUMENT: dict[str, Any] = msgspec.json.decode(schemas.ASYNCAPI.read_bytes())
# Top-level fields of AsyncAPI 3.0.0, and those of the objects used here that the specification requires.
FIELDS = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
REQUIRED = {"info": {"title", "version"}, "servers": {"host", "protocol"}, "operations": {"action", "channel"}}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(reference: str) -> Any:
    """What a reference leads to, in this document or in a file beside it."""
    place, _, pointer = reference.partition("#")
    found = msgspec.json.decode((schemas.ASYNCAPI.parent / place).read_bytes()) if place else DOCUMENT
    for part in pointer.strip("/").split("/") if pointer else ():
        found = found[part]
    return found


def test_it_is_an_asyncapi_3_document() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert set(DOCUMENT) <= FIELDS
    assert REQUIRED["info"] <= set(DOCUMENT["info"])
    for name in ("servers", "operations"):
        assert all(REQUIRED[name] <= set(value) for value in DOCUMENT[name].values())


@pytest.mark.parametrize("reference", sorted(set(references(DOCUMENT))))
def test_every_reference_leads_somewhere(reference: str) -> None:
    assert resolve(reference)


def test_there_is_a_channel_and_a_publisher_for_every_topic() -> None:
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == {topic_of(s) for s in SERVICES}
    assert all(channel["bindings"]["kafka"]["partitions"] == PARTITIONS for channel in DOCUMENT["channels"].values())
    published = {operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()}
    assert published == {f"#/channels/{service}" for service in DOCUMENT["channels"]}
    assert {operation["action"] for operation in DOCUMENT["operations"].values()} == {"send"}


def test_every_published_version_is_a_message_of_its_channel() -> None:
    for service, channel in DOCUMENT["channels"].items():
        assert set(channel["messages"]) == {w for w in schemas.published() if w.startswith(f"openitem.{service}.")}
    for wire, message in DOCUMENT["components"]["messages"].items():
        assert message["name"] == wire
        assert message["summary"]
        assert resolve(message["payload"]["$ref"]) == schemas.published()[wire]


@pytest.mark.parametrize("path", sorted(golden.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_its_headers_are_those_of_a_record(path: Any) -> None:
    headers = msgspec.json.decode(path.read_bytes())["headers"]
    schema = DOCUMENT["components"]["schemas"]["cloudevent"]
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(headers)
    assert set(headers) <= set(schema["properties"])


def test_every_header_that_is_sent_is_described() -> None:
    known = next(k for k in REGISTRY.all() if k.name == "payment.received")
    envelope = msgspec.structs.replace(golden.envelope_of(known, golden.sample_of(known)), causation_id="a fact")
    sent = {name for name, _ in codec.headers_of(envelope)}
    assert sent == set(DOCUMENT["components"]["schemas"]["cloudevent"]["properties"])
