"""Do the servers and the supervisor that we start ourselves end when they must, and come back where they were?"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from kafka import KafkaAdminClient

from deploy.embedded import AlreadyRunning, Kafka, PortBusy, Postgres
from deploy.embedded.locks import only_instance
from deploy.embedded.ports import free_port
from deploy.embedded.program import Program
from deploy.embedded.server import runs, wait_gone
from deploy.embedded.supervise import ProgramFailed, Supervisor
from tests.support.patience import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]

MakeDatabase = Callable[[str], Awaitable[str]]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_postgres_killed_comes_back_at_the_same_address_with_its_rows(private_postgres: Postgres) -> None:
    url = private_postgres.url
    async with connected(url) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        private_postgres.kill()
    private_postgres.start()
    assert private_postgres.url == url
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT answer FROM kept") == 42


def test_kafka_killed_comes_back_at_the_same_address_with_its_topics(private_kafka: Kafka) -> None:
    bootstrap = private_kafka.bootstrap
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics({"kept": {"num_partitions": 3, "replication_factor": 1}})
    admin.close()
    private_kafka.kill()
    private_kafka.start()
    assert private_kafka.bootstrap == bootstrap
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    assert "kept" in admin.list_topics()
    admin.close()


async def test_each_database_is_a_fresh_copy_of_a_migrated_template(make_database: MakeDatabase) -> None:
    first, second = await make_database("payment"), await make_database("payment")
    async with connected(first) as connection:
        await connection.execute("CREATE TABLE only_here ()")
    async with connected(second) as connection:
        assert await connection.fetchval("SELECT to_regclass('events') IS NOT NULL")
        assert await connection.fetchval("SELECT to_regclass('only_here') IS NULL")


async def test_the_runs_servers_answer(postgres_url: str, kafka_bootstrap: str, topic_prefix: str) -> None:
    async with connected(postgres_url) as connection:
        assert await connection.fetchval("SHOW max_connections") == "200"
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    admin.create_topics({f"{topic_prefix}.facts": {"num_partitions": 1, "replication_factor": 1}})
    admin.close()


def test_a_port_that_is_taken_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortBusy, match=f"port {port} .* taken, so postgres"):
            Postgres(tmp_path, port).start()


def test_a_port_is_given_to_one_process_only_and_again_when_that_has_ended() -> None:
    ask = "import sys; from deploy.embedded import ports; ports.FREE_MIN = ports.FREE_MAX = int(sys.argv[1])"

    def asked(port: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", f"{ask}; print(ports.free_port())", str(port)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert "no free port" in asked(free_port()).stderr
    whose = subprocess.run(
        [sys.executable, "-c", "from deploy.embedded.ports import free_port; print(free_port())"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert asked(int(whose)).stdout == whose


class TestOwners:
    """Each runs a process that owns something, ends it, and looks at what is left."""

    def test_servers_end_when_their_owner_is_killed(self, run_directory: Path) -> None:
        script = """
import sys
from pathlib import Path
from deploy.embedded import Kafka, Postgres
here = Path(sys.argv[1])
with (
    Postgres(here / "killed-postgres", durable=False) as postgres,
    Kafka(here / "killed-kafka", short_lived=True) as kafka,
):
    tell(postgres.pid, kafka.pid)
"""
        with owner(script, str(run_directory)) as (process, servers):
            process.kill()
            assert wait_gone(servers, PATIENCE_S) == []

    def test_a_server_ends_with_an_owner_that_did_not_start_it(self) -> None:
        with owner("tell()") as (process, _), Postgres(durable=False, owner=process.pid) as postgres:
            assert postgres.pid is not None
            server = psutil.Process(postgres.pid)
            process.kill()
            process.wait()
            assert wait_gone([server], PATIENCE_S) == []

    def test_a_server_outlives_the_thread_that_started_it(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            postgres = pool.submit(Postgres(durable=False).__enter__).result()
        assert postgres.answers()
        postgres.__exit__(None, None, None)

    def test_the_lock_of_a_killed_instance_is_free_and_that_of_a_running_one_names_it(self, tmp_path: Path) -> None:
        script = f"""
from pathlib import Path
from deploy.embedded.locks import only_instance
with only_instance(Path({str(tmp_path)!r}) / "lock"):
    tell()
"""
        with owner(script) as (process, _):
            taken = pytest.raises(AlreadyRunning, match=f"already running as process {process.pid}")
            with taken, only_instance(tmp_path / "lock"):
                pass
            process.kill()
            process.wait()
            with only_instance(tmp_path / "lock"):
                pass


SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


class TestSupervisor:
    def test_programs_start_in_order_and_see_their_environment(self, tmp_path: Path) -> None:
        port, odd = free_port(), "a 'b' \"c\" %d ;e #f"
        web = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
        second = f"import os, socket, time; socket.create_connection(('127.0.0.1', {port})); print(os.environ['ODD'])"
        programs = [
            Program(name="second", command=[sys.executable, "-uc", f"{second}; time.sleep(600)"],
                    priority=2, environment={"ODD": odd}),
            Program(name="first", command=web, ports=[port], priority=1),
        ]  # fmt: skip
        supervisor = Supervisor(tmp_path, programs)
        seen: list[dict[str, str]] = []
        try:
            supervisor.start(before={2: lambda: seen.append(supervisor.status())})
            wait_until(lambda: supervisor.status() == {"first": "RUNNING", "second": "RUNNING"})
            assert supervisor.log("second").read_text() == f"{odd}\n"
        finally:
            supervisor.stop()
        assert [status["second"] for status in seen] == ["STOPPED"]

    def test_a_program_that_is_killed_comes_back(self, tmp_path: Path) -> None:
        with Supervisor(tmp_path, [Program(name="one", command=SLEEPER)]) as supervisor:
            wait_until(lambda: supervisor.status() == {"one": "RUNNING"})
            before = supervisor.pids()["one"]
            os.kill(before, signal.SIGKILL)
            wait_until(lambda: supervisor.pids().get("one", before) != before)
            after = supervisor.pids()["one"]
            supervisor.restart("one")
            assert supervisor.pids()["one"] not in (before, after)

    def test_a_program_that_cannot_start_is_named_with_its_last_words(self, tmp_path: Path) -> None:
        failing = Program(
            name="failing", command=[sys.executable, "-c", "raise SystemExit('no money')"], ready=lambda: False
        )
        supervisor = Supervisor(tmp_path, [failing], retries_max=0)
        with pytest.raises(ProgramFailed, match=r"(?s)failing did not start.*no money"):
            supervisor.start()
        assert supervisor.pid is None

    def test_a_taken_port_is_named_with_its_program(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PortBusy, match=f"port {port} .*invoice-app"):
                Supervisor(tmp_path, [Program(name="invoice-app", command=SLEEPER, ports=[port])]).start()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
    def test_nothing_is_left_however_the_owner_ends(self, tmp_path: Path, number: signal.Signals) -> None:
        with owner(SUPERVISING, str(tmp_path)) as (process, family):
            process.send_signal(number)
            assert wait_gone(family, PATIENCE_S) == []

    def test_nothing_is_left_when_the_supervisor_itself_is_killed(self, tmp_path: Path) -> None:
        with owner(SUPERVISING, str(tmp_path)) as (_, family):
            family[0].kill()
            assert wait_gone(family, PATIENCE_S) == []

    def test_a_new_owner_waits_for_what_a_killed_one_left_to_stop(self, tmp_path: Path) -> None:
        with owner(SUPERVISING, str(tmp_path)) as (process, family):
            process.kill()
            process.wait()
            with Supervisor(tmp_path, [Program(name="one", command=SLEEPER)]):
                assert not any(runs(member) for member in family)


# Two programs: one that ends politely, and one that will not.
SUPERVISING = f"""
import sys
from pathlib import Path
from deploy.embedded.program import Program
from deploy.embedded.supervise import Supervisor
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)"
programs = [
    Program(name="polite", command={SLEEPER!r}),
    Program(name="stubborn", command=[sys.executable, "-uc", stubborn], stop_s_max=1),
]
with Supervisor(Path(sys.argv[1]), programs) as supervisor:
    while not supervisor.log("stubborn").exists() or "deaf" not in supervisor.log("stubborn").read_text():
        pass
    tell(supervisor.pid, *supervisor.pids().values(), wait=False)
    supervisor.wait()
"""

# What every owner can say: the processes it owns. It then lives until it is ended, unless it has a wait of its own.
TELL = """
import json, signal
def tell(*pids, wait=True):
    print(json.dumps(pids), flush=True)
    if wait:
        signal.pause()
"""


@contextmanager
def owner(script: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """A process running `script`, once it has told which processes it owns."""
    process = subprocess.Popen(
        [sys.executable, "-c", TELL + script, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    with process:
        try:
            yield process, [psutil.Process(pid) for pid in json.loads(process.stdout.readline())]
        finally:
            process.kill()
