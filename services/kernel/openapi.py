"""What the OpenAPI document says of every route: which problems it may answer with, and that it needs a token."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI

from services.kernel.middleware import PUBLIC
from services.kernel.problem import MEDIA_TYPE

_ANY: Final = {
    401: "The bearer token is missing or does not do.",
    403: "The caller's roles or branches do not allow it.",
    404: "It does not exist, or the caller may not see it.",
    405: "The route does not take this method.",
    413: "The body is too large.",
    422: "The request does not fit the schema, or a value in it cannot be.",
    500: "The service failed; the log has it under the request id.",
    503: "A server it depends on is away. Nothing was recorded; send the same request again.",
}
_COMMAND: Final = {
    400: "A header is missing or malformed, or the body is no JSON.",
    409: "A rule says no in the present state, or the same command is being carried out.",
    412: "If-Match named another version than the stream has.",
}
_BEARER: Final = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "OIDC access token"}
_PUBLIC: Final = {405: _ANY[405], 500: _ANY[500], 503: _ANY[503]}
_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457 problem document. `code` is stable: clients switch on it.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "instance"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:openitem:problem:version_conflict"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
        "instance": {"type": "string", "description": "Names the request; the log has it under this id."},
        "field": {"type": "string", "description": "The part of the request that is at fault."},
        "errors": {
            "type": "array",
            "description": "Everything that does not fit the schema.",
            "items": {
                "type": "object",
                "required": ["field", "code", "message"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "message")},
            },
        },
        "members": {"type": "object", "description": "What this refusal adds, by name."},
    },
}


def document_problems(app: FastAPI) -> None:
    """Make `app.openapi()` name the problem documents of every route, and the token it needs."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = plain()
        components = document.setdefault("components", {})
        components["securitySchemes"] = {"HTTPBearer": _BEARER}  # The rim asks for it before any route is looked for.
        schemas = components.setdefault("schemas", {})
        schemas["Problem"] = _SCHEMA
        for name in ("HTTPValidationError", "ValidationError"):  # The framework's own; ours is answered instead.
            schemas.pop(name, None)
        for path, operations in document["paths"].items():
            for operation in operations.values():
                known = _PUBLIC if path in PUBLIC else _ANY | _COMMAND
                if path not in PUBLIC:
                    operation["security"] = [{"HTTPBearer": []}]
                answers = operation.setdefault("responses", {})
                for status, description in known.items():
                    answers[str(status)] = _answer(status, description)
        app.openapi_schema = document
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # The framework's documented way to extend it.


def _answer(status: int, description: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if status == 503:
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return answer
