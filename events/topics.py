"""Topic, key and partition count, said once. One topic per publishing service; the key is the stream."""

from __future__ import annotations

from typing import Final

SERVICES: Final = ("invoice", "payment", "contact", "escalation")
# Fixed for life: the partition of a key, and with it the order within a stream, depends on it.
PARTITIONS: Final = 12
# Unlimited retention, never compacted: the topic is a copy of the whole log.
CONFIG: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}


def topic_of(service: str, prefix: str = "openitem") -> str:
    """The topic that `service` publishes to: `openitem.invoice.v1`."""
    assert service in SERVICES, service
    return f"{prefix}.{service}.v1"


def service_of(topic: str) -> str:
    """The publisher of `topic`, the inverse of `topic_of`."""
    return topic.split(".")[-2]
