"""Do the rules say what they should, does every metric they name exist, and does every alert tell what to do?"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from events.topics import SERVICES
from services.cli.main import app
from services.kernel.settings import HTTP_PORTS, WORKER_PORTS
from tests.support.compose import ROOT
from tests.support.promql import DASHBOARD, OTHERS, RULES, declared, names_in, pages, panels, recorded, rules

PROMETHEUS = ROOT / "deploy/prometheus"
ALERTS = [rule for rule in rules() if "alert" in rule]
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
needs_promtool = pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not installed (package prometheus)"
)
needs_amtool = pytest.mark.skipif(
    not shutil.which("amtool"), reason="amtool is not installed (prometheus-alertmanager)"
)


def run(*command: str, cwd: Path = PROMETHEUS) -> None:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@needs_promtool
def test_promtool_accepts_configuration_and_rules() -> None:
    run("promtool", "check", "config", "prometheus.yml")


@needs_promtool
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    run("promtool", "test", "rules", path.name, cwd=path.parent)


@needs_amtool
def test_amtool_accepts_who_is_told(tmp_path: Path) -> None:
    """With the address in place of the file: amtool of Debian is of a version before `url_file`."""
    text = (ROOT / "deploy/alertmanager/alertmanager.yml").read_text()
    given = re.sub(r"url_file: \S+", "url: http://127.0.0.1/", text)
    assert given != text
    (tmp_path / "alertmanager.yml").write_text(given)
    run("amtool", "check-config", str(tmp_path / "alertmanager.yml"))


def test_every_alert_has_a_test_that_it_fires_and_one_that_it_does_not() -> None:
    fires: set[tuple[str, str]] = set()
    silent: set[str] = set()
    for path in TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for step in case["alert_rule_test"]:
                fires |= {(step["alertname"], alert["exp_labels"]["severity"]) for alert in step["exp_alerts"]}
                if not step["exp_alerts"]:
                    silent.add(step["alertname"])
    assert fires == {(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS}
    assert silent == {rule["alert"] for rule in ALERTS}


def test_every_alert_names_its_page_and_every_page_its_alert() -> None:
    named = {rule["annotations"]["runbook"] for rule in ALERTS}
    assert named == {f"docs/runbooks/{rule['alert']}.md" for rule in ALERTS}
    assert named == {str(path.relative_to(ROOT)) for path in pages()}
    index = (ROOT / "docs/runbooks/README.md").read_text()
    assert [path.name for path in pages() if f"]({path.name})" not in index] == []


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.stem)
def test_a_page_says_what_it_means_where_to_look_what_to_type_and_when_it_is_over(page: Path) -> None:
    text = page.read_text()
    headings = ["**What it means.**", "**Look at**", "**Type**", "**Over when**"]
    found = [text.find(heading) for heading in headings]
    assert -1 not in found
    assert found == sorted(found)
    links = re.findall(r"\]\(([A-Za-z]+\.md)\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_metric_named_exists() -> None:
    there = declared() | recorded() | OTHERS
    asked = {rule.get("alert") or rule["record"]: names_in(rule["expr"]) for rule in rules()}
    asked |= {f"panel {title}": names_in(expression) for title, expression in panels()}
    asked |= {page.name: set(re.findall(r"\bopenitem[_:][a-z0-9_:]+", _metric_words(page))) for page in pages()}
    missing = {where: names - there for where, names in asked.items() if names - there}
    assert missing == {}


def test_every_recorded_series_is_used() -> None:
    """By an alert, by the dashboard, by a page or by another rule: else it costs and tells nobody anything."""
    text = "".join(path.read_text() for path in (*RULES.glob("alerts.yml"), *pages())) + DASHBOARD.read_text()
    within = {name for rule in rules() if "record" in rule for name in names_in(rule["expr"])}
    assert {name for name in recorded() if name not in text} <= within


def test_every_process_is_scraped_on_its_port_and_missed_when_it_is_gone() -> None:
    [job, *_] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    scraped = {config["names"][0]: config["port"] for config in job["dns_sd_configs"]}
    expected = {f"{service}-app": port for service, port in HTTP_PORTS.items()}
    expected |= {f"{service}-worker": port for service, port in WORKER_PORTS.items()}
    assert scraped == expected
    [down] = [rule["expr"] for rule in ALERTS if rule["alert"] == "TargetDown"]
    missed = re.findall(r'absent\(up\{job="openitem", service="([a-z]+)", part="([a-z]+)"\}\)', down)
    assert {f"{service}-{part}" for service, part in missed} == set(expected)


def test_every_command_of_the_pages_exists_with_its_options() -> None:
    program: Any = get_command(app)
    wrong: list[str] = []
    for page in sorted((ROOT / "docs/runbooks").glob("*.md")):
        for line in re.findall(r"(?:^    |`)openitem ([a-z][^`\n…]*)", page.read_text(), re.MULTILINE):
            words = re.sub(r"'[^']*'|\"[^\"]*\"", "X", line).split()
            command: Any = program
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            options = {
                option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
            }
            unknown = [word for word in words if word.startswith("--") and word not in options]
            if command is program or hasattr(command, "commands") or unknown:
                wrong.append(f"{page.name}: openitem {line}")
            services = [words[at + 1] for at, word in enumerate(words) if word == "--service"]
            assert set(services) <= {*SERVICES, "projections"}, line
    assert wrong == []


def _metric_words(page: Path) -> str:
    """What stands in code on a page, without names of databases, which look alike."""
    text = page.read_text()
    databases = "|".join(f"openitem_{name}" for name in (*SERVICES, "projections"))
    return re.sub(rf"\b(?:{databases})\b", "", text)
