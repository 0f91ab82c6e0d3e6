"""Are the relay's shortcuts the same as what they shorten?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import example, given
from hypothesis import strategies as st

from events.codec import headers_of
from events.envelope import Envelope
from events.topics import PARTITIONS, partition_of
from services.kernel.parking import headers_json, headers_of_json
from services.kernel.publish import fixed_headers, headers_of_row

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.binary(max_size=400))
@example(b"")
@example(b"x" * 261)
def test_a_key_has_the_partition_that_every_client_gives_it(key: bytes) -> None:
    assert partition_of(key) == DefaultPartitioner()(key, list(range(PARTITIONS)), [])


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis asks it
    st.one_of(st.none(), st.text(max_size=9)),
)
def test_headers_made_from_a_row_are_those_of_its_envelope(recorded_at: datetime, causation: str | None) -> None:
    envelope = Envelope(
        event_id=uuid4(),
        type="openitem.invoice.issued.v1",
        source="/openitem/invoice",
        stream="invoice-1",
        stream_version=3,
        seq=99,
        recorded_at=recorded_at,
        actor="ann",
        branch="B01",
        correlation_id="c",
        causation_id=causation,
        traceparent=causation,
    )
    row = (
        *(99, str(envelope.event_id), envelope.type, envelope.stream, 3),
        *((recorded_at - EPOCH) // timedelta(microseconds=1), "ann", "B01", "c"),
        *(causation, causation, "{}"),
    )
    assert dict(headers_of_row(row, b"invoice-1", fixed_headers("invoice"), {})) == dict(headers_of(envelope))


@given(st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=20))))
def test_headers_are_parked_as_they_were_received(headers: list[tuple[str, bytes]]) -> None:
    assert headers_of_json(headers_json(headers)) == headers
