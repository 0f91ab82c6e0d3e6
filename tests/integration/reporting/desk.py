"""The reporting API in this process, on a real database, asked by one caller or another."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from events.money import digits_of
from services.reporting.app import build
from services.reporting.settings import ReportingSettings
from tests.support.front_door import headers_of
from tests.support.tokens import ISSUER, Issuer

Params = dict[str, Any]


class Desk:
    """Asks as one caller. `as_` asks for another."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer, headers: dict[str, str]) -> None:
        self.app = app
        self.headers = headers
        self._client = client
        self._issuer = issuer

    def as_(self, branches: Sequence[str] | str = "*", role: str = "auditor") -> Desk:
        return Desk(self.app, self._client, self._issuer, self._issuer.header(roles=(role,), branches=branches))

    async def send(self, path: str, params: Params | None = None, **headers: str) -> httpx.Response:
        """Header names have _ for -."""
        return await self._client.get(path, params=params or {}, headers=self.headers | headers_of(headers))

    async def ask(self, path: str, **params: Any) -> dict[str, Any]:
        """An answer that must be good. `from_` is `from`."""
        response = await self.send(path, _named(params))
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body

    async def refused(self, path: str, **params: Any) -> tuple[int, str]:
        response = await self.send(path, _named(params))
        assert response.headers["content-type"] == "application/problem+json", response.text
        return response.status_code, response.json()["code"]

    async def csv(self, path: str, **params: Any) -> tuple[list[dict[str, str]], httpx.Headers]:
        response = await self.send(path, _named(params) | {"format": "csv"})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "text/csv; charset=utf-8"
        return list(csv.DictReader(io.StringIO(response.text, newline=""))), response.headers

    async def pages(self, path: str, limit: int, **params: Any) -> list[dict[str, Any]]:
        """All rows, a page at a time."""
        rows: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        for _ in range(1000):
            body = await self.ask(path, limit=limit, **params, **cursor)
            assert len(body["rows"]) <= limit
            rows += body["rows"]
            if body["next"] is None:
                return rows
            assert len(body["rows"]) == limit
            cursor = {"cursor": body["next"]}
        raise AssertionError("the pages do not end")


def _named(params: Params) -> Params:
    return {name.rstrip("_"): value for name, value in params.items() if value is not None}


def settings_for(database: str, issuer: Issuer) -> ReportingSettings:
    return ReportingSettings(
        postgres=database,
        database=database,
        kafka="127.0.0.1:1",  # Reporting never speaks to Kafka.
        jwks=str(issuer.path),
        issuer=ISSUER,
    )


@asynccontextmanager
async def reporting(database: str, directory: Path) -> AsyncIterator[Desk]:
    """The application with its lifespan; the first caller may see every branch."""
    issuer = Issuer(directory)
    app = build(settings_for(database, issuer))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client,
    ):
        yield Desk(app, client, issuer, issuer.header(roles=("auditor",)))


def minor(text: str | None, currency: str) -> int | None:
    """A decimal string in minor units; it must be written with all the currency's digits."""
    if text is None:
        return None
    assert len(text.partition(".")[2]) == digits_of(currency), text
    return int(Decimal(text).scaleb(digits_of(currency)))
