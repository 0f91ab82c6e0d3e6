"""Does the `openitem` program say of real servers what is true of them?"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from select import select
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from deploy.embedded import Postgres
from events import codec, golden
from events.registry import REGISTRY
from events.topics import SERVICES, topic_of
from services.cli import screen
from services.cli.main import app
from services.kernel.migrate import create_database, migrate
from services.kernel.outbox import open_outbox
from services.kernel.parking import park
from services.kernel.settings import database_url
from services.kernel.sift import HOLE, WAITS, Arrived, Parking, Record
from tests.support.facts import account_fact, append, store_of, stream_of
from tests.support.patience import PATIENCE_S, wait_until

MakeDatabase = Callable[[str], Awaitable[str]]
SPACE = UUID("6d9dbdb6-5b7b-4f9f-9b5f-0c0d4bbf7f52")
KNOWN = {known.name: known for known in REGISTRY.all()}


class Program:
    """`openitem`, told by variables where the servers are. Run in this process: a new one takes a second to begin."""

    def __init__(self, **settings: str) -> None:
        self.environment = {f"OPENITEM_{name.upper()}": value for name, value in settings.items()}
        self.command = [sys.executable, "-c", "from services.cli.main import app; app()"]
        screen.out.width = screen.err.width = 300

    def run(self, *arguments: str, status: int = 0) -> str:
        """What it prints; with standard error where it is to fail."""
        with ThreadPoolExecutor(1) as thread:  # It runs an event loop of its own, and a test may be in one.
            ended = thread.submit(CliRunner().invoke, app, arguments, env=self.environment).result(PATIENCE_S)
        assert ended.exit_code == status, ended.output
        return ended.stdout + (ended.stderr if status else "")

    def ends(self, *arguments: str) -> int:
        """Its exit status, whatever that is."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(CliRunner().invoke, app, arguments, env=self.environment).result(PATIENCE_S).exit_code

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """The same as a process of its own."""
        environment = {**os.environ, **self.environment}
        return subprocess.Popen([*self.command, *arguments], env=environment, stdout=subprocess.PIPE)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class TestTopics:
    @pytest.fixture
    def openitem(self, kafka_bootstrap: str, topic_prefix: str) -> Program:
        return Program(kafka=kafka_bootstrap, topic_prefix=topic_prefix)

    def test_they_are_created_once_and_then_are_as_the_contract_says(
        self, openitem: Program, topic_prefix: str
    ) -> None:
        assert f"topic {topic_prefix}.invoice.v1 does not exist" in openitem.run("topics", "verify", status=1)
        assert openitem.run("topics", "create").count("created") >= len(SERVICES)
        assert openitem.run("topics", "create") == "all topics exist\n"
        assert "4 topics are as the contract says" in openitem.run("topics", "verify")

    def test_what_somebody_changed_is_named(self, openitem: Program, kafka_bootstrap: str, topic_prefix: str) -> None:
        openitem.run("topics", "create")
        name = topic_of("payment", topic_prefix)
        admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "1000"})])
        admin.close()
        # A broker of KRaft answers for a change before it shows it.
        wait_until(lambda: openitem.ends("topics", "verify") != 0)
        said = openitem.run("topics", "verify", status=1)
        assert f"topic {name} has retention.ms=1000 and must have -1" in said

    def test_another_number_of_partitions_is_named(
        self, openitem: Program, kafka_bootstrap: str, topic_prefix: str
    ) -> None:
        admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        name = topic_of("payment", topic_prefix)
        admin.create_topics({name: {"num_partitions": 3, "replication_factor": 1}})
        admin.wait_for_topics([name])
        admin.close()
        assert "has 3 partitions and must have 12" in openitem.run("topics", "verify", status=1)

    def test_what_is_in_them_is_counted(self, openitem: Program, kafka_bootstrap: str, topic_prefix: str) -> None:
        openitem.run("topics", "create")
        Published(kafka_bootstrap, topic_prefix).publish(["payment.received"] * 5)
        [row] = [line for line in openitem.run("topics", "describe").splitlines() if ".payment.v1" in line]
        assert [cell.strip() for cell in row.split("│")[2:4]] == ["12", "5"]
        assert "for ever" in row


class Published:
    """Samples on the topics, each with an id and a stream of its own."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap, self.prefix = bootstrap, prefix
        self._seq = dict.fromkeys(SERVICES, 0)

    def publish(self, names: Sequence[str], **changes: Any) -> None:
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=True)
        for name in names:
            known = KNOWN[name]
            self._seq[known.service] += 1
            fact = msgspec.structs.replace(golden.sample_of(known), **changes)
            seq = self._seq[known.service]
            envelope = msgspec.structs.replace(
                golden.envelope_of(known, fact),
                event_id=uuid5(SPACE, f"{name} {seq}"),
                seq=seq,
                recorded_at=datetime(2026, 3, 2, 14, tzinfo=UTC) + timedelta(minutes=seq),
            )
            producer.send(
                topic_of(known.service, self.prefix),
                codec.encode(fact),
                key=f"{envelope.stream}-{seq}".encode(),
                headers=codec.headers_of(envelope),
            )
        producer.flush()
        producer.close()


class TestTail:
    @pytest.fixture
    def openitem(self, kafka_bootstrap: str, topic_prefix: str) -> Program:
        program = Program(kafka=kafka_bootstrap, topic_prefix=topic_prefix)
        program.run("topics", "create")
        return program

    @pytest.fixture
    def published(self, kafka_bootstrap: str, topic_prefix: str) -> Published:
        return Published(kafka_bootstrap, topic_prefix)

    def test_everything_there_is_comes_as_it_was_recorded(self, openitem: Program, published: Published) -> None:
        names = ["payment.received", "payment.applied", "payment.reversed", "payment.refunded"] * 3
        published.publish(names)
        shown = lines(openitem.run("tail", "--from-beginning", "--no-follow", "--json"))
        assert [line["type"] for line in shown] == [f"openitem.{name}.v1" for name in names]
        assert [line["seq"] for line in shown] == list(range(1, 13))

    def test_options_choose(self, openitem: Program, published: Published) -> None:
        published.publish(["payment.received", "payment.applied", "invoice.issued"])
        published.publish(["payment.received"], branch="MKE")

        def types(*options: str) -> list[str]:
            shown = lines(openitem.run("tail", "--from-beginning", "--no-follow", "--json", *options))
            return sorted(line["type"].removeprefix("openitem.") for line in shown)

        assert types("--service", "invoice") == ["invoice.issued.v1"]
        assert types("--type", "payment.re*") == ["payment.received.v1"] * 2
        assert types("--branch", "MKE") == ["payment.received.v1"]
        assert types("--limit", "2", "--service", "payment") == ["payment.applied.v1", "payment.received.v1"]

    def test_it_follows_what_comes_until_it_is_ended(self, openitem: Program, published: Published) -> None:
        published.publish(["payment.received"])
        process = openitem.start("tail", "--branch", "MKE")
        assert process.stdout is not None
        try:
            shown = b""

            def follows() -> bool:
                """It starts at the end, and nobody knows when it has: publish until something shows."""
                nonlocal shown
                published.publish(["payment.received"], branch="MKE")
                published.publish(["payment.applied"])
                if select([process.stdout], [], [], 0.3)[0]:
                    shown += os.read(process.stdout.fileno(), 65_536)
                return b"\n" in shown

            wait_until(follows)
            assert b"payment.received.v1" in shown
            assert b"payment.applied" not in shown
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()

    def test_a_reader_that_goes_away_is_no_error(self, openitem: Program, published: Published) -> None:
        published.publish(["payment.received"] * 30)
        ended = subprocess.run(
            f"{' '.join(map(_quoted, openitem.command))} tail --from-beginning --no-follow --json | head -n 1",
            shell=True,
            env={**os.environ, **openitem.environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert (len(ended.stdout.splitlines()), ended.stderr) == (1, "")

    def test_without_topics_it_says_how_to_get_them(self, kafka_bootstrap: str) -> None:
        said = Program(kafka=kafka_bootstrap, topic_prefix="nowhere").run("tail", status=1)
        assert "`openitem topics create`" in said


def _quoted(text: str) -> str:
    return f"'{text}'"


class TestParked:
    @pytest.fixture
    async def database(self, make_database: MakeDatabase) -> str:
        """A payment database in which a stream is held back: version 3 is missing, 4 and 5 wait for it."""
        url = await make_database("payment")
        conn = await asyncpg.connect(url)
        await park(conn, "policy", [parking(4, HOLE, "version 3 never came"), parking(5, WAITS, "waits for version 4")])
        await conn.close()
        return url

    @pytest.fixture
    def openitem(self, database: str, postgres_url: str) -> Program:
        return Program(postgres=postgres_url, database=database)

    def test_what_is_held_back_is_listed_and_fails_a_watching_job(self, openitem: Program) -> None:
        table = openitem.run("parked", "list", "--service", "payment", status=1)
        assert "version 3 never came" in table
        [line] = lines(openitem.run("parked", "list", "--service", "payment", "--json", status=1))
        assert (line["stream"], line["stream_version"], line["facts"], line["code"]) == ("invoice-7", 4, 2, HOLE)

    async def test_a_retry_is_asked_of_the_worker(self, openitem: Program, database: str) -> None:
        assert openitem.run("parked", "retry", "--service", "payment") == "asked for invoice-7\n"
        conn = await asyncpg.connect(database)
        assert await conn.fetchval("SELECT count(*) FROM parked WHERE retry_at <= clock_timestamp()") > 0
        await conn.close()

    async def test_what_is_dropped_is_kept_with_its_reason(self, openitem: Program, database: str) -> None:
        drop = ["parked", "drop", "--service", "payment", "--consumer", "policy", "--stream", "invoice-7", "--yes"]
        drop += ["--why", "the invoice was entered twice", "--by", "t.nguyen"]
        assert openitem.run(*drop, "--version", "4") == "dropped version 4 of invoice-7\n"
        assert "is not parked" in openitem.run(*drop, "--version", "4", status=1)
        conn = await asyncpg.connect(database)
        [row] = await conn.fetch("SELECT stream_version, dropped_by, why FROM parked_dropped")
        assert tuple(row) == (4, "t.nguyen", "the invoice was entered twice")
        await conn.close()

    async def test_nothing_parked_is_said_and_is_no_failure(
        self, make_database: MakeDatabase, postgres_url: str
    ) -> None:
        openitem = Program(postgres=postgres_url, database=await make_database("contact"))
        assert openitem.run("parked", "list", "--service", "contact") == "nothing is parked\n"
        assert "nothing of that is parked" in openitem.run("parked", "retry", "--service", "contact", status=1)


def parking(version: int, code: str, reason: str) -> Parking:
    known = KNOWN["invoice.issued"]
    fact = golden.sample_of(known)
    envelope = msgspec.structs.replace(
        golden.envelope_of(known, fact), stream="invoice-7", stream_version=version, event_id=uuid5(SPACE, str(version))
    )
    record = Record(topic="openitem.invoice.v1", partition=3, offset=version, value=codec.encode(fact))
    return Parking(Arrived(record, envelope.stream, version, envelope, None), version, code, reason)


class TestRepublish:
    async def test_the_whole_log_is_sent_again(
        self, make_database: MakeDatabase, kafka_bootstrap: str, topic_prefix: str
    ) -> None:
        database = await make_database("invoice")
        openitem = Program(kafka=kafka_bootstrap, topic_prefix=topic_prefix, postgres=database, database=database)
        assert "does not exist" in openitem.run("republish", "invoice", "--yes", status=1)
        openitem.run("topics", "create")
        await recorded(database, 25)
        assert "invoice: 25 facts sent" in openitem.run("republish", "invoice", "--yes")
        assert "invoice: 25 facts sent" in openitem.run("republish", "invoice", "--yes")
        shown = lines(openitem.run("tail", "--from-beginning", "--no-follow", "--json"))
        assert sorted(line["seq"] for line in shown) == sorted([*range(1, 26)] * 2)
        assert len({line["event_id"] for line in shown}) == 25

    def test_it_asks_first(self, postgres_url: str, kafka_bootstrap: str) -> None:
        openitem = Program(kafka=kafka_bootstrap, postgres=postgres_url)
        assert "Send all facts of payment again?" in openitem.run("republish", "payment", status=1)


async def recorded(database: str, count: int) -> None:
    """Record facts and give them their seq, as a relay does that then loses its Kafka."""
    async with store_of(database) as store:
        for _ in range(count):
            account = uuid4()
            await append(store, {stream_of(account): (0, [account_fact(account, 1)])})
    async with open_outbox(database) as outbox:
        assert len(await outbox.take(count)) == count


class TestRebuild:
    async def test_the_read_models_are_built_from_the_event_stores(self, private_postgres: Postgres) -> None:
        urls = {service: database_url(private_postgres.url, service) for service in (*SERVICES, "projections")}
        for service, url in urls.items():
            await create_database(url)
            await migrate(url, service)
        await recorded(urls["invoice"], 25)
        openitem = Program(postgres=private_postgres.url, kafka="")
        assert "rebuilt from 25 facts; the new read models are live" in openitem.run("rebuild", "--quiet")
        conn = await asyncpg.connect(urls["projections"])
        assert await conn.fetchval("SELECT count(*) FROM live.account") == 25
        await conn.close()
        assert "rebuilt from 25 facts" in openitem.run("rebuild")
