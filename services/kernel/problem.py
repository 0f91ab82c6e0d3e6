"""Errors as RFC 9457 problem documents: which status each kind of refusal has, and how every answer of that sort looks.

The domains know no HTTP; this is the one table that maps their refusals to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from services.kernel.errors import Kind, Refused, ValueUnstorable
from services.kernel.metrics import REFUSALS
from services.kernel.transient import TRANSIENT

STATUS: Final[dict[Kind, int]] = {
    Kind.MALFORMED: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.UNKNOWN: 404,
    Kind.CONFLICT: 409,
    Kind.PRECONDITION: 412,
    Kind.TOO_LARGE: 413,
    Kind.INVALID: 422,
    Kind.UNAVAILABLE: 503,
}
# What the router or the server itself says no with.
_ROUTER: Final[dict[int, tuple[str, str]]] = {
    400: ("request_malformed", "The request cannot be read."),
    404: ("route_not_found", "There is no such route."),
    405: ("method_not_allowed", "The route does not take this method."),
    415: ("media_type_unsupported", "The route does not read this content type."),
    413: ("body_too_large", "The body is larger than this service takes."),
}
RETRY_AFTER_S: Final = 2  # Long enough for a server's restart to be under way, short enough for a person to wait.
MEDIA_TYPE: Final = "application/problem+json"
_ERRORS_MAX: Final = 50  # Of one request: more would help nobody to correct it.

log = structlog.stdlib.get_logger(__name__)


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A problem document. Clients switch on `code`; `members` is what the refusal adds, by name."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str
    field: str | None = None
    errors: list[dict[str, str]] | None = None
    members: dict[str, Any] | None = None


def problem(
    scope: Scope,
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    field: str | None = None,
    errors: list[dict[str, str]] | None = None,
    members: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer of one problem; counts it by its code."""
    REFUSALS.labels(code=code).inc()
    document = Problem(
        type=f"urn:openitem:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        instance=f"urn:openitem:request:{scope.get('state', {}).get('request_id', 'unknown')}",
        field=field,
        errors=errors,
        members=dict(members) if members else None,
    )
    return Response(msgspec.json.encode(document), status, headers, media_type=MEDIA_TYPE)


def refusal_problem(scope: Scope, refusal: Refused) -> Response:
    """How a refusal is answered: with the status of its kind, and the headers that status calls for."""
    status = STATUS[refusal.kind]
    headers: dict[str, str] = {}
    if status == 401:
        error = (
            "" if refusal.code == "token_missing" else f', error="invalid_token", error_description="{refusal.code}"'
        )
        headers["WWW-Authenticate"] = f'Bearer realm="openitem"{error}'
    if status == 503 or refusal.code == "command_in_progress":
        headers["Retry-After"] = str(RETRY_AFTER_S)
    title = (type(refusal).__doc__ or refusal.code).strip().splitlines()[0]
    return problem(
        scope,
        status,
        refusal.code,
        title,
        refusal.message,
        field=refusal.field,
        members=refusal.members,
        headers=headers,
    )


def unavailable_problem(scope: Scope) -> Response:
    return problem(
        scope,
        503,
        "unavailable",
        "The service cannot answer now.",
        "a server it depends on is away or overloaded; nothing was recorded, send the same request again",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def internal_problem(scope: Scope) -> Response:
    """An error of ours: the log has it under the request id, the caller is told no more than that."""
    return problem(
        scope, 500, "internal", "The service failed.", "it is logged under the request id; sending again may help"
    )


def add_problem_handlers(app: FastAPI) -> None:
    """Answer whatever a route raises as a problem document. What nothing here knows is left to the rim's middleware."""

    @app.exception_handler(Refused)
    async def refused(request: Request, refusal: Refused) -> Response:
        log.info("refused", code=refusal.code, field=refusal.field)
        return refusal_problem(request.scope, refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = list(_errors(error.errors()))
        log.info("refused", code="invalid_request", fields=[e["field"] for e in errors])
        return problem(
            request.scope,
            422,
            "invalid_request",
            "The request does not fit the route's schema.",
            "; ".join(f"{e['field']}: {e['message']}" for e in errors[:3]),
            field=errors[0]["field"] if errors else None,
            errors=errors,
        )

    @app.exception_handler(HTTPException)
    async def router_said_no(request: Request, error: HTTPException) -> Response:
        code, title = _ROUTER.get(error.status_code, ("request_refused", "The request is refused."))
        return problem(request.scope, error.status_code, code, title, str(error.detail), headers=error.headers)

    @app.exception_handler(asyncpg.DataError)
    async def unstorable(request: Request, error: asyncpg.DataError) -> Response:
        # No rule of ours caught it, and Postgres cannot hold it: a NUL, a number out of range. The caller's to correct.
        log.warning("value_unstorable", error=type(error).__name__)
        return refusal_problem(request.scope, ValueUnstorable("a value is out of range or not text"))

    async def away(request: Request, error: Exception) -> Response:
        log.warning("unavailable", error=type(error).__name__)
        return unavailable_problem(request.scope)

    for kind in TRANSIENT:
        app.add_exception_handler(kind, away)


def _errors(found: Sequence[Any]) -> Iterator[dict[str, str]]:
    for error in found[:_ERRORS_MAX]:
        where = [str(part) for part in error["loc"]]
        if where and where[0] == "body" and len(where) > 1:
            where = where[1:]
        yield {"field": ".".join(where), "code": str(error["type"]), "message": str(error["msg"])}
