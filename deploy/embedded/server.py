"""One server process: start it until it answers, stop it, kill it, start it again at the same address.

What Postgres and Kafka have in common; how to prepare a data directory and what to run is theirs.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import psutil

from deploy.embedded import leash
from deploy.embedded.ports import PortBusy, free_port, is_busy
from deploy.embedded.program import Program

START_S_MAX = 120.0  # Kafka needs 3 s on an idle machine; a busy one with two cores needed 20 s.
STOP_S_MAX = 20.0
POLL_S = 0.05
STARTS_MAX = 3  # A free port may be taken before we bind it; three times in a row is something else.
LOG_TAIL = 2_000  # Characters of a log worth showing in an error.


class ServerFailed(RuntimeError):
    """A server did not start; the message ends with the last lines of its log."""


def leashed(
    command: Sequence[str] = (),
    *,
    death_signal: int = signal.SIGTERM,
    parent: int | None = None,
    owner: int | None = None,
    user: str | None = None,
    spec: Path | None = None,
) -> list[str]:
    """`command`, or what the file `spec` holds, on a leash: it dies with its parent, or with `owner`."""
    options = [f"--signal={int(death_signal)}"]
    options += [f"--parent={parent}"] if parent else []
    options += [f"--owner={owner}"] if owner else []
    options += [f"--user={user}"] if user else []
    options += [f"--spec={spec}"] if spec else []
    return [sys.executable, "-I", str(Path(leash.__file__).resolve()), *options, "--", *command]


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    death_signal: int = signal.SIGTERM,
    owner: int | None = None,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` leashed to `owner`, which is this process unless it says otherwise.

    In a session of its own: a Ctrl-C in the terminal reaches us, and we then stop things in order.
    """
    if owner in (None, os.getpid()) and threading.current_thread() is threading.main_thread():
        prefix = leashed(command, death_signal=death_signal, parent=os.getpid(), user=user)
    else:
        # Linux signals the child when the starting *thread* ends. Only the main one lives as long as we do.
        prefix = leashed(command, death_signal=death_signal, owner=owner or os.getpid(), user=user)
    with log.open("ab") as out:
        return subprocess.Popen(
            prefix,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )


def end(pid: int, number: int, wait_s: float = STOP_S_MAX) -> None:
    """Signal a process and wait until it and all its children are gone, killing what is left at the end."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
    if left := wait_gone(family, wait_s):
        kill_all(left)


def kill_all(processes: Sequence[psutil.Process]) -> None:
    """End them at once and wait until they are gone: their ports and their shared memory are free then."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    wait_gone(processes, STOP_S_MAX)


def wait_gone(processes: Sequence[psutil.Process], wait_s: float) -> list[psutil.Process]:
    """Wait until none of them runs; those that still do after `wait_s`.

    A zombie is gone: it holds nothing, and whether it is reaped soon is up to a parent that may not be us.
    """
    until = time.monotonic() + wait_s
    left = [process for process in processes if runs(process)]
    while left and time.monotonic() < until:
        time.sleep(POLL_S)
        left = [process for process in left if runs(process)]
    return left


def runs(process: psutil.Process) -> bool:
    """Whether it is still the same process and does anything."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Server(ABC):
    """A server out of a wheel, owned by the process that opens it and gone when that process is gone.

    `directory` holds data, configuration and log; without one a temporary directory is made and removed again.
    `port` 0 means any free one; it is chosen once, so a restart finds the same clients. `owner` is the process
    whose death ends the server, this one unless given.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    def __init__(self, directory: Path | None = None, port: int = 0, *, owner: int | None = None) -> None:
        self._temporary = directory is None
        self.directory = (directory or Path(tempfile.mkdtemp(prefix=f"openitem-{self.name}-"))).resolve()
        self.port = port
        self.owner = owner
        self._any_port = port == 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    @property
    @abstractmethod
    def address(self) -> str:
        """What clients connect to."""

    @property
    def user(self) -> str | None:
        """The user the server must run as, when it cannot be ours."""
        return None

    @abstractmethod
    def prepare(self) -> None:
        """Make the data directory ready. Safe to repeat: data that is there stays."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command that runs the server in the foreground, after `prepare`."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a client would be served now."""

    def choose_ports(self) -> list[int]:
        """Settle the address before anything is written down. The ports that must be free for a start."""
        self.port = self.port or free_port()
        return [self.port]

    def program(self, priority: int) -> Program:
        """Prepared for a supervisor to run instead of us."""
        self.directory.mkdir(parents=True, exist_ok=True)
        ports = self.choose_ports()
        self.prepare()
        return Program(
            name=self.name,
            command=self.command(),
            ports=ports,
            priority=priority,
            ready=self.answers,
            stop_signal=self.stop_signal,
            stop_s_max=STOP_S_MAX,
            user=self.user,
        )

    def start(self) -> Self:
        """Start and wait until it answers.

        Errors   PortBusy when a port we were told to use is taken; ServerFailed with the log otherwise.
        """
        self.launch()
        try:
            return self.wait_ready()
        except BaseException:
            self.kill()  # Also on Ctrl-C: no `with` block is entered that could stop it.
            raise

    def launch(self) -> None:
        """Start without waiting: for brokers that only answer when enough of them run."""
        assert self.pid is None, f"{self.name} runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        for port in self.choose_ports():
            if is_busy(port):
                raise PortBusy(port, self.name)
        self.prepare()
        self._process = self._spawn()

    def wait_ready(self) -> Self:
        until = time.monotonic() + START_S_MAX
        for attempt in range(1, STARTS_MAX + 1):
            while self.pid is not None:
                if self.answers():
                    return self
                if time.monotonic() > until:
                    raise ServerFailed(f"{self.name} did not answer within {START_S_MAX:.0f} s\n{self.tail()}")
                time.sleep(POLL_S)
            if not (self._any_port and is_busy(self.port)) or attempt == STARTS_MAX:
                break
            # Somebody was faster to bind the port that was free when we looked.
            self.port = 0
            self.launch()
        raise ServerFailed(f"{self.name} ended while starting on port {self.port}\n{self.tail()}")

    def stop(self) -> None:
        """End it politely, within a bound. Data stays unless the directory was temporary and the block ends."""
        if self.pid is not None:
            end(self.pid, self.stop_signal)
        self._reap()

    def kill(self) -> None:
        """End it as a power cut would: at once, with all its children, and nothing flushed."""
        if self.pid is not None:
            process = psutil.Process(self.pid)
            kill_all([process, *process.children(recursive=True)])
        self._reap()

    def restart(self) -> Self:
        """Stop if it runs, start again: same address, same data."""
        self.stop()
        return self.start()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL:] if self.log.exists() else "(no log)"

    def _spawn(self) -> subprocess.Popen[bytes]:
        return spawn(
            self.command(),
            log=self.log,
            death_signal=self.stop_signal,
            owner=self.owner,
            user=self.user,
        )

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait(STOP_S_MAX)
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
