"""What the monitoring's files ask for: names of metrics in expressions, and the expressions themselves."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any, Final

import yaml
from prometheus_client import REGISTRY

from tests.support.compose import ROOT

RULES: Final = ROOT / "deploy/prometheus/rules"
DASHBOARD: Final = ROOT / "deploy/grafana/dashboards/openitem.json"
# Where metrics are declared. Importing them puts them into the registry that every process serves.
DECLARING: Final = (
    "services.kernel.metrics",
    "services.kernel.flow_metrics",
    "services.kernel.law_metrics",
    "services.kernel.worker",
    "services.projections.metrics",
)
# Those of Prometheus itself, of its client library, and of the node exporter.
OTHERS: Final = frozenset(
    {
        "up",
        "ALERTS",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "node_filesystem_avail_bytes",
        "node_filesystem_size_bytes",
    }
)
_QUOTED: Final = re.compile(r'"[^"]*"|\'[^\']*\'')
_NAME: Final = re.compile(r"\b(?:openitem[_:]|node_|process_)[a-zA-Z0-9_:]+|\bup\b|\bALERTS\b")


def names_in(expression: str) -> set[str]:
    """Metrics and recorded series that an expression reads."""
    return set(_NAME.findall(_QUOTED.sub('""', expression)))


def declared() -> set[str]:
    """Every series that a process of ours may serve, by name."""
    for module in DECLARING:
        importlib.import_module(module)
    names: set[str] = set()
    for family in REGISTRY.collect():
        if family.type == "counter":
            names.add(f"{family.name}_total")
        elif family.type == "histogram":
            names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
        elif family.type == "info":
            names.add(f"{family.name}_info")
        else:
            names.add(family.name)
    return names


def rules() -> list[dict[str, Any]]:
    """Every recording and alert rule, in order."""
    files = [yaml.safe_load(path.read_text()) for path in sorted(RULES.glob("*.yml"))]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def panels() -> list[tuple[str, str]]:
    """Every query of the dashboard: the panel's title and the expression."""
    document = json.loads(DASHBOARD.read_text())
    return [(panel["title"], target["expr"]) for panel in document["panels"] for target in panel.get("targets", [])]


def pages() -> list[Path]:
    """The pages of alerts, which are named as those are: other pages have names in small letters."""
    return sorted(path for path in (ROOT / "docs/runbooks").glob("[A-Z]*.md") if path.stem != "README")
