"""Makes a service's HTTP application: its routes, and around them what every service has.

Owns the life of the pool, health, metrics and the log of facts. What a route needs of a request is in `request.py` and
`auth.py`, and is given on from here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import structlog
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts

from services.kernel.auth import Allow, Caller, Verifier, allow, caller_of
from services.kernel.health import health_router
from services.kernel.jwks import KeySet, key_source
from services.kernel.log_route import log_router
from services.kernel.metrics import note_build
from services.kernel.middleware import PUBLIC, Rim
from services.kernel.openapi import document_problems
from services.kernel.position_route import position_router
from services.kernel.problem import add_problem_handlers
from services.kernel.request import CommandAnswer, answer, cause_of, meta_of, store_of, wait_of
from services.kernel.settings import Settings
from services.kernel.store import Index, Store, open_pool
from services.kernel.transient import TRANSIENT
from services.roles import ROLES

__all__ = [
    "Caller",
    "CommandAnswer",
    "allow",
    "answer",
    "caller_of",
    "cause_of",
    "create_app",
    "meta_of",
    "store_of",
    "unprotected",
    "wait_of",
]


log = structlog.stdlib.get_logger(__name__)
_UNREACHABLE: Final[tuple[type[Exception], ...]] = (*TRANSIENT, asyncpg.PostgresError)
_STATEMENT_S_MAX: Final = 30.0  # Of one statement: the server may be gone without having said so.


def create_app(
    settings: Settings,
    *,
    title: str,
    routers: Sequence[APIRouter],
    index: Index | None = None,
    roles: Mapping[str, frozenset[str]] = ROLES,
    store_routes: bool = True,
    opened: Callable[[FastAPI], None] = lambda _app: None,
) -> FastAPI:
    """The application of one service. Its state has `settings` and, while it runs, `pool` and `store`.

    `store_routes` adds the log of facts and how far it reaches, which a service without an event store (reporting) has
    not. `opened` is called when there is a pool, for what else the state is to have.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        url = settings.database_url
        try:
            pool = await open_pool(
                url,
                size_max=settings.pool_max,
                statement_s_max=_STATEMENT_S_MAX,
                plans="kept" if store_routes else "new",
                name=f"openitem-{settings.service}",
            )
        except _UNREACHABLE as error:
            where = urlsplit(url)  # Without the password that may stand in it.
            log.error("database_unreachable", host=where.hostname, port=where.port, name=where.path, error=str(error))
            raise
        app.state.pool, app.state.store = pool, Store(pool, index)
        opened(app)
        try:
            yield
        finally:
            await pool.close()

    app = FastAPI(title=title, version="1", lifespan=lifespan, redoc_url=None, swagger_ui_oauth2_redirect_url=None)
    app.state.settings = settings
    keys = KeySet(key_source(settings.jwks))
    verifier = Verifier(keys, issuer=settings.issuer, audience=settings.audience, roles=roles)
    add_problem_handlers(app)
    store_routers = [log_router(settings.service), position_router()] if store_routes else []
    for router in (*routers, health_router(), *store_routers):
        app.include_router(router)
    document_problems(app)
    note_build(settings.service)
    app.add_middleware(Rim, service=settings.service, verifier=verifier, body_bytes_max=settings.body_bytes_max)
    return app


def unprotected(app: FastAPI) -> list[str]:
    """The routes that let anybody in: neither public by design nor with an `allow(...)` of their own. Must be none."""
    found: list[str] = []
    for route in iter_route_contexts(app.routes):
        path = route.path
        if path in PUBLIC:
            continue
        dependant = getattr(route, "dependant", None)
        calls = [] if dependant is None else [needed.call for needed in dependant.dependencies]
        if not any(isinstance(call, Allow) for call in calls):
            found.append(f"{','.join(sorted(route.methods or ()))} {path}")
    return sorted(found)
