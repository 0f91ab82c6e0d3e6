"""Send a service's whole log to its topic again, from the event store: for a Kafka that was lost and rebuilt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from events.topics import topic_of
from services.kernel import topics
from services.kernel.outbox import open_outbox
from services.kernel.publish import Publisher
from services.kernel.relay import WAVE_MAX
from services.kernel.settings import Settings


async def republish(settings: Settings, progress: Callable[[int, int], None] | None = None) -> int:
    """Send every fact that has a seq to the service's topic again, in order; answers how many.

    `progress` is told how many facts were sent, and of how many, after each wave.

    Errors   TopicMissing, TopicPartitions; KafkaError and transient ones: run it again, from the start.
    Holds    the relay steps aside meanwhile, so that the order stays; when this ends, however it ends, it goes on by
             itself with what has been recorded since. Nothing in the event store changes. Consumers know what they
             applied by the versions of the streams.
    """
    topic = topic_of(settings.service, settings.topic_prefix)
    [seen] = await asyncio.to_thread(topics.describe, settings.kafka, [topic])
    topics.check(seen)
    async with open_outbox(settings.database_url, name="openitem-republish") as outbox:
        await outbox.lead_instead()
        last = await outbox.assigned()
        publisher = Publisher(settings.kafka, settings.service, topic)
        try:
            await publisher.start()
            sent = 0
            while sent < last:
                wave = publisher.wave(await outbox.taken(sent, WAVE_MAX))
                await publisher.send(wave)
                sent = wave.last
                if progress is not None:
                    progress(sent, last)
            await outbox.acknowledge(last)
        finally:
            await publisher.abandon()
    return last
