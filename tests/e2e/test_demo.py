"""What a newcomer sees of `make demo`, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from deploy.embedded import Kafka, Postgres
from tests.support.demo import OPENITEM, ROOT, Demo, demo, left_behind, own_ports
from tests.support.patience import PATIENCE_S

pytestmark = pytest.mark.xdist_group("demo")


def start(state: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a demonstration that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.demo", "--state", str(state)],
        cwd=ROOT,
        env={**os.environ, **environment, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_it_prints_three_reports_with_their_urls(running: Demo) -> None:
    for title, path in (("Aging by branch", "/aging"), ("Cash flow", "/cash-flow"), ("Bad debt", "/bad-debt")):
        assert title in running.output
        assert f"{running.urls['reporting']}{path}" in running.output


def test_the_first_curl_works_with_a_minted_token(running: Demo) -> None:
    printed = subprocess.run(
        [OPENITEM, "token", "--role", "admin", "--branch", "*"],
        cwd=ROOT,
        env={"OPENITEM_STATE_DIR": str(running.state)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    bearer = {"Authorization": f"Bearer {printed.stdout.strip()}"}
    answer = httpx.get(f"{running.urls['reporting']}/aging?by=branch", headers=bearer, timeout=PATIENCE_S)
    assert answer.status_code == 200
    assert httpx.get(f"{running.urls['reporting']}/aging", timeout=PATIENCE_S).status_code == 401


@pytest.mark.parametrize("service", ["reporting", "invoice", "payment", "contact", "escalation"])
def test_every_service_documents_itself_and_gives_metrics(running: Demo, service: str) -> None:
    url = running.urls[service]
    assert httpx.get(f"{url}/docs", timeout=PATIENCE_S).status_code == 200
    assert "openitem_" in httpx.get(f"{url}/metrics", timeout=PATIENCE_S).text
    assert httpx.get(f"{url}/health/ready", timeout=PATIENCE_S).status_code == 200


def test_a_second_one_beside_it_says_so_and_leaves_it_alone(running: Demo) -> None:
    second = start(running.state, {})
    assert second.returncode == 1
    assert str(running.process.pid) in second.stdout
    assert running.get("/freshness")


def test_a_busy_port_is_named(state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        failed = start(state, {**own_ports(), "OPENITEM_CONTACT_PORT": str(port)})
    assert failed.returncode == 1
    assert str(port) in failed.stdout
    assert "contact" in failed.stdout
    assert left_behind(state) == []


def test_a_made_ledger_lands_whole_on_servers_that_run_already(
    state: Path, private_postgres: Postgres, private_kafka: Kafka
) -> None:
    theirs = {"OPENITEM_POSTGRES": private_postgres.url, "OPENITEM_KAFKA": private_kafka.bootstrap}
    with demo(state, "--invoices=400", **theirs) as made:
        assert "did not land" not in made.output
        assert made.get("/consistency")["holds"]
        assert len(made.get("/aging?by=branch")["rows"]) >= 10
        assert not (state / "postgres").exists()
        assert made.stop(signal.SIGINT) == 0
    assert private_postgres.answers()
    assert private_kafka.answers()
