"""A real Prometheus over a running demonstration: our own configuration, on other addresses and in less time."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import yaml

from deploy.embedded.ports import HOST, free_port
from tests.support.demo import Demo
from tests.support.patience import PATIENCE_S, wait_until
from tests.support.promql import RULES

PROMETHEUS: Final = shutil.which("prometheus")
NODE_EXPORTER: Final = shutil.which("prometheus-node-exporter")
CONFIGURATION: Final = RULES.parent / "prometheus.yml"
EVERY: Final = "1s"
FOR: Final = "2s"
_STOP_S_MAX: Final = 20.0
# How Grafana fills its own variable, at that scrape interval.
_RATE_INTERVAL: Final = "1m"


@dataclass(frozen=True)
class Monitoring:
    """A running Prometheus."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series an expression gives now."""
        filled = expression.replace("$__rate_interval", _RATE_INTERVAL)
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": filled}, timeout=PATIENCE_S).json()
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def numbers(self, expression: str) -> list[float]:
        """The values of an expression that are numbers."""
        values = [float(series["value"][1]) for series in self.query(expression)]
        return [value for value in values if not math.isnan(value)]

    def firing(self, name: str = ".*") -> list[dict[str, str]]:
        """The labels of every alert that fires, or of those of that name."""
        return [series["metric"] for series in self.query(f'ALERTS{{alertstate="firing", alertname=~"{name}"}}')]

    def fires(self, name: str, **labels: str) -> bool:
        return any(labels.items() <= alert.items() for alert in self.firing(name))


@contextmanager
def monitoring(demo: Demo, state: Path) -> Iterator[Monitoring]:
    """Prometheus, and the node exporter where it is installed, scraping that demonstration."""
    assert PROMETHEUS is not None
    port, node_port = free_port(), free_port()
    state.mkdir(parents=True, exist_ok=True)
    _write_rules(state / "rules")
    (state / "prometheus.yml").write_text(yaml.safe_dump(_configuration(demo, port, node_port)))
    with ExitStack() as stack:
        if NODE_EXPORTER is not None:
            collectors = ["--collector.disable-defaults", "--collector.filesystem"]
            stack.enter_context(
                _process(state / "node.log", NODE_EXPORTER, f"--web.listen-address={HOST}:{node_port}", *collectors)
            )
        log = state / "prometheus.log"
        process = stack.enter_context(
            _process(
                log,
                PROMETHEUS,
                f"--config.file={state / 'prometheus.yml'}",
                f"--storage.tsdb.path={state / 'data'}",
                f"--web.listen-address={HOST}:{port}",
            )
        )
        url = f"http://{HOST}:{port}"
        wait_until(lambda: _ready(url, process, log), lambda: "Prometheus is not ready")
        yield Monitoring(url)


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(f"{url}/-/ready", timeout=PATIENCE_S).status_code == 200
    except httpx.TransportError:
        return False


def _write_rules(folder: Path) -> None:
    """The rules as they are, but for how long a condition must hold: a test does not wait for minutes."""
    folder.mkdir(exist_ok=True)
    for path in RULES.glob("*.yml"):
        (folder / path.name).write_text(re.sub(r"^(\s+for:) \S+$", rf"\1 {FOR}", path.read_text(), flags=re.MULTILINE))


def _configuration(demo: Demo, port: int, node_port: int) -> dict[str, Any]:
    """Compose's names become loopback ports; labels are made by the configuration's own relabelling."""
    document: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    document["global"] = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
    del document["alerting"]
    stack: dict[str, Any] = msgspec.json.decode((demo.state / "stack.json").read_bytes())
    urls = {f"{service}-app": url for service, url in stack["urls"].items()}
    urls |= {f"{service}-worker": url for service, url in stack["workers"].items()}
    processes, node, own = document["scrape_configs"]
    processes["static_configs"] = [
        {"targets": [urls[name].removeprefix("http://")], "labels": {"__meta_dns_name": name}}
        for config in processes.pop("dns_sd_configs")
        for name in config["names"]
    ]
    node["static_configs"] = [{"targets": [f"{HOST}:{node_port}"]}] if NODE_EXPORTER else []
    own["static_configs"] = [{"targets": [f"{HOST}:{port}"]}]
    return document


@contextmanager
def _process(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
