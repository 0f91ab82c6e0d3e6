"""docker-compose.yml as Compose would read it: variables filled in, merges done, without Docker."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
FILE: Final = ROOT / "docker-compose.yml"
# What has no default.
GIVEN: Final = {
    "POSTGRES_PASSWORD": "p4ssw0rd",
    "GRAFANA_PASSWORD": "g4ssw0rd",
    "OPENITEM_JWKS": "https://id.example.com/keys",
    "OPENITEM_ISSUER": "https://id.example.com",
    "ALERT_WEBHOOK_FILE": "/etc/openitem/webhook",
}
_VARIABLE: Final = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)(?P<mode>:-|:\?)?(?P<rest>[^}]*)\}")


class Unset(Exception):
    """A variable that has no default is not set."""


def variables() -> dict[str, str | None]:
    """Every variable the file reads, with its default; None where there is none."""
    text = _uncommented()
    return {m["name"]: m["rest"] if m["mode"] == ":-" else None for m in _VARIABLE.finditer(text)}


def compose(environment: Mapping[str, str]) -> dict[str, Any]:
    """The file with that environment. Errors: Unset."""

    def fill(match: re.Match[str]) -> str:
        if value := environment.get(match["name"]):
            return value
        if match["mode"] == ":-":
            return str(match["rest"])
        raise Unset(f"{match['name']}: {match['rest']}")

    found: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(fill, _uncommented()))
    return found


def env_file(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def mounts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Files and directories of this project that containers see: service and path."""
    for name, service in document["services"].items():
        for volume in service.get("volumes", []):
            source = volume["source"] if isinstance(volume, dict) else volume.split(":")[0]
            if source.startswith("."):
                yield name, source


def _uncommented() -> str:
    return "\n".join(line for line in FILE.read_text().splitlines() if not line.lstrip().startswith("#"))
