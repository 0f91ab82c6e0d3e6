"""Where the system is that a command works on: as `OPENITEM_*` says, else as the stack of `make demo` left word."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from services.cli.screen import Stop
from services.kernel.settings import HTTP_PORTS, Settings

STATE_DIR: Final = ".openitem"
STACK: Final = "stack.json"
# The variable of each thing a command may need, and what to call it when it is nowhere to be found.
_VARIABLES: Final = {
    "postgres": ("OPENITEM_POSTGRES", "PostgreSQL"),
    "kafka": ("OPENITEM_KAFKA", "Kafka"),
    "jwks": ("OPENITEM_JWKS", "the issuer's keys"),
    "issuer": ("OPENITEM_ISSUER", "the issuer"),
}


def state_dir() -> Path:
    """Where the embedded stack keeps its files."""
    return Path(os.environ.get("OPENITEM_STATE_DIR", STATE_DIR))


def settings_for(service: str, *needs: str) -> Settings:
    """The settings of a service's processes, of which the command needs those named: "postgres", "kafka".

    A variable that is set wins over the stack's file. Errors: Stop, naming the variables that are missing.
    """
    stack = _stack()
    found: dict[str, Any] = {}
    missing: list[str] = []
    for name, (variable, what) in _VARIABLES.items():
        value = os.environ.get(variable) or stack.get(name)
        if not value and name in needs:
            missing.append(f"{what} (set {variable})")
        found[name] = str(value or "")
    if missing:
        raise Stop(
            f"nobody says where to find {' and '.join(missing)}. `make demo` starts everything on this machine and"
            f" leaves word in {state_dir() / STACK}; there is none now."
        )
    return Settings(service=service, **found)


def service_urls() -> dict[str, str]:
    """Where each service's HTTP API is: `OPENITEM_<SERVICE>_URL`, the stack's file, or its default port here."""
    stack = _stack().get("urls", {})
    return {
        service: os.environ.get(f"OPENITEM_{service.upper()}_URL") or stack.get(service, f"http://127.0.0.1:{port}")
        for service, port in HTTP_PORTS.items()
    }


def own_token(sub: str, *roles: str) -> str:
    """A token of the embedded stack's own issuer, for a command that works on that stack. Errors: Stop."""
    from deploy.embedded.keys import mint  # Not installed in an image.

    directory = state_dir()
    if not (directory / "jwks.json").exists():
        raise Stop("give a token with --token or OPENITEM_TOKEN: no embedded stack is here to mint one")
    return mint(directory, sub, roles, "*")


def _stack() -> dict[str, Any]:
    """What the running embedded stack says of itself; empty where none runs."""
    path = state_dir() / STACK
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as error:
        raise Stop(f"{path} cannot be read: {error}") from None
    return found
