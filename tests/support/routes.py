"""The routes of the applications as they are declared, for tests that hold for every one of them."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from services.kernel.auth import Allow
from services.kernel.middleware import PUBLIC


class Route(NamedTuple):
    """A route that asks for a permission."""

    method: str
    path: str
    permission: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes_of(app: FastAPI) -> list[Route]:
    """Every route that is not public by design, sorted."""
    found = []
    for route in iter_route_contexts(app.routes):
        if route.path in PUBLIC:
            continue
        needed = [d.call.permission for d in route.dependant.dependencies if isinstance(d.call, Allow)]
        assert len(needed) == 1, f"{route.path} asks for {needed}"
        found += [Route(method, str(route.path), needed[0]) for method in route.methods or ()]
    return sorted(found)
