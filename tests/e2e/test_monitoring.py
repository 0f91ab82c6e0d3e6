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
from tests.support.monitoring import NODE_EXPORTER, PROMETHEUS, Monitoring, monitoring
from tests.support.patience import PATIENCE_S, wait_until
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
        wait_until(lambda: started.numbers('sum(up{job="openitem"})') == [10.0], lambda: "a process is not scraped")
        for number in range(3):
            running.post("invoice", "/branches", {"branch": f"MON{number}", "name": "Monitored"})
            running.get("/aging?by=branch")
            assert httpx.get(f"{running.urls['reporting']}/aging", timeout=PATIENCE_S).status_code == 401
        wait_until(lambda: started.numbers("openitem:request:p99_5m"), lambda: "no request was counted")
        wait_until(lambda: not started.firing(), lambda: f"at rest, something fires: {started.firing()}")
        yield started


@pytest.mark.parametrize(("title", "expression"), panels(), ids=lambda text: text[:60])
def test_every_query_of_the_dashboard_returns_data(watch: Monitoring, title: str, expression: str) -> None:
    if "node_" in expression and NODE_EXPORTER is None:
        pytest.skip("no node exporter is installed (Debian package prometheus-node-exporter)")
    wait_until(lambda: watch.numbers(expression), lambda: f"{title}: no data from {expression}")


def test_a_worker_that_hangs_is_seen_and_seen_to_come_back(running: Demo, watch: Monitoring) -> None:
    worker = process_of(running, "services.contact.worker")
    worker.send_signal(signal.SIGSTOP)
    try:
        down = {"alertname": "TargetDown", "service": "contact", "part": "worker"}
        # Of this one only, at some moment: where a scrape takes longer than its second, another may fire for a while.
        wait_until(
            lambda: [down.items() <= alert.items() for alert in watch.firing("TargetDown")] == [True],
            lambda: f"TargetDown of this worker alone does not fire: {watch.firing()}",
        )
        wait_until(lambda: watch.fires("RelayWithoutLeader", service="contact"), lambda: f"fires: {watch.firing()}")
    finally:
        worker.send_signal(signal.SIGCONT)
    for name in ("TargetDown", "RelayWithoutLeader"):
        wait_until(lambda name=name: not watch.fires(name), lambda name=name: f"{name} does not clear")


def test_a_parked_stream_is_seen_by_each_consumer_and_gone_when_it_is_dropped(running: Demo, watch: Monitoring) -> None:
    account = uuid4()
    key, headers, _ = sent(account, 1)
    stack: dict[str, Any] = msgspec.json.decode((running.state / "stack.json").read_bytes())
    send(stack["kafka"], topic_of("invoice", "openitem"), [(key, headers, b'{"branch": 7}')])
    for consumer in READERS.values():
        wait_until(
            lambda name=consumer: watch.fires("StreamsParked", consumer=name),
            lambda name=consumer: f"{name}: StreamsParked is silent",
        )
    for service, consumer in READERS.items():
        options = ["--service", service, "--consumer", consumer, "--stream", stream_of(account), "--version", "1"]
        openitem(running, "parked", "drop", *options, "--why", "a test wrote it", "--yes")
    wait_until(lambda: not watch.fires("StreamsParked"), lambda: "StreamsParked does not clear")
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
        timeout=PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
