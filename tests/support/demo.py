"""`make demo` as a process of a test: on ports and in a directory of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import psutil

from deploy.embedded.keys import mint
from deploy.embedded.ports import free_port
from services.kernel.settings import HTTP_PORTS, WORKER_PORTS
from tests.support.patience import PATIENCE_S

READY_S_MAX = 240.0  # On a machine that runs other tests too.
ROOT = Path(__file__).resolve().parents[2]
OPENITEM = str(Path(sys.executable).with_name("openitem"))  # The program as installed, not as a module.


@dataclass
class Demo:
    """A running demonstration."""

    state: Path
    environment: Mapping[str, str]
    process: subprocess.Popen[str]
    log: Path
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def urls(self) -> dict[str, str]:
        stack: dict[str, Any] = msgspec.json.decode((self.state / "stack.json").read_bytes())
        urls: dict[str, str] = stack["urls"]
        return urls

    def token(self, role: str = "admin", branches: str = "*") -> str:
        """A token whose holder is called as his role is."""
        return self.tokens.setdefault(f"{role} {branches}", mint(self.state, role, [role], branches.split(",")))

    def get(self, path: str, *, role: str = "auditor", **headers: str) -> Any:
        """Ask reporting; the answer as JSON."""
        bearer = {"Authorization": f"Bearer {self.token(role)}"}
        response = httpx.get(f"{self.urls['reporting']}{path}", headers={**bearer, **headers}, timeout=PATIENCE_S)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, service: str, path: str, body: Mapping[str, Any], *, role: str = "admin", after: str = "") -> str:
        """Send a command, to be decided when `after` is known; answers the position that others can wait for."""
        headers = {
            "Authorization": f"Bearer {self.token(role)}",
            "Idempotency-Key": str(uuid4()),
            "Prefer": "wait=30",
            "Openitem-After": after,
        }
        response = httpx.post(f"{self.urls[service]}{path}", json=body, headers=headers, timeout=PATIENCE_S)
        assert response.status_code in (200, 201), response.text
        return response.headers["Openitem-Position"]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it as a user would; answers its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@contextmanager
def demo(state: Path, *arguments: str, **variables: str) -> Iterator[Demo]:
    """A demonstration that has printed its reports. `variables` are added to its environment.

    Errors   AssertionError where it does not come up, or leaves a process behind when it is told to stop.
    """
    log = state / "demo.log"
    state.mkdir(parents=True, exist_ok=True)
    environment = {**own_ports(), **variables}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.demo", "--state", str(state), *arguments],
            env={**os.environ, **environment, "COLUMNS": "160"},
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
    running = Demo(state, environment, process, log)
    try:
        deadline = time.monotonic() + READY_S_MAX
        while "Ctrl-C stops everything" not in running.output:
            assert process.poll() is None, f"it ended with {process.returncode}:\n{running.output}"
            assert time.monotonic() < deadline, f"not ready in time:\n{running.output}"
            time.sleep(0.05)
        yield running
    finally:
        if process.poll() is None:
            running.stop()
    assert left_behind(state) == []
    assert not (state / "stack.json").exists()


def own_ports() -> dict[str, str]:
    """Variables that give every service a port of its own."""
    names = [f"OPENITEM_{service.upper()}_PORT" for service in HTTP_PORTS]
    names += [f"OPENITEM_{service.upper()}_WORKER_PORT" for service in WORKER_PORTS]
    return {name: str(free_port()) for name in names}


def left_behind(state: Path) -> list[str]:
    """Processes that still have the directory in their command line, their files or their environment."""
    left = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.cwd(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(str(state) in word for word in words):
            left.append(f"{process.pid} {' '.join(process.cmdline())}")
    return left
