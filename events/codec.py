"""Facts to and from Kafka records: CloudEvents 1.0, binary mode, JSON data.

Source   CloudEvents 1.0.2, Kafka protocol binding 3.2: attributes are headers with the prefix `ce_`, the content type
         is the header `content-type`, the value is the data itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Final
from uuid import UUID

import msgspec

import events.contact
import events.escalation
import events.invoice
import events.payment  # noqa: F401 - the imports register the facts
from events.envelope import Envelope, Fact
from events.registry import REGISTRY, Malformed

Headers = list[tuple[str, bytes]]
_ENCODER: Final = msgspec.json.Encoder()
_FIXED: Final[Headers] = [("content-type", b"application/json"), ("ce_specversion", b"1.0")]
_COUNT: Final = 13  # How many headers every record has.


def encode(fact: Fact) -> bytes:
    """The data of a fact as it is stored and published."""
    return _ENCODER.encode(fact)


def encode_lines(facts: Iterable[Fact]) -> bytes:
    """The data of each fact, in lines: JSON has no line break within a value."""
    return _ENCODER.encode_lines(facts).removesuffix(b"\n")


def wire_of(fact: Fact) -> str:
    """`openitem.invoice.issued.v1`."""
    return _wire_of(type(fact))


@cache
def _wire_of(kind: type[Fact]) -> str:
    return REGISTRY.of(kind).wire


def decode(wire: str, data: bytes | str) -> Fact:
    """Read the data of a fact, lifted to the newest version. Errors: see Registry.decode."""
    return REGISTRY.decode(wire, data)


def headers_of(envelope: Envelope) -> Headers:
    """The headers of one record. Absent attributes have no header."""
    stream = envelope.stream.encode()
    headers = [
        *_FIXED,
        ("ce_id", str(envelope.event_id).encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_time", time_text(envelope.recorded_at)),
        ("ce_subject", stream),
        ("ce_partitionkey", stream),
        ("ce_sequence", b"%d" % envelope.seq),
        ("ce_streamversion", b"%d" % envelope.stream_version),
        ("ce_correlationid", envelope.correlation_id.encode()),
        ("ce_actor", envelope.actor.encode()),
        ("ce_branch", envelope.branch.encode()),
    ]
    if envelope.causation_id is not None:
        headers.append(("ce_causationid", envelope.causation_id.encode()))
    if envelope.traceparent is not None:
        headers.append(("traceparent", envelope.traceparent.encode()))
    return headers


def envelope_of(headers: Iterable[tuple[str, bytes]]) -> Envelope:
    """Read the headers of one record. Errors: Malformed, naming the attribute that is missing or wrong."""
    h = dict(headers)
    try:
        causation, trace = h.get("ce_causationid"), h.get("traceparent")
        return Envelope(
            event_id=msgspec.convert(h["ce_id"].decode(), UUID),  # In half of the time that UUID() takes.
            type=h["ce_type"].decode(),
            source=h["ce_source"].decode(),
            stream=h["ce_subject"].decode(),
            stream_version=int(h["ce_streamversion"]),
            seq=int(h["ce_sequence"]),
            recorded_at=datetime.fromisoformat(h["ce_time"].decode()),
            actor=h["ce_actor"].decode(),
            branch=h["ce_branch"].decode(),
            correlation_id=h["ce_correlationid"].decode(),
            causation_id=causation.decode() if causation is not None else None,
            traceparent=trace.decode() if trace is not None else None,
        )
    except KeyError as missing:
        raise Malformed(f"header {missing.args[0]} is missing") from None
    except (ValueError, AttributeError, msgspec.ValidationError) as error:
        raise Malformed(f"headers: {error}") from None


def say_no_more(headers: Sequence[tuple[str, bytes]], envelope: Envelope) -> bool:
    """Whether headers that were read as `envelope` hold nothing besides: `headers_of` gives them anew."""
    count = _COUNT + (envelope.causation_id is not None) + (envelope.traceparent is not None)
    return len(headers) == count and headers[0] == _FIXED[0] and headers[1] == _FIXED[1]


def time_text(moment: datetime) -> bytes:
    """RFC 3339 in UTC with microseconds: the same instant always gives the same bytes."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
