"""Make facts, record them in a store, and read a topic with a client that is not ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from events.codec import Headers, encode, headers_of, wire_of
from events.envelope import Envelope, Fact
from events.invoice import AccountChanged, AccountOpened
from events.topics import PARTITIONS, topic_of
from services.kernel.meta import EVERY_BRANCH, Cause, Meta
from services.kernel.settings import Settings
from services.kernel.store import Change, Decision, Store, Streams, open_pool
from tests.support.patience import PATIENCE_S

NUMBER_MAX = 10**9
Sent = tuple[bytes | None, Headers, bytes]


def settings_of(service: str, database: str, kafka: str, prefix: str, **others: Any) -> Settings:
    """Settings of a process under test. Nothing that a test starts checks tokens."""
    return Settings(
        service=service,
        postgres=database,
        database=database,
        kafka=kafka,
        topic_prefix=prefix,
        jwks="/dev/null",
        issuer="test",
        **others,
    )


def account_fact(account_id: UUID, version: int, *, name: str | None = None) -> Fact:
    """The fact that an account's stream has at `version`. It says so itself, in `terms_days`."""
    kind = AccountOpened if version == 1 else AccountChanged
    return kind(
        branch="B01",
        effective_on=date(2026, 7, 1),
        account_id=account_id,
        number=f"A-{account_id.int % NUMBER_MAX}",
        name=name,
        currency="USD",
        terms_days=version,
    )


def stream_of(account_id: UUID) -> str:
    return f"account-{account_id}"


def meta(actor: str = "tester") -> Meta:
    return Meta(actor=actor, cause=Cause(str(uuid4())), branches=EVERY_BRANCH)


@asynccontextmanager
async def store_of(database: str, *, size_max: int = 4):
    """A store on a database, with connections that see every branch as a worker's do."""
    pool = await open_pool(database, size_max=size_max, branches=EVERY_BRANCH)
    try:
        yield Store(pool)
    finally:
        pool.terminate()


async def record(store: Store, account_id: UUID, first: int, count: int = 1) -> None:
    """Record `count` facts of an account from version `first` on."""
    facts = [account_fact(account_id, version) for version in range(first, first + count)]
    await append(store, {stream_of(account_id): (first - 1, facts)})


async def append(store: Store, changes: dict[str, tuple[int, Sequence[Fact]]], pause: Pause | None = None) -> None:
    """Append facts to streams at expected versions; `pause` runs before the transaction commits."""

    async def decide(_: Streams) -> Decision:
        return Decision([Change(stream, expected, facts) for stream, (expected, facts) in changes.items()])

    async with store.pool.acquire() as conn, conn.transaction():
        await store.run(conn, meta(), decide)
        if pause is not None:
            await pause()


Pause = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Record:
    """One record of a topic, as kafka-python read it."""

    partition: int
    offset: int
    key: bytes
    headers: dict[str, bytes]
    value: bytes
    timestamp: int

    @property
    def stream(self) -> str:
        return self.headers["ce_subject"].decode()

    @property
    def version(self) -> int:
        return int(self.headers["ce_streamversion"])

    @property
    def seq(self) -> int:
        return int(self.headers["ce_sequence"])


def topic_records(bootstrap: str, topic: str) -> list[Record]:
    """Everything in a topic now, partition by partition, in order."""
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)) as consumer:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        found: dict[int, list[Record]] = {tp.partition: [] for tp in partitions}
        while any(consumer.position(tp) < ends[tp] for tp in partitions):
            for tp, records in consumer.poll(timeout_ms=500).items():
                found[tp.partition] += [
                    Record(tp.partition, r.offset, r.key, dict(r.headers), r.value, r.timestamp) for r in records
                ]
    return [record for number in range(PARTITIONS) for record in found[number]]


def sent(account_id: UUID, version: int, *, name: str | None = None, **headers: bytes) -> Sent:
    """What the relay sends for an account's fact: key, headers, value. `headers` overwrites some, `ce_` left out."""
    fact = account_fact(account_id, version, name=name)
    stream = stream_of(account_id)
    envelope = Envelope(
        event_id=uuid5(account_id, str(version)),
        type=wire_of(fact),
        source="/openitem/invoice",
        stream=stream,
        stream_version=version,
        seq=version,
        recorded_at=datetime.now(UTC),
        actor="tester",
        branch=fact.branch,
        correlation_id="a test",
    )
    changed = {f"ce_{key}": value for key, value in headers.items()}
    return stream.encode(), list((dict(headers_of(envelope)) | changed).items()), encode(fact)


def send(bootstrap: str, topic: str, records: Sequence[Sent]) -> None:
    """Put records into a topic as somebody else would: key, headers, value."""
    with closing(KafkaProducer(bootstrap_servers=bootstrap, acks="all")) as producer:
        for key, headers, value in records:
            producer.send(topic, key=key, headers=headers, value=value).get(PATIENCE_S)


def facts_topic(service: str, prefix: str) -> str:
    return topic_of(service, prefix)
