"""Structured logs: one event name with fields per line, JSON or readable, the request's id on each line.

No personal data and no amounts: what happened to the books is in the books.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from json import dumps
from typing import Any, Final

import msgspec
import structlog
from structlog.typing import EventDict, Processor

_QUIET: Final = ("uvicorn.access", "httpx", "httpcore", "aiokafka", "kafka", "faust", "mode")  # Below WARNING: noise.


class _Named(structlog.WriteLogger):
    """Writes lines to standard error and knows its name, as a logger of the standard library does."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stderr)
        self.name = name


def configure_logs(*, service: str, level: str = "INFO", json: bool = True) -> None:
    """Send this process's logs, ours and the libraries', to standard error in one form.

    Ours are written as they are rendered. Through the standard library's handlers each took 0.15 ms, a twelfth of what
    an app needs for a command.
    """

    def name_service(_logger: object, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        name_service,
    ]
    render: list[Processor]
    if json:
        # Without local variables: they hold tokens, amounts and people.
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        render = [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer(_text)]
    else:
        plain = structlog.dev.plain_traceback
        render = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    structlog.configure(
        processors=[*shared, *render],
        logger_factory=_Named,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):  # They bring handlers of their own.
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def _text(event: object, default: Callable[[Any], Any], **_: object) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=default).decode()
    except (UnicodeError, TypeError, ValueError):  # Half a character in what somebody sent: a line must never fail.
        return dumps(event, default=default)
