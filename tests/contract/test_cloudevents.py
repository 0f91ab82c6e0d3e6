"""An implementation that is not ours reads what we write, and we read what it writes."""

from typing import Any

import msgspec
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, to_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from events import codec
from events.envelope import Envelope, Fact
from tests.support.strategies import envelopes, facts

JSON = JSONFormat()


def extensions(envelope: Envelope) -> dict[str, str]:
    """Our attributes that CloudEvents does not define itself."""
    named = {
        "partitionkey": envelope.stream,
        "sequence": str(envelope.seq),
        "streamversion": str(envelope.stream_version),
        "correlationid": envelope.correlation_id,
        "causationid": envelope.causation_id,
        "actor": envelope.actor,
        "branch": envelope.branch,
    }
    return {name: value for name, value in named.items() if value is not None}


def attributes(envelope: Envelope) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(envelope.event_id),
        "source": envelope.source,
        "type": envelope.type,
        "time": envelope.recorded_at,
        "subject": envelope.stream,
        "datacontenttype": "application/json",
        **extensions(envelope),
    }


@given(envelopes(), facts())
def test_it_reads_what_we_write(envelope: Envelope, fact: Fact) -> None:
    data = codec.encode(fact)
    message = KafkaMessage(headers=dict(codec.headers_of(envelope)), key=envelope.stream.encode(), value=data)
    event = from_binary(message, JSON)
    assert event.get_attributes() == attributes(envelope)
    assert event.get_data() == msgspec.json.decode(data)


@given(st.data())
def test_we_read_what_it_writes(data: st.DataObject) -> None:
    fact = data.draw(facts())
    envelope = data.draw(envelopes(st.just(codec.wire_of(fact))))
    event = CloudEvent(attributes=attributes(envelope), data=msgspec.to_builtins(fact))
    message = to_binary(event, JSON)
    read = codec.envelope_of(message.headers.items())
    assert read == msgspec.structs.replace(envelope, traceparent=None)  # A header of its own, beside CloudEvents.
    assert codec.decode(read.type, message.value) == fact
    assert message.key == envelope.stream


@given(envelopes(), facts())
def test_the_record_is_the_same_whoever_writes_it(envelope: Envelope, fact: Fact) -> None:
    ours = {name: value for name, value in codec.headers_of(envelope) if name != "traceparent"}
    theirs = to_binary(CloudEvent(attributes=attributes(envelope), data=msgspec.to_builtins(fact)), JSON)
    if envelope.recorded_at.microsecond == 0:  # It leaves a zero fraction out, we never do; both are RFC 3339.
        ours["ce_time"] = ours["ce_time"].replace(b".000000Z", b"Z")
    assert theirs.headers == ours
