"""A service as a process: it starts, names what keeps it from starting, and ends in order."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from deploy.embedded.ports import free_port
from services.kernel.serve import EXIT_PORT, EXIT_SETTINGS, EXIT_START
from tests.support.patience import PATIENCE_S, until
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

MakeDatabase = Callable[[str], Awaitable[str]]
ROOT = Path(__file__).parents[3]
PROGRAM = """
from services.kernel.http import create_app
from services.kernel.serve import serve
serve(lambda settings: create_app(settings, title="Tallies", routers=[]), "invoice")
"""


class Processes:
    """Starts the program; ends what is still running."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[str]] = []

    def start(self, **environment: object) -> subprocess.Popen[str]:
        given = {name: str(value) for name, value in environment.items()}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENITEM_")}
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], cwd=ROOT, env=clean | given, stderr=subprocess.PIPE, text=True
        )
        self.running.append(process)
        return process


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    for process in processes.running:
        process.kill()
        process.communicate()


@pytest.fixture
async def environment(make_database: MakeDatabase, tmp_path: Path) -> dict[str, object]:
    url = await make_database("tally")
    return {
        "OPENITEM_POSTGRES": url,
        "OPENITEM_DATABASE": url,
        "OPENITEM_KAFKA": "127.0.0.1:1",
        "OPENITEM_JWKS": Issuer(tmp_path).path,
        "OPENITEM_ISSUER": ISSUER,
        "OPENITEM_AUDIENCE": AUDIENCE,
        "OPENITEM_PORT": free_port(),
    }


async def until_ready(port: object) -> None:
    async def ready() -> bool:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        await until(ready)


async def test_it_serves_logs_and_ends_when_told(processes: Processes, environment: dict[str, object]) -> None:
    process = processes.start(**environment)
    await until_ready(environment["OPENITEM_PORT"])
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        answer = await client.get(f"http://127.0.0.1:{environment['OPENITEM_PORT']}/streams/a-1/events")
    assert answer.status_code == 401
    assert "server" not in answer.headers
    process.send_signal(signal.SIGTERM)
    _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
    # The signal is handed on once everything has ended in order, so that a supervisor sees it was obeyed.
    assert process.returncode in {0, -signal.SIGTERM}
    lines = [json.loads(line) for line in errors.splitlines()]
    [request] = [line for line in lines if line["event"] == "request"]
    assert (request["status"], request["method"], request["service"]) == (401, "GET", "invoice")
    assert request["request_id"] == answer.headers["x-request-id"]


def test_a_port_somebody_has_is_named(processes: Processes, environment: dict[str, object]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = processes.start(**{**environment, "OPENITEM_PORT": port})
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == EXIT_PORT
    assert errors.strip() == f"invoice: cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OPENITEM_JWKS", "http://issuer.test/keys", "https"),
        ("OPENITEM_POOL_MAX", "many", "OPENITEM_POOL_MAX: Input should be a valid integer"),
        ("OPENITEM_POOL_MAX", "0", "OPENITEM_POOL_MAX"),
        ("OPENITEM_LOG_LEVEL", "LOUD", "OPENITEM_LOG_LEVEL"),
        ("OPENITEM_ISSUER", None, "OPENITEM_ISSUER: Field required"),
    ],
)
def test_settings_that_will_not_do_are_named(
    processes: Processes, environment: dict[str, object], name: str, value: str | None, said: str
) -> None:
    changed = {k: v for k, v in environment.items() if k != name} | ({name: value} if value else {})
    process = processes.start(**changed)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == EXIT_SETTINGS
    assert said in errors
    assert "Traceback" not in errors


def test_a_database_that_is_not_there_ends_the_start(processes: Processes, environment: dict[str, object]) -> None:
    process = processes.start(**{**environment, "OPENITEM_DATABASE": "postgresql://nobody@127.0.0.1:1/none"})
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == EXIT_START, errors
    assert '"database_unreachable"' in errors
