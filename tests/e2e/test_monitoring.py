"""Does a real Prometheus, with our rules, see what breaks in a running stack, and see it mended?"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import psutil
import pytest

from events.topics import topic_of
from tests.support.demo import OPENITEM, ROOT, Demo
from tests.support.facts import send, sent, stream_of
from tests.support.monitoring import NODE_EXPORTER, PROMETHEUS, Monitoring, monitoring, until
from tests.support.promql import panels

pytestmark = [
    pytest.mark.xdist_group("demo"),
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed (Debian package prometheus)"),
]
# Those that read the invoice topic: what is wrong there, each of them parks.
READERS = {"payment": "payment-invoice", "contact": "contact", "escalation": "escalation", "projections": "projections"}


@pytest.fixture(scope="module")
def watch(running: Demo, run_directory: Path) -> Iterator[Monitoring]:
    """A Prometheus that has seen every process, and some requests."""
    with TemporaryDirectory(dir=run_directory) as state, monitoring(running, Path(state)) as started:
        until(lambda: started.numbers('sum(up{job="openitem"})') == [10.0], "not every process is scraped")
        for number in range(3):
            running.post("invoice", "/branches", {"branch": f"MON{number}", "name": "Monitored"})
            running.get("/aging?by=branch")
            assert httpx.get(f"{running.urls['reporting']}/aging").status_code == 401
        until(lambda: started.numbers("openitem:request:p99_5m"), "no request was counted")
        until(lambda: not started.firing(), f"at rest, something fires: {started.firing()}")
        yield started


@pytest.mark.parametrize(("title", "expression"), panels(), ids=lambda text: text[:60])
def test_every_query_of_the_dashboard_returns_data(watch: Monitoring, title: str, expression: str) -> None:
    if "node_" in expression and NODE_EXPORTER is None:
        pytest.skip("no node exporter is installed (Debian package prometheus-node-exporter)")
    until(lambda: watch.numbers(expression), f"{title}: no data from {expression}", seconds=30)


def test_a_worker_that_hangs_is_seen_and_seen_to_come_back(running: Demo, watch: Monitoring) -> None:
    worker = process_of(running, "services.contact.worker")
    worker.send_signal(signal.SIGSTOP)
    try:
        until(lambda: watch.fires("TargetDown", service="contact", part="worker"), "TargetDown does not fire")
        until(lambda: watch.fires("RelayWithoutLeader", service="contact"), "RelayWithoutLeader does not fire")
        assert not watch.fires("TargetDown", service="payment")
    finally:
        worker.send_signal(signal.SIGCONT)
    until(lambda: not watch.fires("TargetDown"), "TargetDown does not clear")
    until(lambda: not watch.fires("RelayWithoutLeader"), "RelayWithoutLeader does not clear")


def test_a_parked_stream_is_seen_by_each_consumer_and_gone_when_it_is_dropped(running: Demo, watch: Monitoring) -> None:
    account = uuid4()
    key, headers, _ = sent(account, 1)
    stack: dict[str, Any] = msgspec.json.decode((running.state / "stack.json").read_bytes())
    send(stack["kafka"], topic_of("invoice", "openitem"), [(key, headers, b'{"branch": 7}')])
    for consumer in READERS.values():
        until(lambda name=consumer: watch.fires("StreamsParked", consumer=name), f"{consumer}: StreamsParked is silent")
    for service, consumer in READERS.items():
        options = ["--service", service, "--consumer", consumer, "--stream", stream_of(account), "--version", "1"]
        openitem(running, "parked", "drop", *options, "--why", "a test wrote it", "--yes")
    until(lambda: not watch.fires("StreamsParked"), "StreamsParked does not clear")
    assert "nothing is parked" in openitem(running, "parked", "list")


def process_of(running: Demo, module: str) -> psutil.Process:
    """The process of that module in this demonstration, and in no other."""
    state = str(running.state.resolve())
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if words[-2:] == ["-m", module] and process.environ().get("OPENITEM_STATE_DIR") == state:
                return process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    raise AssertionError(f"no {module} runs in {state}")


def openitem(running: Demo, *words: str) -> str:
    """What the program prints, pointed at this demonstration."""
    ran = subprocess.run(
        [OPENITEM, *words],
        cwd=ROOT,
        env={**os.environ, "OPENITEM_STATE_DIR": str(running.state)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
