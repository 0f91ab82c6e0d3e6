"""Which of the records that Kafka delivered are to be applied, which to be parked, and which are repeats. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

import msgspec
from aiokafka import ConsumerRecord, TopicPartition

from events.codec import Headers, decode, envelope_of, headers_of, say_no_more
from events.envelope import Envelope
from events.registry import Malformed, Unreadable
from services.kernel.delivery import Delivered
from services.kernel.position import Held, Move, Spot

HOLE: Final = "fact_hole"
WAITS: Final = "waits_for_earlier"
_STREAM_MAX: Final = 200  # Characters; ours have fewer than 50, and an index takes 2,700 bytes.
_VERSION_MAX: Final = 2**31 - 1  # What an int of Postgres takes.
_SEQ_MAX: Final = 2**63 - 1


class Record(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a record of Kafka's until it is applied: where it lay, and what it would be parked with.

    `headers` is None where the envelope says all of them: they are two thirds of a record's memory, and thousands wait.
    """

    topic: str
    partition: int
    offset: int
    value: bytes
    headers: Headers | None = None


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """A record as far as it could be read. With a `code` it is to be parked, and `reason` says why.

    `version` is None where the headers cannot be read: it is then taken for the one that was due. What could be read
    has no `fact` where the consumer ignores its kind.
    """

    record: Record
    stream: str
    version: int | None
    envelope: Envelope | None
    fact: Delivered | None
    code: str = ""
    reason: str = ""

    @property
    def headers(self) -> Headers:
        """As they came: kept, or made anew from the envelope."""
        if self.record.headers is not None:
            return self.record.headers
        assert self.envelope is not None, "headers that could not be read are kept"
        return headers_of(self.envelope)


class Reading(msgspec.Struct, frozen=True):
    """What a delivery holds: the records in order, and each partition's step."""

    arrived: list[Arrived]
    moves: list[Move]


class Parking(msgspec.Struct, frozen=True):
    """A record to be parked, under which version, and why. `arriving`: what it needs may be about to be made known."""

    arrived: Arrived
    version: int
    code: str
    reason: str
    arriving: bool = False


class Sifted(msgspec.Struct, frozen=True):
    """`apply` in order, each stream without repeats and holes; `refilled` are parked streams whose hole closed."""

    apply: list[Arrived]
    park: list[Parking]
    repeats: dict[str, int]
    refilled: set[str]


def arrive(read: ConsumerRecord, ignored: Set[str] = frozenset()) -> Arrived:
    """Read one record; of facts that are ignored the headers alone."""
    headers, value = read.headers, read.value or b""
    try:
        envelope = _envelope_of(read)
    except Unreadable as error:
        record = Record(read.topic, read.partition, read.offset, value, list(headers))
        return Arrived(record, _stream_of(read), None, None, None, error.code, str(error))
    kept = None if say_no_more(headers, envelope) else list(headers)
    record = Record(read.topic, read.partition, read.offset, value, kept)
    stream, version = envelope.stream, envelope.stream_version
    if envelope.type in ignored:
        return Arrived(record, stream, version, envelope, None)
    try:
        fact = Delivered(envelope, decode(envelope.type, value))
    except Unreadable as error:
        return Arrived(record, stream, version, envelope, None, error.code, str(error))
    return Arrived(record, stream, version, envelope, fact)


def place(delivery: Mapping[TopicPartition, Sequence[Arrived]], spots: Mapping[TopicPartition, Spot]) -> Reading:
    """What lies at or behind the positions, and where they are then. Partitions without a position are not ours."""
    arrived: list[Arrived] = []
    moves: list[Move] = []
    for tp, all_of_it in delivery.items():
        spot = spots.get(tp)
        if spot is None:
            continue
        ahead = [one for one in all_of_it if one.record.offset >= spot.next_offset]
        if ahead:
            recorded_at = next((one.envelope.recorded_at for one in reversed(ahead) if one.envelope is not None), None)
            moves.append(Move(tp, spot, ahead[-1].record.offset + 1, recorded_at))
            arrived += ahead
    return Reading(arrived, moves)


def sift(arrived: Iterable[Arrived], streams: Mapping[str, Held]) -> Sifted:
    """Hold each record against what is known of its stream.

    Holds    a version that is applied already is a repeat; the next one is applied, unless it is parked; a later one
             means that facts are missing. From the first fact that cannot be applied, its whole stream is parked.
             The seq is not asked: one record with a seq too high would make all that follow look like repeats.
    """
    sifted = Sifted([], [], {}, set())
    for one in arrived:
        stream = streams[one.stream]
        due = stream.version + 1
        version = one.version if one.version is not None else max(due, stream.parked_max + 1)
        if version < due:
            topic = one.record.topic
            sifted.repeats[topic] = sifted.repeats.get(topic, 0) + 1
        elif stream.parked_min is not None and not (version == due < stream.parked_min):
            _park(sifted, stream, Parking(one, version, one.code or WAITS, one.reason or "an earlier fact is parked"))
        elif one.code:
            _park(sifted, stream, Parking(one, version, one.code, one.reason))
        elif version > due:
            reason = (
                f"version {due} did not come" if version == due + 1 else f"versions {due} to {version - 1} did not come"
            )
            _park(sifted, stream, Parking(one, version, HOLE, reason))
        else:
            stream.version = version
            sifted.apply.append(one)
            if stream.parked_min == version + 1:
                sifted.refilled.add(one.stream)
    return sifted


def _park(sifted: Sifted, stream: Held, parking: Parking) -> None:
    sifted.park.append(parking)
    stream.parked_min = parking.version if stream.parked_min is None else min(stream.parked_min, parking.version)
    stream.parked_max = max(stream.parked_max, parking.version)


def _envelope_of(record: ConsumerRecord) -> Envelope:
    """The headers, if they say what can be true and stored. Errors: Malformed."""
    envelope = envelope_of(record.headers)
    if record.key != envelope.stream.encode():
        # Under another key it may come from another partition, where its order is anybody's guess.
        raise Malformed(f"the key is not the stream {envelope.stream[:_STREAM_MAX]}")
    if not (0 < envelope.stream_version <= _VERSION_MAX and 0 < envelope.seq <= _SEQ_MAX):
        raise Malformed("the stream version or the sequence is out of range")
    if not 0 < len(envelope.stream) <= _STREAM_MAX or "\x00" in envelope.stream:
        raise Malformed("the subject is no stream")
    return envelope


def _stream_of(record: ConsumerRecord) -> str:
    """What to file a record under whose headers cannot be read: its key, else its partition."""
    if record.key:
        return str(record.key.decode(errors="replace")).replace("\x00", "\ufffd")[:_STREAM_MAX]
    return f"unreadable-{record.topic}-{record.partition}"
