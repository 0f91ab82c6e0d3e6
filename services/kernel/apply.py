"""Apply one delivery of records to a consumer, all in one transaction: position, effects, versions, what is parked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from aiokafka import TopicPartition

from services.kernel import parking, position
from services.kernel.delivery import Handler
from services.kernel.position import Held, Misjudged, Spot
from services.kernel.retry import fault_of
from services.kernel.sift import WAITS, Arrived, Parking, Reading, sift
from services.kernel.store import Conn

Seqs = dict[tuple[str, int], int]  # Topic and partition to the highest seq applied from there.


class Applied(msgspec.Struct, frozen=True):
    """What became of a delivery: the position after it, and counts by topic, by type and by parking code."""

    spots: dict[TopicPartition, Spot]
    applied: Counter[str]
    ignored: Counter[str]
    repeats: Mapping[str, int]
    parked: Counter[str]


async def apply(conn: Conn, consumer: str, handler: Handler, reading: Reading) -> Applied:
    """Apply what was read, in one transaction.

    Errors   Lost; transient ones; whatever the handler raises that is not about one fact. Nothing is done then.
    Holds    the position moves past every record: each was applied, parked, or known already.
    """
    try:
        return await _apply(conn, consumer, handler, reading, trusting=True)
    except Misjudged:
        return await _apply(conn, consumer, handler, reading, trusting=False)


async def _apply(conn: Conn, consumer: str, handler: Handler, reading: Reading, *, trusting: bool) -> Applied:
    """`apply`, which first trusts that every stream is where its first fact goes on: hardly ever is one not, and that
    is found when its version is stored. Errors: Misjudged, and those of `apply`.
    """
    async with conn.transaction():
        parked = await position.claim(conn, consumer, reading.moves)
        first: dict[str, Arrived] = {}
        for one in reading.arrived:
            first.setdefault(one.stream, one)
        # What cannot be read is not stored under its version, which would tell that it came before.
        ask = [stream for stream, one in first.items() if parked or one.code or not trusting]
        streams = {stream: Held((one.version or 1) - 1) for stream, one in first.items()}
        streams |= await position.held(conn, consumer, ask)
        was = {stream: held.version for stream, held in streams.items()}
        sifted = sift(reading.arrived, streams)
        parkings = sifted.park
        applied = sifted.apply
        seqs: Seqs = {}
        if applied:
            try:
                async with conn.transaction():  # A savepoint.
                    # First, because these rows are ours alone: the handler's last may be shared with other lanes, which
                    # wait until we commit.
                    seqs = await _settle(conn, consumer, applied, was)
                    await handler(conn, [one.fact for one in applied if one.fact is not None])
            except Exception as error:
                if fault_of(error) is None:
                    raise
                at_fault = await _bisect(conn, handler, applied)
                gone = {id(parked.arrived) for parked in at_fault}
                applied = [one for one in applied if id(one) not in gone]
                # Theirs come first: the order in which records are parked is the order of the log.
                parkings = at_fault + parkings
                seqs = await _settle(conn, consumer, applied, was)
        await parking.park(conn, consumer, parkings)
        for stream in sifted.refilled:
            await parking.ask_retry(conn, consumer, stream)
    return Applied(
        {m.at: Spot(m.next_offset, max(m.was.last_seq, seqs.get(m.at, 0))) for m in reading.moves},
        Counter([one.record.topic for one in applied]),
        Counter([one.envelope.type for one in applied if one.fact is None and one.envelope is not None]),
        sifted.repeats,
        Counter(parked.code for parked in parkings),
    )


async def _settle(conn: Conn, consumer: str, applied: Sequence[Arrived], was: Mapping[str, int]) -> Seqs:
    """Store how far the streams are with these; answers the highest seq of each partition."""
    seqs: Seqs = {}
    versions: dict[str, int] = {}
    for one in applied:
        envelope, record = one.envelope, one.record
        assert envelope is not None, "only what could be read is applied"
        versions[envelope.stream] = envelope.stream_version
        at = (record.topic, record.partition)
        if envelope.seq > seqs.get(at, 0):
            seqs[at] = envelope.seq
    if versions:
        await position.settle(conn, consumer, versions, seqs, was)
    return seqs


async def _bisect(conn: Conn, handler: Handler, facts: Sequence[Arrived]) -> list[Parking]:
    """Have the handler apply the facts; answers those at fault, each with the later ones of its stream."""
    try:
        async with conn.transaction():  # A savepoint.
            await handler(conn, [one.fact for one in facts if one.fact is not None])
    except Exception as error:
        fault = fault_of(error)
        if fault is None:
            raise
    else:
        return []
    if len(facts) == 1:
        [one] = facts
        assert one.version is not None, "it could be read"
        return [Parking(one, one.version, fault.code, fault.reason, fault.arriving)]
    half = len(facts) // 2
    parkings = await _bisect(conn, handler, facts[:half])
    held_back = {parked.arrived.stream for parked in parkings}
    rest = [one for one in facts[half:] if one.stream not in held_back]
    if rest:
        parkings += await _bisect(conn, handler, rest)
    for one in facts[half:]:
        if one.stream in held_back:
            assert one.version is not None, "it could be read"
            parkings.append(Parking(one, one.version, WAITS, "an earlier fact is parked"))
    return parkings
