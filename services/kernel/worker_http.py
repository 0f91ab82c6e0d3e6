"""Health and metrics of a worker, over HTTP, on a port of its own."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from mode import Service
from prometheus_client import generate_latest


class WorkerHttp(Service):
    """Serves `/health/live`, `/health/ready` and `/metrics`. `ready` answers which parts do their work."""

    mundane_level = "debug"

    def __init__(self, sock: socket.socket, ready: Callable[[], Mapping[str, bool]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sock = sock
        self._parts = ready
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/health/live", self._live),
                web.get("/health/ready", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, self._sock, shutdown_timeout=1).start()

    async def on_stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _live(self, _request: web.Request) -> web.Response:
        """The loop turns. If not, restart it."""
        return web.json_response({"status": "ok"})

    async def _ready(self, _request: web.Request) -> web.Response:
        """Every part does its work; else which do not. Not ready is no reason to restart: a server may be away."""
        waiting = sorted(part for part, ready in self._parts().items() if not ready)
        return web.json_response(
            {"status": "waiting" if waiting else "ok", "for": waiting}, status=503 if waiting else 200
        )

    async def _metrics(self, _request: web.Request) -> web.Response:
        """What Prometheus scrapes."""
        return web.Response(
            body=generate_latest(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )
