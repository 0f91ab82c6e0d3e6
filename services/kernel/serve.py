"""Runs one service's HTTP application as a process: settings from the environment, logs, uvicorn, an orderly end."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, cast

from pydantic import ValidationError

from services.kernel.garbage import collect_rarely
from services.kernel.jwks import key_source
from services.kernel.logs import configure_logs
from services.kernel.settings import Settings
from services.kernel.tracing import TracesUnavailable, configure_traces

if TYPE_CHECKING:
    from fastapi import FastAPI

S = TypeVar("S", bound=Settings)
_GRACE_S: Final = 20  # For requests under way when told to stop; an import batch takes far less.
_BACKLOG: Final = 512
_CONCURRENCY_MAX: Final = 500  # Requests at once; beyond it the answer is 503, before memory is what gives way.
EXIT_SETTINGS: Final = 78  # EX_CONFIG of sysexits.h: starting again will not help.
EXIT_PORT: Final = 75  # EX_TEMPFAIL: somebody has the port now.
EXIT_START: Final = 3  # uvicorn's: the application did not start; the log says why.


class SettingsInvalid(Exception):
    """The environment does not make up settings. The message names every variable that is at fault."""


class PortBusy(Exception):
    """Somebody listens there already."""


def read_settings(kind: type[S], service: str) -> S:
    """The settings of this process. Errors: SettingsInvalid."""
    try:
        settings = kind(**cast(dict[str, Any], {"service": service}))  # The rest is the environment's.
    except ValidationError as error:
        lines = [f"OPENITEM_{'_'.join(str(p) for p in e['loc']).upper()}: {e['msg']}" for e in error.errors()]
        raise SettingsInvalid("\n".join(lines)) from None
    wrong: list[str] = []
    try:
        key_source(settings.jwks)
    except ValueError as error:
        wrong.append(str(error))
    if settings.log_level.upper() not in logging.getLevelNamesMapping():
        wrong.append(f"OPENITEM_LOG_LEVEL: {settings.log_level!r} is no level; write INFO, WARNING or another")
    if settings.pool_max < 1 or settings.body_bytes_max < 1:
        wrong.append("OPENITEM_POOL_MAX, OPENITEM_BODY_BYTES_MAX: at least 1")
    if wrong:
        raise SettingsInvalid("\n".join(wrong))
    return settings


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the port, before anything else is started. Errors: PortBusy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise PortBusy(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return sock


def serve(build: Callable[[S], FastAPI], service: str, kind: type[S] | None = None) -> None:
    """Run `build(settings)` until SIGTERM or SIGINT; then finish what is under way and end.

    `kind` is the settings class that `build` takes, where it is not `Settings` itself.

    Errors   settings that will not do, and a busy port, are named on standard error and end the process with a code.
    """
    try:
        settings = read_settings(cast("type[S]", kind or Settings), service)
    except SettingsInvalid as error:
        _end(EXIT_SETTINGS, f"{service}: the settings will not do:\n{error}")
    configure_logs(service=service, level=settings.log_level, json=settings.log_json)
    try:
        configure_traces(settings)
    except TracesUnavailable as error:
        _end(EXIT_SETTINGS, f"{service}: {error}")
    try:
        sock = listen(settings.host, settings.http_port)
    except PortBusy as error:
        _end(EXIT_PORT, f"{service}: {error}")
    import uvicorn  # Here, because workers read their settings by this module too, and serve nothing.

    from services.kernel.http1 import BoundedHttp

    with closing(sock):
        config = uvicorn.Config(
            build(settings),
            loop="uvloop",
            http=BoundedHttp,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_S,
            limit_concurrency=_CONCURRENCY_MAX,
        )
        collect_rarely()
        uvicorn.Server(config).run(sockets=[sock])


def _end(code: int, message: str) -> NoReturn:
    sys.stderr.write(f"{message}\n")
    sys.exit(code)
