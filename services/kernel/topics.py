"""The topics as they are in Kafka: create them, and see that they are as the contract says.

kafka-python blocks, so on an event loop these functions are called through `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from events.topics import CONFIG, PARTITIONS, SERVICES, topic_of

_REQUEST_MS_MAX: Final = 10_000
_RECONNECT_MS_MAX: Final = 500  # The client's own 30 s would have relays wait for a broker that is back.
_BOOTSTRAP_MS_MAX: Final = 5_000
_MESSAGE_BYTES_MAX: Final = 2 * 1024 * 1024
_FOREVER: Final = str(2**63 - 1)
FACTS: Final = {
    **CONFIG,
    # A batch of the relay is smaller than this, whatever the broker's own limit is.
    "max.message.bytes": str(_MESSAGE_BYTES_MAX),
    # A record's time is when its fact was recorded. Should the broker's clock fall behind by more than its default of
    # an hour, it would refuse what is true, and the log would stop.
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": _FOREVER,
    "message.timestamp.before.max.ms": _FOREVER,
}
# Signals are about now: nobody looks at yesterday's.
SIGNALS: Final = {"cleanup.policy": "delete", "retention.ms": str(24 * 3600 * 1000)}
_EXISTS: Final = 36


class TopicWrong(Exception):
    """A topic is not as the contract says. Somebody has to mend that: nothing is published or read meanwhile."""

    code: str


class TopicMissing(TopicWrong):
    """The topic does not exist (yet): `openitem topics create`."""

    code = "topic_missing"


class TopicPartitions(TopicWrong):
    """The topic has another number of partitions. The order of facts depends on it, so it cannot be worked with."""

    code = "topic_partitions"


@dataclass(frozen=True, slots=True)
class Seen:
    """A topic as Kafka describes it. Created again under the same name, it has another `topic_id`."""

    name: str
    topic_id: UUID | None
    partitions: int


def signals_topic(service: str, prefix: str) -> str:
    return f"{prefix}.{service}.signals"


def connect(bootstrap: str) -> KafkaAdminClient:
    """An administration client. Errors: KafkaError when no broker answers."""
    return KafkaAdminClient(
        bootstrap_servers=bootstrap,
        client_id="openitem-topics",
        request_timeout_ms=_REQUEST_MS_MAX,
        bootstrap_timeout_ms=_BOOTSTRAP_MS_MAX,
        reconnect_backoff_max_ms=_RECONNECT_MS_MAX,
    )


def create_topics(
    bootstrap: str, prefix: str, *, replication_factor: int = 1, services: Sequence[str] = SERVICES
) -> list[str]:
    """Create the topics of facts and signals that do not exist yet; answers their names.

    Errors   TopicPartitions where one exists with another partition count; KafkaError.
    """
    wanted = {topic_of(service, prefix): FACTS for service in services}
    # Projections publishes nothing, but its workers too share work by signals.
    wanted |= {signals_topic(service, prefix): SIGNALS for service in (*services, "projections")}
    with closing(connect(bootstrap)) as admin:
        created = _create(admin, wanted, replication_factor)
        # A broker that has not heard of a topic says that it does not exist, whoever created it.
        admin.wait_for_topics(wanted)
        for name in wanted.keys() - created:
            if wanted[name] is FACTS:
                check(_describe(admin, [name])[0])
    return created


def create_signals_topic(bootstrap: str, service: str, prefix: str) -> None:
    """Create the topic that a worker's agent listens on, replicated as the cluster does. Errors: KafkaError."""
    with closing(connect(bootstrap)) as admin:
        admin.wait_for_topics(_create(admin, {signals_topic(service, prefix): SIGNALS}, -1))


def describe(bootstrap: str, topics: Iterable[str]) -> list[Seen]:
    """The topics as they are. Errors: TopicMissing, KafkaError."""
    with closing(connect(bootstrap)) as admin:
        return _describe(admin, list(topics))


def check(topic: Seen) -> None:
    """Errors: TopicPartitions."""
    if topic.partitions != PARTITIONS:
        raise TopicPartitions(
            f"topic {topic.name} has {topic.partitions} partitions and must have {PARTITIONS}, for life: the partition"
            " of a stream, and so the order of its facts, depends on the count. Create it anew and republish."
        )


def _create(admin: KafkaAdminClient, topics: dict[str, dict[str, str]], replication_factor: int) -> list[str]:
    answer = admin.create_topics(
        {
            name: {"num_partitions": PARTITIONS, "replication_factor": replication_factor, "configs": config}
            for name, config in topics.items()
        },
        raise_errors=False,
    )
    created = []
    for topic in answer["topics"]:
        if topic["error_code"] == 0:
            created.append(str(topic["name"]))
        elif topic["error_code"] != _EXISTS:
            raise KafkaError(f"topic {topic['name']} cannot be created: {topic['error_message']}")
    return created


def _describe(admin: KafkaAdminClient, names: list[str]) -> list[Seen]:
    found: list[dict[str, Any]] = admin.describe_topics(names)
    seen = []
    for topic in found:
        if topic["error_code"] != 0:
            raise TopicMissing(f"topic {topic['name']} does not exist; `openitem topics create` creates it")
        topic_id = topic["topic_id"]
        seen.append(Seen(topic["name"], UUID(str(topic_id)) if topic_id else None, len(topic["partitions"])))
    return seen
