"""Metrics of moving facts: relay, consumers, parking. Labels are bounded: a service, a consumer, a topic, a code."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

RELAY_OLDEST: Final = Gauge(
    "openitem_relay_oldest_unpublished_seconds",
    "Age of the oldest recorded fact that Kafka has not acknowledged. Alert at 30: see the relay's log, then Kafka.",
    ["service"],
)
RELAY_LEADER: Final = Gauge(
    "openitem_relay_leader",
    "1 in the worker that publishes. Alert when the sum over a service is not 1 for a minute: start a worker.",
    ["service"],
)
RELAY_PUBLISHED: Final = Counter(
    "openitem_relay_published_total",
    "Facts that Kafka acknowledged, those sent again included. A flat line with a rising age means that Kafka refuses.",
    ["service"],
)
RELAY_ERRORS: Final = Counter(
    "openitem_relay_errors_total",
    "Times the relay lost Kafka or its database session and began again. A steady rate means that one of them flaps.",
    ["service", "kind"],
)
LAG_FACTS: Final = Gauge(
    "openitem_consumer_lag_facts",
    "Facts a consumer has not applied; each of its workers tells all of them. Rising for minutes: add workers.",
    ["consumer", "topic"],
)
LAG_SECONDS: Final = Gauge(
    "openitem_consumer_lag_seconds",
    "How long the oldest fact that waits may have waited. Alert at 60: look at the worker's log and readiness.",
    ["consumer", "topic"],
)
SEEN: Final = Gauge(
    "openitem_consumer_seen_timestamp_seconds",
    "When a consumer last saw where its topics end. Alert when that is a minute ago: till then its lag is not known.",
    ["consumer"],
)
PARKED_STREAMS: Final = Gauge(
    "openitem_consumer_parked_streams",
    "Streams held back because a fact of theirs could not be applied. Alert above 0: `openitem parked list` says why.",
    ["consumer"],
)
PARKED_FACTS: Final = Gauge(
    "openitem_consumer_parked_facts",
    "Facts that wait in `parked`. After the cause is mended, `openitem parked retry` brings them home in order.",
    ["consumer"],
)
APPLIED: Final = Counter(
    "openitem_consumer_applied_total",
    "Facts that a consumer applied and committed. A flat line with lag means that it retries or stands still.",
    ["consumer", "topic"],
)
IGNORED: Final = Counter(
    "openitem_consumer_ignored_total",
    "Of the facts applied those that the consumer has no use for. A type you do not expect lacks code of its own.",
    ["consumer", "type"],
)
DROPPED: Final = Counter(
    "openitem_consumer_repeats_total",
    "Facts delivered again and left out. Normal after a crash or a republish; a steady rate means a relay resends.",
    ["consumer", "topic"],
)
PARKED: Final = Counter(
    "openitem_consumer_parked_total",
    "Facts put into `parked`, by reason. `waits_for_earlier` follows from the others: mend those first.",
    ["consumer", "code"],
)
RETRIES: Final = Counter(
    "openitem_consumer_retries_total",
    "Times a consumer rolled back or joined anew because a server was away or transactions met. Steady: see `kind`.",
    ["consumer", "kind"],
)
LOST: Final = Counter(
    "openitem_consumer_partitions_lost_total",
    "Batches abandoned because another worker has the partition now. Rare when workers come and go; else they fight.",
    ["consumer"],
)
BATCH_SECONDS: Final = Histogram(
    "openitem_consumer_batch_seconds",
    "Time to apply and commit one batch. Above a second the handler or Postgres is slow: look at pg_stat_statements.",
    ["consumer"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
