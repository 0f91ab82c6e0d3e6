"""The outermost layer of every HTTP process: names the request, lets in who has a token, bounds the body, logs, counts.

It stands outside the router, so nothing that asks is answered without it; a path nobody knows needs a token too.
"""

from __future__ import annotations

import re
import time
from typing import Any, Final
from uuid import uuid4

import structlog
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kernel import tracing
from services.kernel.auth import Verifier
from services.kernel.errors import Refused
from services.kernel.metrics import REQUEST_SECONDS
from services.kernel.problem import internal_problem, problem, refusal_problem, unavailable_problem
from services.kernel.transient import is_transient

# Paths that answer without a token. They tell nothing of the business.
PUBLIC: Final = frozenset({"/health/live", "/health/ready", "/metrics", "/openapi.json", "/docs"})
# Streams of any length: bounded row by row in `bulk.py` instead.
UNBOUNDED: Final = "/imports/"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{7,63}")
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET: Final = frozenset({"/health/live", "/health/ready", "/metrics"})  # Asked every few seconds by machines.
_SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

log = structlog.stdlib.get_logger(__name__)


class Rim:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, service: str, verifier: Verifier, body_bytes_max: int) -> None:
        self._app = app
        self._service = service
        self._verifier = verifier
        self._body_bytes_max = body_bytes_max
        self._templates: dict[int, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = _request_id(headers.get("x-request-id"))
        state["traceparent"] = _traceparent(headers.get("traceparent"))
        span = tracing.request_span(_method(scope), state["traceparent"])
        if span is not None:
            state["traceparent"] = span.traceparent
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = 0

        async def named_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                out = MutableHeaders(scope=message)
                out["X-Request-Id"] = request_id
                for name, value in _SECURITY.items():
                    out.setdefault(name, value)
            await send(message)

        try:
            refusal = await self._at_the_door(scope, headers)
            if refusal is not None:
                await refusal(scope, receive, named_send)
            else:
                await self._app(scope, self._bounded(scope, receive), named_send)
        except Exception as error:
            if status:  # The answer is under way: breaking it off tells the caller that it is not whole.
                log.exception("answer_broken_off")
                raise
            if is_transient(error):
                log.warning("unavailable", error=type(error).__name__)
                await unavailable_problem(scope)(scope, receive, named_send)
            else:
                log.exception("internal_error")
                await internal_problem(scope)(scope, receive, named_send)
        finally:
            route = self._note(scope, status, time.perf_counter() - started)
            if span is not None:
                span.end(_method(scope), route, status)

    async def _at_the_door(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer of a request that goes no further; None lets it in."""
        path = scope["path"]
        if "\x00" in path or b"%00" in scope["query_string"]:
            return problem(scope, 400, "request_malformed", "The request cannot be read.", "the address holds a NUL")
        if path in PUBLIC:
            return None
        try:
            caller = await self._verifier.verify(headers.get("authorization"))
        except Refused as refusal:
            log.info("refused", code=refusal.code)
            return refusal_problem(scope, refusal)
        scope["state"]["caller"] = caller
        structlog.contextvars.bind_contextvars(actor=caller.sub)
        length = headers.get("content-length", "0")
        if not path.startswith(UNBOUNDED) and length.isdecimal() and int(length) > self._body_bytes_max:
            return self._too_large(scope)
        return None

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """The body as it comes in, up to the limit: a sender may lie about its length, or not tell it."""
        if scope["path"].startswith(UNBOUNDED):
            return receive
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._body_bytes_max:
                raise HTTPException(413, f"more than {self._body_bytes_max} bytes")
            return message

        return bounded

    def _too_large(self, scope: Scope) -> Response:
        detail = f"more than {self._body_bytes_max} bytes"
        return problem(scope, 413, "body_too_large", "The body is larger than this service takes.", detail)

    def _note(self, scope: Scope, status: int, seconds: float) -> str:
        """Count and log the request; answers its route."""
        route = self._template(scope)
        method = _method(scope)
        outcome = f"{status // 100}xx" if status else "broken"
        REQUEST_SECONDS.labels(self._service, route, method, outcome).observe(seconds)
        if route not in _QUIET or status >= 500:
            log.info("request", method=method, route=route, status=status, ms=round(seconds * 1000, 1))
        return route

    def _template(self, scope: Scope) -> str:
        """The route's template. Never the path: ids in it would be labels without end, and are not for the log."""
        route: Any = scope.get("route")
        if route is None:
            return scope["path"] if scope["path"] in PUBLIC else "unmatched"
        if self._templates is None:
            contexts = iter_route_contexts(scope["app"].routes)
            self._templates = {id(known.original_route): str(known.path_format) for known in contexts}
        return self._templates.get(id(route), "unmatched")


def _method(scope: Scope) -> str:
    """The method, of a bounded set."""
    return scope["method"] if scope["method"] in _METHODS else "other"


def _request_id(given: str | None) -> str:
    """The caller's id where it is one; made here otherwise."""
    return given if given is not None and _REQUEST_ID.fullmatch(given) else str(uuid4())


def _traceparent(given: str | None) -> str | None:
    """The W3C trace context, where it is one. Source: Trace Context, 3.2.2."""
    return given if given is not None and _TRACEPARENT.fullmatch(given) else None
