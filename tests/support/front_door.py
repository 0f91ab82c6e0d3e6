"""A service's HTTP application in this process, on a real database, spoken to as one caller or another."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI

from services.kernel.settings import Settings
from services.kernel.store import Store
from tests.support.tokens import ISSUER, Issuer


class FrontDoor:
    """The application and who knocks. `as_` answers the same door for another caller."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer, **claims: Any) -> None:
        self.app = app
        self._client = client
        self._issuer = issuer
        self._headers = issuer.header(**claims)

    @property
    def store(self) -> Store:
        store: Store = self.app.state.store
        return store

    def as_(self, sub: str, role: str, branches: Sequence[str] | str = "*") -> FrontDoor:
        return FrontDoor(self.app, self._client, self._issuer, sub=sub, roles=(role,), branches=branches)

    async def post(self, path: str, body: dict[str, Any], key: str | None = None, **headers: str) -> httpx.Response:
        """A command, under a key of its own unless one is given. Header names have _ for -."""
        all_headers = self._headers | {"Idempotency-Key": key or uuid4().hex} | headers_of(headers)
        return await self._client.post(path, json=body, headers=all_headers)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self._client.get(path, headers=self._headers | headers_of(headers))

    async def post_file(self, path: str, body: bytes, content_type: str, **headers: str) -> httpx.Response:
        all_headers = self._headers | {"Content-Type": content_type} | headers_of(headers)
        return await self._client.post(path, content=body, headers=all_headers)

    async def import_(self, kind: str, rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Import rows; answers the summary and the rejected rows."""
        body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        answer = await self.post_file(f"/imports/{kind}", body, "application/x-ndjson")
        assert answer.status_code == 200, answer.text
        lines = [json.loads(line) for line in answer.text.splitlines()]
        assert lines[-1]["line"] == "summary", lines[-1]
        return lines[-1], [line for line in lines if line["line"] == "rejected"]

    async def facts(self) -> list[tuple[str, int, str]]:
        """Every fact on record, in order: stream, version, wire name."""
        async with self.store.pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('openitem.branches', '*', true)")
            rows = await conn.fetch("SELECT stream, stream_version, type FROM events ORDER BY position")
        return [(row["stream"], row["stream_version"], row["type"]) for row in rows]


def headers_of(headers: dict[str, str]) -> dict[str, str]:
    """Their names as Python takes them have _ for -."""
    return {name.replace("_", "-"): value for name, value in headers.items()}


@asynccontextmanager
async def front_door(
    build: Callable[[Settings], FastAPI], service: str, database: str, directory: Path
) -> AsyncIterator[FrontDoor]:
    """The application of `service` on `database`, with its lifespan; the first caller is an administrator."""
    issuer = Issuer(directory)
    settings = Settings(
        service=service,
        postgres=database,
        database=database,
        kafka="127.0.0.1:1",  # An app never speaks to Kafka: its worker does.
        jwks=str(issuer.path),
        issuer=ISSUER,
    )
    app = build(settings)
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield FrontDoor(app, client, issuer)
