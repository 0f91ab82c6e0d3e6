"""Keep a set of programs running under supervisord, and leave nothing behind.

However this process ends, supervisord ends with it, and everything it runs ends with supervisord: see `leash`.
"""

import json
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xmlrpc.client import Fault, ServerProxy

import psutil

from deploy.embedded.ports import PortBusy, is_busy
from deploy.embedded.program import Program
from deploy.embedded.server import LOG_TAIL, end, leashed, spawn, wait_gone

SUPERVISORD_S_MAX = 60.0  # Until it takes orders; it needs 0.3 s on an idle machine.
READY_S_MAX = 180.0  # Until every program of one priority is ready: 8 s, and more where much else runs.
RETRIES_MAX = 10  # Starts in a row that may fail: supervisord waits one second longer each time, so a minute in all.
PREDECESSOR_S_MAX = 60.0
POLL_S = 0.1
SOCKET_PATH_MAX = 100  # Linux allows 108 bytes, macOS 104; supervisord adds a suffix while it makes the socket.

CONFIGURATION_NAME = "supervisord.conf"
CONFIGURATION = """\
[supervisord]
nodaemon = true
silent = true
{user}
logfile = {state}/supervisord.log
logfile_maxbytes = 10MB
logfile_backups = 1
pidfile = {state}/supervisord.pid
childlogdir = {state}/logs

[unix_http_server]
file = {socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

# Started by us, priority by priority; from then on supervisord brings back what ends with an error.
PROGRAM = """
[program:{name}]
command = {command}
priority = {priority}
autostart = false
autorestart = unexpected
exitcodes = 0
startsecs = 1
startretries = {retries_max}
stopsignal = {stop_signal}
stopwaitsecs = {stop_s_max}
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = {state}/logs/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


class ProgramFailed(RuntimeError):
    """A program did not come up, or supervisord gave it up; the message ends with the last lines of its log."""


class Supervisor:
    """Programs that run together. Holds no lock: who shares `state` with other processes takes `only_instance`."""

    def __init__(self, state: Path, programs: Sequence[Program], *, retries_max: int = RETRIES_MAX) -> None:
        self.state = state.resolve()
        self.retries_max = retries_max
        self.programs = sorted(programs, key=lambda program: program.priority)
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = self.state / "supervisord.sock"
        self._short: Path | None = None

    def start(self, before: Mapping[int, Callable[[], object]] | None = None) -> Self:
        """Start everything in order and wait until it is ready.

        `before` says what to do when all of lower priority are ready and those of a given one are not yet started:
        databases to migrate, topics to make.

        Errors   PortBusy, before anything has started; ProgramFailed, or what `before` raises, after everything
                 was stopped again.
        """
        await_predecessor(self.state)
        for program in self.programs:
            for port in program.ports:
                if is_busy(port):
                    raise PortBusy(port, program.name)
        self._write()
        try:
            self._start_supervisord()
            for priority, together in groupby(self.programs, key=lambda program: program.priority):
                if before and priority in before:
                    before[priority]()
                self._start_programs(list(together))
        except BaseException:
            self.stop()
            raise
        return self

    @property
    def pid(self) -> int | None:
        """The process of supervisord, between start and stop."""
        return self._process.pid if self._process is not None else None

    def status(self) -> dict[str, str]:
        """supervisord's word for each program: STARTING, RUNNING, BACKOFF, STOPPING, STOPPED, EXITED, FATAL."""
        return {row["name"]: row["statename"] for row in self._ask("getAllProcessInfo")}

    def pids(self) -> dict[str, int]:
        """The process of each program that runs."""
        return {row["name"]: row["pid"] for row in self._ask("getAllProcessInfo") if row["pid"]}

    def restart(self, name: str) -> None:
        """Stop one program if it runs, start it, wait until it is ready."""
        with suppress(Fault):  # It was not running.
            self._ask("stopProcess", name)
        self._start_programs([program for program in self.programs if program.name == name])

    def halt(self, name: str) -> None:
        """Stop one program, within its bound, and leave it down until `restart`."""
        self._ask("stopProcess", name)

    def stop(self) -> None:
        """Stop everything, last priority first, within a bound. Safe to repeat."""
        if self._process is not None:
            with suppress(OSError, Fault):  # It may be gone, or going. What it has not stopped by then it stops now.
                self._stop_programs()
            wait_s = SUPERVISORD_S_MAX + sum(program.stop_s_max for program in self.programs)
            end(self._process.pid, signal.SIGTERM, wait_s)
            self._process.wait()
            self._process = None
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
            self._short = None

    def wait(self) -> None:
        """Return on SIGINT or SIGTERM. Errors: ProgramFailed when supervisord gives up on a program."""
        asked = threading.Event()
        stops = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, lambda *_: asked.set()) for number in stops}
        try:
            while not asked.wait(1.0):
                for name, state in self.status().items():
                    if state == "FATAL":
                        raise ProgramFailed(self._report(name, "keeps failing"))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def _write(self) -> None:
        """Write the configuration anew, and one file per program that only we can read."""
        if len(bytes(self._socket)) > SOCKET_PATH_MAX:
            self._short = Path(tempfile.mkdtemp(prefix="openitem-"))
            self._socket = self._short / "s"
        specs = self.state / "programs"
        shutil.rmtree(specs, ignore_errors=True)
        for folder in (self.state, self.state / "logs", specs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        text = CONFIGURATION.format(
            state=_escaped(self.state),
            socket=_escaped(self._socket),
            user="user = root" if _is_root() else "",  # Root must say that it means it.
        )
        for program in self.programs:
            spec = specs / f"{program.name}.json"
            spec.touch(mode=0o600)
            spec.write_text(
                json.dumps(
                    {
                        "command": list(program.command),
                        "directory": str(program.directory),
                        "environment": dict(program.environment),
                    }
                )
            )
            # Killed and not asked: it only comes to this when supervisord was killed, and a service that does not
            # survive a kill would not survive a power cut either.
            command = leashed(spec=spec, death_signal=signal.SIGKILL, user=program.user)
            text += PROGRAM.format(
                state=_escaped(self.state),
                name=program.name,
                retries_max=self.retries_max,
                command=_escaped(shlex.join(command)),
                priority=program.priority,
                stop_signal=program.stop_signal.name.removeprefix("SIG"),
                stop_s_max=int(program.stop_s_max),
            )
        self._configuration.write_text(text)

    @property
    def _configuration(self) -> Path:
        return self.state / CONFIGURATION_NAME

    def _start_supervisord(self) -> None:
        python = leashed()[0]
        # SIGTERM is its word for stopping everything in order: so it does when we are killed.
        self._process = spawn(
            [python, "-m", "supervisor.supervisord", "-n", "-c", str(self._configuration)],
            log=self.state / "supervisord.out",
            death_signal=signal.SIGTERM,
        )
        until = time.monotonic() + SUPERVISORD_S_MAX
        while time.monotonic() < until and self._process.poll() is None:
            with suppress(OSError):
                self._ask("getState")
                return
            time.sleep(POLL_S)
        raise ProgramFailed(f"supervisord did not start\n{_tail(self.state / 'supervisord.out')}")

    def _start_programs(self, programs: list[Program]) -> None:
        for program in programs:
            self._ask("startProcess", program.name, False)
        until = time.monotonic() + READY_S_MAX
        waiting = list(programs)
        while waiting:
            status = self.status()
            for program in list(waiting):
                if status[program.name] in ("FATAL", "EXITED"):
                    raise ProgramFailed(self._report(program.name, "did not start"))
                if status[program.name] in ("STARTING", "RUNNING") and program.is_ready():
                    waiting.remove(program)
            if waiting and time.monotonic() > until:
                raise ProgramFailed(self._report(waiting[0].name, f"was not ready within {READY_S_MAX:.0f} s"))
            time.sleep(POLL_S)

    def _stop_programs(self) -> None:
        """Stop those of one priority together: left to itself supervisord waits for each before it asks the next."""
        for _, together in groupby(reversed(self.programs), key=lambda program: program.priority):
            stopping = {program.name: program.stop_s_max for program in together}
            for name in stopping:
                with suppress(Fault):  # It was not running.
                    self._ask("stopProcess", name, False)
            until = time.monotonic() + max(stopping.values()) + SUPERVISORD_S_MAX
            while any(self.status()[name] == "STOPPING" for name in stopping) and time.monotonic() < until:
                time.sleep(POLL_S)

    def _ask(self, method: str, *arguments: Any) -> Any:
        """One call to supervisord. Errors: OSError when it is not there; Fault when it refuses."""
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")
        with closing(transport), ServerProxy("http://localhost", transport=transport) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def _report(self, name: str, what: str) -> str:
        return f"{name} {what}; the end of {self.log(name)}:\n{_tail(self.log(name))}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def await_predecessor(state: Path, wait_s: float = PREDECESSOR_S_MAX) -> None:
    """Let the programs of a killed predecessor finish: they are stopping, and hold ports and files until then.

    `start` does it; call it before, if you mean to remove what such programs may still write.
    """
    with suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((state / "supervisord.pid").read_text()))
        if str(state.resolve() / CONFIGURATION_NAME) in process.cmdline():
            wait_gone([process], wait_s)


def _escaped(text: object) -> str:
    """For supervisord.conf, where % begins an expansion."""
    return str(text).replace("%", "%%")


def _is_root() -> bool:
    return psutil.Process().uids().effective == 0


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL:] if log.exists() else "(no log)"
