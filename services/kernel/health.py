"""Health and metrics of an HTTP process: open to whoever can reach the port, and telling nothing of the business."""

from __future__ import annotations

import asyncio
from typing import Final, Literal

import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from services.kernel.metrics import note_pool
from services.kernel.problem import unavailable_problem
from services.kernel.transient import TRANSIENT

_READY_S_MAX: Final = 2.0  # A database that takes longer for SELECT 1 is no database to send requests to.

log = structlog.stdlib.get_logger(__name__)


class Health(BaseModel):
    """The process answers; when it is ready, its database does too."""

    status: Literal["ok"] = "ok"


def health_router() -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health/live")
    async def live() -> Health:
        """The process answers. If it does not, restart it."""
        return Health()

    @router.get("/health/ready", response_model=Health)
    async def ready(request: Request) -> Health | Response:
        """Requests can be carried out: the database answers. If not, send none, and wait."""
        try:
            async with asyncio.timeout(_READY_S_MAX), request.app.state.pool.acquire() as conn:
                await conn.execute("SELECT 1")
        except TRANSIENT as error:
            log.warning("not_ready", error=type(error).__name__)
            return unavailable_problem(request.scope)
        return Health()

    @router.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """What Prometheus scrapes."""
        note_pool(request.app.state.settings.service, request.app.state.pool)
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
