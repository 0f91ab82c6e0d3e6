"""Every route of every service asks for a permission, and every POST shows what it takes."""

from collections.abc import Iterator
from importlib import import_module
from inspect import isasyncgenfunction, iscoroutinefunction, isroutine
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from services.kernel.http import unprotected
from services.kernel.settings import Settings
from services.roles import ROLES
from tests.support.tree import ROOT, at, calls, sources

APPS = sorted(path.parent.name for path in ROOT.glob("services/*/app.py"))


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest, tmp_path: Path) -> FastAPI:
    """A service's application; it is built, not started, so the addresses need not answer."""
    keys = tmp_path / "keys.json"
    keys.write_text('{"keys": []}')
    settings = Settings(
        service=request.param,
        postgres="postgresql://nobody@127.0.0.1:1/none",
        kafka="127.0.0.1:1",
        jwks=str(keys),
        issuer="urn:openitem:test",
        state_dir=str(tmp_path),
    )
    built: FastAPI = import_module(f"services.{request.param}.app").build(settings)
    return built


def test_every_service_that_serves_has_an_app() -> None:
    assert APPS == ["contact", "escalation", "invoice", "payment", "reporting"]


def test_every_route_asks_for_a_permission(app: FastAPI) -> None:
    found = unprotected(app)
    assert not found, f'dependencies=[allow("...")] on: {found}'


def test_nothing_a_route_depends_on_takes_a_thread(app: FastAPI) -> None:
    found = sorted(f"{route.path}: {name}" for route in iter_route_contexts(app.routes) for name in _in_threads(route))
    assert not found, f"`async def`, for a plain one is sent through a thread on every request: {found}"


def test_every_command_shows_an_example(app: FastAPI) -> None:
    document = app.openapi()
    found = [
        path
        for path, methods in document["paths"].items()
        for content in methods.get("post", {}).get("requestBody", {}).get("content", {}).values()
        if not _has_example(content, document)
    ]
    assert not found, f"an example body, so that the first call is a copy: {found}"


def test_every_route_says_what_it_does(app: FastAPI) -> None:
    found = [
        f"{method} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
        if not operation.get("description") and not operation.get("summary")
    ]
    assert not found, found


def test_every_permission_that_is_asked_for_is_somebodys() -> None:
    held = frozenset().union(*ROLES.values())
    found = [
        f"{at(path, call)}: {call.args[0].value}"
        for path in sources("services/**/*.py")
        for call, name in calls(path)
        if name == "allow" and call.args and hasattr(call.args[0], "value") and call.args[0].value not in held
    ]
    assert not found, f"services/roles.py gives it to nobody: {found}"


def _in_threads(needs: Any) -> Iterator[str]:
    """What is called in a thread of those that a route, or what it depends on, needs."""
    dependant = getattr(needs, "dependant", needs)
    for needed in getattr(dependant, "dependencies", ()):
        call = needed.call if isroutine(needed.call) else type(needed.call).__call__
        if not (iscoroutinefunction(call) or isasyncgenfunction(call)):
            yield call.__qualname__
        yield from _in_threads(needed)


def _has_example(content: dict[str, Any], document: dict[str, Any]) -> bool:
    if "example" in content or "examples" in content:
        return True
    schema = content.get("schema", {})
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return "example" in schema or "examples" in schema
