"""How far a consumer is behind its topics: for the metrics, for readers of freshness, and to notice a standstill."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.kernel import flow_metrics as metrics
from services.kernel import position
from services.kernel.position import Spot
from services.kernel.store import Conn

# After a change of leader a broker may tell too low an end for a moment.
_SHRUNK_S: Final = 10.0

Spots = Mapping[TopicPartition, Spot]


class Lag:
    """The ends of the partitions a consumer has, as last seen."""

    def __init__(self, consumer: str, topics: Sequence[str]) -> None:
        self._consumer = consumer
        self._topics = topics
        self._ends: dict[TopicPartition, int] = {}
        self._short_since: dict[TopicPartition, float] = {}
        self._seen_at: datetime | None = None

    def forget(self) -> None:
        """Begin anew: the partitions are others now."""
        self._ends.clear()
        self._short_since.clear()

    def facts(self, spots: Spots) -> int:
        """Facts that wait."""
        return sum(max(0, end - spots[tp].next_offset) for tp, end in self._ends.items() if tp in spots)

    def look(self, kafka: AIOKafkaConsumer, spots: Spots) -> list[TopicPartition]:
        """Take the ends that the last fetches told; answers partitions that have ended before our position for long."""
        polled = [kafka.last_poll_timestamp(tp) for tp in spots]
        known = [stamp for stamp in polled if stamp]
        if known:
            self._seen_at = datetime.fromtimestamp(min(known) / 1000, UTC)
        now = time.monotonic()
        shrunk = []
        for tp, spot in spots.items():
            end = kafka.highwater(tp)
            if end is None:
                continue
            self._ends[tp] = end
            if end >= spot.next_offset:
                self._short_since.pop(tp, None)
            elif now - self._short_since.setdefault(tp, now) > _SHRUNK_S:
                shrunk.append(tp)
        return shrunk

    def note(self, ends: Mapping[TopicPartition, int]) -> None:
        """Take ends that Kafka was asked for: should fetching hang, it would go on telling that nothing is there."""
        self._ends.update(ends)

    async def store(self, conn: Conn, spots: Spots) -> None:
        """Store the ends and set the gauges."""
        ends = {tp: end for tp, end in self._ends.items() if tp in spots}
        if ends and self._seen_at is not None:
            await position.note_lag(conn, self._consumer, ends, self._seen_at)
            metrics.SEEN.labels(self._consumer).set(self._seen_at.timestamp())
        rows = await conn.fetch(_FRESHNESS, self._consumer)
        behind = {row["topic"]: (row["facts_behind"], row["seconds_behind"]) for row in rows}
        for topic in self._topics:
            facts, seconds = behind.get(topic, (0, 0.0))
            metrics.LAG_FACTS.labels(self._consumer, topic).set(facts)
            metrics.LAG_SECONDS.labels(self._consumer, topic).set(seconds)
        parked = await conn.fetchrow(_PARKED, self._consumer)
        assert parked is not None
        metrics.PARKED_STREAMS.labels(self._consumer).set(parked["streams"])
        metrics.PARKED_FACTS.labels(self._consumer).set(parked["facts"])


_FRESHNESS: Final = "SELECT topic, facts_behind, seconds_behind FROM consumer_freshness WHERE consumer = $1"
_PARKED: Final = "SELECT count(DISTINCT stream) AS streams, count(*) AS facts FROM parked WHERE consumer = $1"
