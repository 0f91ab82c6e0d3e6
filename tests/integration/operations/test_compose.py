"""Does docker-compose.yml say what Compose understands, name only what there is, and keep what it promises?"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import re
from typing import Any

import pytest
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from deploy.compose import probe
from services.cli.where import service_urls
from services.kernel.middleware import PUBLIC
from services.kernel.settings import HTTP_PORTS, WORKER_PORTS, Settings
from services.reporting.settings import ReportingSettings
from tests.support.compose import GIVEN, ROOT, Unset, compose, env_file, mounts, variables

CLUSTER = env_file(ROOT / "deploy/compose/cluster.env")
APPS = {f"{service}-app": port for service, port in HTTP_PORTS.items()}
WORKERS = {f"{service}-worker": port for service, port in WORKER_PORTS.items()}
OURS = {*APPS, *WORKERS, "init", "openitem"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return compose(GIVEN)


@pytest.fixture(scope="module")
def specification() -> Validator:
    """The Compose Specification's, as the package of the tests ships it."""
    package = importlib.metadata.distribution("check-jsonschema")
    path = package.locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json")
    schema = json.loads(path.read_text())  # type: ignore[attr-defined]
    return validator_for(schema)(schema)


@pytest.mark.parametrize("environment", [GIVEN, GIVEN | CLUSTER], ids=["one broker", "cluster"])
def test_it_is_valid_by_the_compose_specification(specification: Validator, environment: dict[str, str]) -> None:
    errors = [f"{error.json_path}: {error.message}" for error in specification.iter_errors(compose(environment))]
    assert errors == []


def test_the_schema_would_have_found_a_mistake(specification: Validator, document: dict[str, Any]) -> None:
    wrong = {**document, "services": {**document["services"], "kafka": {"image": "kafka", "restarts": "always"}}}
    assert not specification.is_valid(wrong)


def test_every_process_runs_once_from_one_image(document: dict[str, Any]) -> None:
    services = document["services"]
    assert {services[name]["image"] for name in OURS} == {"openitem:local"}
    assert [name for name in services if "build" in services[name]] == ["init"]
    for name in [*APPS, *WORKERS]:
        service, part = name.rsplit("-", 1)
        assert services[name]["command"] == [f"services.{service}.{part}"]
    there = {name for name in services if name.endswith(("-app", "-worker"))}
    assert there == {*APPS, *WORKERS}


def test_every_command_exists(document: dict[str, Any]) -> None:
    for name in OURS - {"openitem"}:
        [module] = document["services"][name]["command"]
        spec = importlib.util.find_spec(module)
        assert spec is not None, f"{name}: there is no {module}"
        assert spec.origin is not None
        assert 'if __name__ == "__main__":' in (ROOT / spec.origin).read_text()
    scripts = {entry.name for entry in importlib.metadata.distribution("openitem").entry_points}
    assert document["services"]["openitem"]["entrypoint"] == ["openitem"]
    assert "openitem" in scripts


@pytest.mark.parametrize("name", [*APPS, *WORKERS])
def test_every_process_is_asked_whether_it_is_ready_on_its_own_port(document: dict[str, Any], name: str) -> None:
    check = document["services"][name]["healthcheck"]["test"]
    assert check == ["CMD", "python", "-m", probe.__name__, str((APPS | WORKERS)[name])]
    assert probe.PATH in PUBLIC


def test_apps_are_published_on_their_ports_and_nothing_of_the_servers_is(document: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in document["services"].items() if "ports" in service}
    for name, port in APPS.items():
        assert published.pop(name) == [f"127.0.0.1:{port}:{port}"]
    assert set(published) == {"prometheus", "alertmanager", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_every_variable_of_a_process_is_one_it_reads(document: dict[str, Any]) -> None:
    read = {f"OPENITEM_{name.upper()}" for name in (*Settings.model_fields, *ReportingSettings.model_fields)}
    read |= {f"OPENITEM_{service.upper()}_URL" for service in service_urls()}
    prepare = (ROOT / "deploy/prepare.py").read_text()
    read |= set(re.findall(r"OPENITEM_[A-Z_]+", prepare))
    for name in OURS:
        assert set(document["services"][name]["environment"]) <= read, name


def test_a_process_accepts_what_it_is_given(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*APPS, *WORKERS]:
        with monkeypatch.context() as patch:
            for variable, value in document["services"][name]["environment"].items():
                patch.setenv(variable, str("" if value is None else value))
            service = name.rsplit("-", 1)[0]
            settings = (ReportingSettings if service == "reporting" else Settings)(service=service)  # type: ignore[call-arg]
            assert settings.kafka == "kafka:9092"
            assert settings.database_url.startswith("postgresql://openitem:p4ssw0rd@postgres:5432/openitem_")


def test_traces_are_off_and_go_where_they_are_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = {"OPENITEM_TRACES": "http://collector:4318/v1/traces", "OPENITEM_TRACES_RATIO": "0.1"}
    for environment, expected in ((GIVEN, ("", 1.0)), (GIVEN | collector, (collector["OPENITEM_TRACES"], 0.1))):
        services = compose(environment)["services"]
        for name in [*APPS, *WORKERS]:
            with monkeypatch.context() as patch:
                for variable, value in services[name]["environment"].items():
                    patch.setenv(variable, str("" if value is None else value))
                settings = Settings(service="invoice")  # type: ignore[call-arg]
            assert (settings.traces, settings.traces_ratio) == expected, name


def test_every_mounted_file_exists(document: dict[str, Any]) -> None:
    missing = [f"{name}: {path}" for name, path in mounts(document) if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("name", GIVEN)
def test_a_secret_has_no_default(name: str) -> None:
    with pytest.raises(Unset, match=f"^{name}: .{{12,}}"):
        compose({key: value for key, value in GIVEN.items() if key != name})


def test_what_may_be_set_is_written_down() -> None:
    readme = (ROOT / "deploy/compose/README.md").read_text()
    asked = set(variables()) - set(CLUSTER)
    assert [name for name in sorted(asked) if f"`{name}`" not in readme] == []


def test_nobody_is_root_and_nobody_can_write_but_to_volumes(document: dict[str, Any]) -> None:
    for name, service in document["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service["user"].startswith("0"), name
        assert "privileged" not in service, name


def test_everything_has_limits_comes_back_and_keeps_its_logs_small(document: dict[str, Any]) -> None:
    for name, service in document["services"].items():
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["restart"] == {"init": "on-failure:5", "openitem": "no"}.get(name, "unless-stopped"), name
        assert service["logging"]["options"]["max-size"], name


def test_every_process_waits_until_databases_and_topics_are_ready(document: dict[str, Any]) -> None:
    for name in [*APPS, *WORKERS]:
        assert document["services"][name]["depends_on"] == {"init": {"condition": "service_completed_successfully"}}
    waits = document["services"]["init"]["depends_on"]
    assert {server for server, how in waits.items() if how.get("required", True)} == {"postgres", "kafka"}
    assert all(how["condition"] == "service_healthy" for how in waits.values())


def test_servers_and_workers_stand_in_a_network_that_reaches_nothing_outside(document: dict[str, Any]) -> None:
    assert document["networks"]["inside"] == {"internal": True}
    for name in ("postgres", "kafka", "init", *WORKERS):
        assert document["services"][name]["networks"] == ["inside"], name


def test_one_broker_by_default_and_three_that_survive_a_loss_in_the_cluster() -> None:
    one, three = compose(GIVEN)["services"], compose(GIVEN | CLUSTER)["services"]
    brokers = [name for name in three if name.startswith("kafka")]
    assert CLUSTER["COMPOSE_PROFILES"] == "cluster"
    assert {name: one[name].get("profiles") for name in brokers} == {
        "kafka": None,
        "kafka-2": ["cluster"],
        "kafka-3": ["cluster"],
    }
    assert one["kafka"]["environment"]["KAFKA_DEFAULT_REPLICATION_FACTOR"] == 1
    voters = ",".join(f"{three[name]['environment']['KAFKA_NODE_ID']}@{name}:9093" for name in brokers)
    for name in brokers:
        environment = three[name]["environment"]
        assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert environment["KAFKA_DEFAULT_REPLICATION_FACTOR"] == 3
        assert environment["KAFKA_MIN_INSYNC_REPLICAS"] == 2
        assert environment["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{name}:9092"
        assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"
    assert three["init"]["environment"]["OPENITEM_REPLICATION"] == 3
    bootstrap = ",".join(f"{name}:9092" for name in brokers)
    assert {three[name]["environment"]["OPENITEM_KAFKA"] for name in OURS} == {bootstrap}
    data = [three[name]["volumes"] for name in brokers]
    assert len({volume for [volume] in data}) == 3
