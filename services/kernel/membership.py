"""A consumer's membership in its Kafka group: joining, leaving, which partitions it has, and reading them.

The group only shares out the partitions; where reading goes on is the consumer's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence, Set
from contextlib import suppress
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError as AioKafkaError
from kafka.errors import KafkaError

from services.kernel import topics
from services.kernel.backlog import Delivery
from services.kernel.delivery import ConsumerSpec
from services.kernel.position import Spot
from services.kernel.settings import Settings
from services.kernel.sift import arrive

KAFKA_AWAY: Final = (KafkaError, AioKafkaError, topics.TopicMissing, OSError, TimeoutError)

_POLL_MS: Final = 200  # How long a look for records waits; also how soon a stop is seen.
_SOON_MS: Final = 20  # The same while some partitions are left out: how soon it is seen that they need not be.
_FEW_BYTES: Final = 64 * 1024  # About a hundred facts: so many are worth a batch at once.
_SLICE: Final = 50  # Records taken out of the client and decoded at a stretch, about a millisecond.
_ANSWER_S_MAX: Final = 20.0
_LEAVE_S_MAX: Final = 10.0
_REVOKE_S_MAX: Final = 5.0  # For what is in flight, when a rebalance takes partitions away: others wait for us.


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types.
    """One membership, from `join` to `leave`.

    `generation` counts what Kafka says of the partitions: whatever was read under an earlier one is thrown away.
    `assigned` is whether it has said which are ours. One of `busy` is held while a batch is applied.
    """

    def __init__(
        self, settings: Settings, spec: ConsumerSpec, topic_names: Sequence[str], busy: Sequence[asyncio.Lock]
    ) -> None:
        self.generation = 0
        self.assigned = False
        self._bootstrap = settings.kafka
        self._topics = topic_names
        self._ignored = spec.ignored
        self._busy = busy
        self.kafka = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka,
            client_id=f"openitem-{settings.service}-{spec.name}",
            group_id=f"{settings.topic_prefix}.{settings.service}.{spec.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=1_000,
            # How soon a topic that was created anew is noticed when we were left without partitions.
            metadata_max_age_ms=5_000,
            max_partition_fetch_bytes=2 * 1024 * 1024,
            # Kafka gathers, not we: it answers one request at a time, and while we slept over what one had brought for
            # some partitions, the next was on its way without these, for up to its half second.
            fetch_min_bytes=_FEW_BYTES,
            fetch_max_wait_ms=round(spec.gather_s * 1000),
        )

    async def join(self) -> None:
        """Errors: those of KAFKA_AWAY."""
        self.kafka.subscribe(topics=list(self._topics), listener=self)
        async with asyncio.timeout(_ANSWER_S_MAX):
            await self.kafka.start()

    async def leave(self) -> None:
        """Leave the group, so that the others need not wait for our absence to be noticed."""
        self.assigned = False
        self.generation += 1
        with suppress(*KAFKA_AWAY):
            async with asyncio.timeout(_LEAVE_S_MAX):
                await self.kafka.stop()

    async def on_partitions_revoked(self, _revoked: Collection[TopicPartition]) -> None:
        """Called by aiokafka before partitions go elsewhere. Lets what is in flight end; what follows is not ours."""
        self.assigned = False
        self.generation += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(_REVOKE_S_MAX):
                for lock in self._busy:
                    async with lock:
                        pass  # Whoever takes it next sees that the generation is another.

    async def on_partitions_assigned(self, _assigned: Collection[TopicPartition]) -> None:
        """Called by aiokafka after a rebalance. It swallows errors, so nothing that can fail is done here."""
        self.assigned = True
        self.generation += 1

    async def read(self, count_max: int, without: Set[TopicPartition]) -> Delivery:
        """The next records of our partitions, decoded: what is there, or what comes; `without` some of them only what
        is there, or comes soon. Errors: KafkaError.
        """
        delivery: Delivery = {}
        asked = self.kafka.assignment() - without if without else ()
        if without and not asked:
            await asyncio.sleep(_SOON_MS / 1000)
            return delivery
        patience_ms = _SOON_MS if without else _POLL_MS
        while count_max:
            wait_ms = 0 if delivery else patience_ms
            fetched = await self.kafka.getmany(*asked, timeout_ms=wait_ms, max_records=min(count_max, _SLICE))
            if not fetched:
                break
            for tp, records in fetched.items():
                delivery.setdefault(tp, []).extend([arrive(record, self._ignored) for record in records])
                count_max -= len(records)
            await asyncio.sleep(0)  # Lets the batch before this one speak to Postgres in between.
        return delivery

    def seek(self, spots: Mapping[TopicPartition, Spot]) -> None:
        for tp, spot in spots.items():
            self.kafka.seek(tp, spot.next_offset)

    async def identify(self) -> dict[str, UUID | None]:
        """See that the topics are as the contract says, and which they are. Errors: TopicWrong, those of KAFKA_AWAY."""
        async with asyncio.timeout(_ANSWER_S_MAX):
            seen = await asyncio.to_thread(topics.describe, self._bootstrap, self._topics)
        for topic in seen:
            topics.check(topic)
        return {topic.name: topic.topic_id for topic in seen}

    async def ends(self, at: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Where partitions end, asked anew. Errors: those of KAFKA_AWAY."""
        async with asyncio.timeout(_ANSWER_S_MAX):
            found: dict[TopicPartition, int] = await self.kafka.end_offsets(list(at))
            return found

    async def tell(self, spots: Mapping[TopicPartition, Spot]) -> None:
        """Commit offsets, for lag tools. Errors: those of KAFKA_AWAY."""
        async with asyncio.timeout(_ANSWER_S_MAX):
            await self.kafka.commit({tp: spot.next_offset for tp, spot in spots.items()})
