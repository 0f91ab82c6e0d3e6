"""The whole system with clerks at work, and what can be done to it: a process killed, frozen or stopped, a server gone.

The stack is that of `make demo`, with servers of its own; supervisord brings back what dies, as it would there.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from xmlrpc.client import Fault

import httpx
import psutil

from deploy.demo.stack import Stack
from deploy.embedded.keys import mint
from deploy.embedded.ports import free_port
from deploy.embedded.server import kill_all
from deploy.embedded.supervise import ProgramFailed, Supervisor
from services.kernel.settings import HTTP_PORTS, WORKER_PORTS, database_url
from services.kernel.transient import is_transient
from tests.support.checker import CONSUMERS, Checker, connection
from tests.support.clerk import BRANCHES, HOT_ACCOUNT, Clerk
from tests.support.counter import Counter
from tests.support.papers import days_ago
from tests.support.patience import PATIENCE_S
from tests.support.said import KEY_PREFIX, Said

CLERKS = 8
COMMANDS_PER_S = 25.0  # All clerks together, while nothing is wrong: leaves half of two cores to the servers.
UP_S_MAX = 150.0  # On a machine that runs other tests too; 10 s where it is alone.
SETTLE_S_MAX = 150.0
SERVERS = ("kafka", "postgres")


@dataclass
class Fire:
    """A running system. `said` and the clerks go on from one piece of work to the next; so does the checker."""

    state: Path
    stack: Stack
    supervisor: Supervisor
    said: Said = field(default_factory=Said)
    clerks: list[Clerk] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    took: str = ""

    def __post_init__(self) -> None:
        assert self.stack.postgres is not None
        self.postgres = self.stack.postgres
        self.checker = Checker(self.postgres)
        self.counter: Counter | None = None

    @property
    def programs(self) -> list[str]:
        return [program.name for program in self.supervisor.programs]

    def token(self, role: str) -> str:
        return self.tokens.setdefault(role, mint(self.state, role, [role], "*"))

    @asynccontextmanager
    async def at_work(self, seed: str, rate: float = COMMANDS_PER_S) -> AsyncIterator[Counter]:
        """Clerks working while the block runs. At its end each finishes the command he is at.

        Errors   Surprise, of the first clerk who met one; the others end first.
        """
        async with httpx.AsyncClient() as client:
            counter = Counter(self.stack.urls, self.token, self.said, client)
            clerks = [Clerk(counter, f"{seed}-{n}", Random(f"{seed} {n}")) for n in range(CLERKS)]
            await self._found(counter)
            stop = asyncio.Event()
            tasks = [asyncio.create_task(_work(clerk, CLERKS / rate, stop)) for clerk in clerks]
            try:
                yield counter
            finally:
                stop.set()
                done = await asyncio.gather(*tasks, return_exceptions=True)
                for outcome in done:
                    if isinstance(outcome, BaseException):
                        raise outcome

    async def _found(self, counter: Counter) -> None:
        """The branches and the account that all clerks share, once."""
        if self.said.acknowledged:
            return
        for branch in BRANCHES:
            body = {"branch": branch, "name": f"Branch {branch}"}
            key = f"{KEY_PREFIX}branch-{branch}"
            await counter.ask("invoice", "/branches", body, key=key, wire="invoice.branch_registered")
        hot = {"account_id": HOT_ACCOUNT, "branch": BRANCHES[0], "number": "HOT", "currency": "USD"}
        hot["opened_on"] = days_ago(200)
        await counter.ask("invoice", "/accounts", hot, key=f"{KEY_PREFIX}shared-account", wire="invoice.account_opened")

    async def all_right(self, *, parked: bool = False) -> None:
        """Wait until all is up and still, then check everything. Errors: AssertionError, with what is wrong."""
        moments = [time.monotonic()]
        await self.up()
        moments.append(time.monotonic())
        await self.checker.settle(SETTLE_S_MAX)
        moments.append(time.monotonic())
        problems = await self.checker.problems(self.said, parked=parked)
        moments.append(time.monotonic())
        steps = zip(("up", "settled", "checked"), moments, moments[1:], strict=False)
        self.took = ", ".join(f"{step} in {after - before:.1f} s" for step, before, after in steps)
        assert not problems, "\n".join(problems)

    async def up(self) -> None:
        """Wait until every program runs and answers. Errors: AssertionError when supervisord gave one up."""
        deadline = time.monotonic() + UP_S_MAX
        while True:
            status = self.supervisor.status()
            assert "FATAL" not in status.values(), f"given up: {status}"
            down = [
                program.name
                for program in self.supervisor.programs
                if status[program.name] != "RUNNING" or not program.is_ready()
            ]
            if not down:
                return
            assert time.monotonic() < deadline, f"not up: {down} {status}"
            await asyncio.sleep(0.2)

    def kill(self, name: str) -> None:
        """End a program and its children as a power cut would."""
        self._signal(name, signal.SIGKILL)

    async def stop(self, name: str) -> None:
        """End a program politely, and leave it down until `start`."""
        with suppress(Fault):  # It was just killed.
            await asyncio.to_thread(self.supervisor.halt, name)

    async def start(self, name: str) -> None:
        # What it needs may be gone at this moment: supervisord goes on trying, and `up` waits for that.
        with suppress(ProgramFailed, Fault):
            await asyncio.to_thread(self.supervisor.restart, name)

    async def restart(self, name: str) -> None:
        """SIGTERM, wait until it has ended, start it again: what an upgrade does."""
        await self.start(name)

    async def freeze(self, name: str, seconds: float) -> None:
        """Stop a program in its tracks, as a long pause of its machine does, and let it go on."""
        self._signal(name, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal(name, signal.SIGCONT)

    @asynccontextmanager
    async def refusing_connections(self, *services: str) -> AsyncIterator[None]:
        """While the block runs, databases that let nobody in; whoever is in is thrown out."""
        try:
            await self._doors(services, "false")
            yield
        finally:
            async with asyncio.timeout(UP_S_MAX):
                while True:  # The server itself may be away at that moment.
                    try:
                        await self._doors(services, "true")
                        break
                    except Exception as error:
                        if not is_transient(error):
                            raise
                        await asyncio.sleep(0.2)

    async def _doors(self, services: Sequence[str], open_: str) -> None:
        async with connection(self.postgres) as admin:
            names = [database_url("", service).lstrip("/") for service in services]
            for name in names:
                await admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {open_}')
            if open_ == "false":
                await admin.execute(_THROW_OUT, names)

    async def throw_out(self) -> None:
        """Every session ends, once."""
        names = [database_url("", service).lstrip("/") for service in ("invoice", *CONSUMERS)]
        async with connection(self.postgres) as admin:
            await admin.execute(_THROW_OUT, names)

    async def metric(self, service: str, name: str) -> float:
        """The sum of a metric of a worker over its labels."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            answer = await client.get(f"http://127.0.0.1:{self.stack.worker_ports[service]}/metrics")
        lines = [line for line in answer.text.splitlines() if line.startswith((name + "{", name + " "))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = self.supervisor.pids().get(name)
        if pid is None:
            return
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for each in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    each.send_signal(number)


async def _work(clerk: Clerk, every_s: float, stop: asyncio.Event) -> None:
    await clerk.begin()
    while not stop.is_set():
        began = time.monotonic()
        await clerk.work()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, began + every_s * clerk.chance.uniform(0.5, 1.5) - time.monotonic())):
                await stop.wait()


@contextmanager
def fire(state: Path) -> Iterator[Fire]:
    """A system with empty books, on ports of its own, gone at the end."""
    stack = Stack(
        state,
        http_ports={service: free_port() for service in HTTP_PORTS},
        worker_ports={service: free_port() for service in WORKER_PORTS},
    )
    with stack.running() as supervisor:
        yield Fire(state, stack, supervisor)
        # Nothing of it is kept, so nobody is asked to end politely, but for Postgres: its shared memory would stay.
        with suppress(Fault):
            supervisor.halt("postgres")
        assert supervisor.pid is not None
        top = psutil.Process(supervisor.pid)
        kill_all([top, *top.children(recursive=True)])


_THROW_OUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = ANY ($1::text[]) AND pid <> pg_backend_pid()
"""
