"""Does the sample subscriber of the documents count right, whatever the delivery does to it?"""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID, uuid5

import pytest
from kafka import KafkaProducer

from events import codec
from events.envelope import Envelope, Fact
from events.money import Money
from events.payment import PaymentReceived, PaymentReversed
from events.topics import topic_of
from services.kernel.relay import Relay
from services.kernel.topics import create_topics
from tests.support.facts import record, settings_of, store_of
from tests.support.flow import published, running
from tests.support.patience import PATIENCE_S, wait_until

MakeDatabase = Callable[[str], Awaitable[str]]
ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "docs" / "sample_subscriber.py"
SPACE = UUID("5f0d7bb2-2f3b-4f0e-9d2a-0d9b0c3a7e55")


class Publisher:
    """Puts facts on the payment topic as the relay does, and as no relay should."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap, self.topic = bootstrap, topic_of("payment", prefix)
        create_topics(bootstrap, prefix, services=("payment",))
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)

    def publish(self, seqs: Iterable[int]) -> None:
        """Publish the facts of these numbers; the same number is the same fact."""
        for seq in seqs:
            fact, stream = fact_of(seq), f"receipt-{uuid5(SPACE, str(seq % 40))}"
            headers = codec.headers_of(
                Envelope(
                    event_id=uuid5(SPACE, f"fact {seq}"),
                    type=codec.wire_of(fact),
                    source="/openitem/payment",
                    stream=stream,
                    stream_version=1 + seq // 40,
                    seq=seq,
                    recorded_at=datetime(2026, 3, 2, 14, 5, tzinfo=UTC),
                    actor="m.ortiz",
                    branch=fact.branch,
                    correlation_id="request",
                )
            )
            self._producer.send(self.topic, codec.encode(fact), key=stream.encode(), headers=headers)
        self._producer.flush()

    def close(self) -> None:
        self._producer.close()


@pytest.fixture
def publisher(kafka_bootstrap: str, topic_prefix: str) -> Iterable[Publisher]:
    made = Publisher(kafka_bootstrap, topic_prefix)
    yield made
    made.close()


class Subscriber:
    """The sample, run as its reader would run it."""

    def __init__(self, publisher: Publisher, database: Path) -> None:
        self.database = database
        self.command = [sys.executable, str(SAMPLE), "--kafka", publisher.bootstrap, "--topic", publisher.topic]
        self.command += ["--database", str(database)]

    def run(self, *options: str) -> tuple[int, str]:
        """Run until it has what is there: (exit status, what it says it has)."""
        command = [*self.command, "--to-end", *options]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert ended.returncode in (0, 1), ended.stderr
        return ended.returncode, ended.stdout

    def start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def count(self) -> int:
        """How many facts it has stored so far."""
        if not self.database.exists():
            return 0
        connection = sqlite3.connect(self.database)
        try:
            return int(connection.execute("SELECT count(*) FROM seen").fetchone()[0])
        except sqlite3.OperationalError:  # It has not made its tables yet, or is writing.
            return 0
        finally:
            connection.close()


@pytest.fixture
def subscriber(publisher: Publisher, tmp_path: Path) -> Subscriber:
    return Subscriber(publisher, tmp_path / "cash.sqlite")


def fact_of(seq: int) -> Fact:
    """Every tenth fact is a reversal, the others bring (seq) cents."""
    common = {"branch": f"B{seq % 3}", "effective_on": date(2026, 3, 2), "receipt_id": uuid5(SPACE, str(seq))}
    amount = Money(seq, "USD")
    if seq % 10 == 0:
        return PaymentReversed(**common, method="check", reason="nsf", amount=amount)
    return PaymentReceived(**common, method="check", amount=amount)


def expected(seqs: Iterable[int], complete: int, missing: str = "") -> str:
    cash: dict[str, int] = {}
    for seq in set(seqs):
        sign = -1 if seq % 10 == 0 else 1
        cash[f"B{seq % 3}"] = cash.get(f"B{seq % 3}", 0) + sign * seq
    lines = [f"{branch} {minor} USD (minor units)" for branch, minor in sorted(cash.items())]
    return "\n".join([*lines, f"complete up to {complete}{missing}", ""])


def test_repeats_and_another_order_change_nothing(publisher: Publisher, subscriber: Subscriber) -> None:
    publisher.publish([*range(1, 200), *range(100, 200), *range(300, 199, -1), 7, 7, 7])
    assert subscriber.run() == (0, expected(range(1, 301), 300))


def test_it_goes_on_where_it_stopped(publisher: Publisher, subscriber: Subscriber) -> None:
    publisher.publish(range(1, 51))
    assert subscriber.run() == (0, expected(range(1, 51), 50))
    publisher.publish(range(51, 101))
    assert subscriber.run() == (0, expected(range(1, 101), 100))


def test_reading_it_all_again_counts_nothing_twice(publisher: Publisher, subscriber: Subscriber) -> None:
    publisher.publish(range(1, 51))
    subscriber.run()
    assert subscriber.run("--from-start") == (0, expected(range(1, 51), 50))


def test_killed_in_the_middle_it_loses_nothing_and_counts_nothing_twice(
    publisher: Publisher, subscriber: Subscriber
) -> None:
    # The next facts come when it is dead: however long the kill takes, it has not read them.
    for first, enough in ((1, 1), (1_501, 1_600)):
        publisher.publish(range(first, first + 1_500))
        process = subscriber.start()
        try:
            wait_until(lambda enough=enough: subscriber.count() >= enough, poll_s=0.002)
            assert process.poll() is None, "it ended by itself"
        finally:
            process.kill()
            process.wait()
        assert 0 < subscriber.count() < first + 1_500
    publisher.publish(range(3_001, 3_101))
    assert subscriber.run() == (0, expected(range(1, 3_101), 3_100))


def test_a_missing_fact_is_named_and_may_come_later(publisher: Publisher, subscriber: Subscriber) -> None:
    there = [*range(1, 7), *range(8, 20), *range(23, 31)]
    publisher.publish(there)
    assert subscriber.run() == (1, expected(there, 6, ", missing 7, 20-22"))
    publisher.publish([20, 21, 22, 7])
    assert subscriber.run() == (0, expected(range(1, 31), 30))


async def test_it_reads_what_the_relay_published(
    make_database: MakeDatabase, kafka_bootstrap: str, topic_prefix: str, tmp_path: Path
) -> None:
    settings = settings_of("invoice", await make_database("invoice"), kafka_bootstrap, topic_prefix)
    await asyncio.to_thread(create_topics, kafka_bootstrap, topic_prefix, services=("invoice",))
    async with store_of(settings.database_url) as store, running(Relay(settings)):
        for version in (1, 2, 3):
            await record(store, SPACE, version)
        await published(store, 3)
        command = [sys.executable, str(SAMPLE), "--kafka", kafka_bootstrap, "--database", str(tmp_path / "any.sqlite")]
        command += ["--topic", topic_of("invoice", topic_prefix), "--to-end"]
        ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (ended.returncode, ended.stdout) == (0, "complete up to 3\n")


def test_the_documents_show_the_command_that_the_sample_takes() -> None:
    text = (ROOT / "docs" / "subscribing.md").read_text()
    usage = subprocess.run([sys.executable, str(SAMPLE), "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--kafka", "--topic", "--database", "--from-start"):
        assert option in text
        assert option in usage


def test_the_example_record_of_the_documents_is_a_fact() -> None:
    text = (ROOT / "docs" / "subscribing.md").read_text()
    block = text.partition("```json\n")[2].partition("```")[0]
    example = json.loads(block)
    envelope = codec.envelope_of((name, value.encode()) for name, value in example["headers"].items())
    assert codec.wire_of(codec.decode(envelope.type, json.dumps(example["data"]))) == envelope.type
