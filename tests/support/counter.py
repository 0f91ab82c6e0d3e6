"""The counter at which clerks stand: sends one command until it is answered, and writes down what was answered.

A request that timed out, or whose connection broke, is *unknown*: it may have been carried out. So it is sent again
with the same key, and the system has to see to it that it counts once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from tests.support.said import Acknowledged, Said

ANSWER_S_MAX = 150.0  # Of one command, however often it is sent: longer than any fault here, on a busy machine too.
REQUEST_S_MAX = 8.0
WAIT_S = 3  # What a command may wait for facts that are on their way.
AGAIN_S = 0.25
# "Send the same request again", in so many words; and what another service has not made known yet.
PASSING = {"unavailable", "command_in_progress", "version_conflict"}
ARRIVING = {"item_unknown", "item_not_known", "account_not_known"}


class Surprise(AssertionError):
    """An answer that nobody expected."""


@dataclass
class Counter:
    """`urls` and `token` say where and as whom to ask. `history` has every answer and every attempt, for the reader."""

    urls: Mapping[str, str]
    token: Callable[[str], str]
    said: Said
    client: httpx.AsyncClient
    history: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    sent: int = 0
    unknown: int = 0
    refused: int = 0

    def note(self, line: str) -> None:
        self.history.append(f"{time.monotonic() - self.began:8.3f} {line}")

    async def ask(
        self, service: str, path: str, body: Mapping[str, Any], *, key: str, wire: str, as_: str = "admin"
    ) -> dict[str, Any]:
        """A command that must be accepted; `wire` is the fact it leads to. Errors: Surprise."""
        status, answer = await self._answered(service, path, body, key, as_)
        if status not in (200, 201):
            raise Surprise(self._told(f"{key} {path} {msgspec.json.encode(body).decode()}: {status} {answer}"))
        self.said.acknowledged.append(Acknowledged(service, key, f"openitem.{wire}.v1", answer["recorded"]))
        return answer

    async def ask_in_vain(
        self, service: str, path: str, body: Mapping[str, Any], codes: Collection[str], *, key: str
    ) -> None:
        """A command that must be refused. Errors: Surprise."""
        status, answer = await self._answered(service, path, body, key, "admin")
        if answer.get("code") not in codes:
            raise Surprise(self._told(f"{key} {path} must be refused: {status} {answer}"))
        self.refused += 1

    async def import_(self, service: str, kind: str, rows: list[dict[str, Any]], streams: list[str], key: str) -> None:
        """Import rows until a summary says that all are on record. Errors: Surprise."""
        body = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)

        async def once() -> tuple[int, dict[str, Any]] | None:
            response = await self._post(service, f"/imports/{kind}", key, "admin", "application/x-ndjson", body)
            lines = [msgspec.json.decode(line) for line in response.text.splitlines()]
            last: dict[str, Any] = lines[-1] if lines else {}
            if response.status_code == 200 and last.get("line") != "summary":
                return None  # Broken off, or ended early: sent again as a whole.
            return response.status_code, last

        status, summary = await self._until_answered(f"{key} import {kind}", once)
        if status != 200 or summary["rejected"] or summary["landed"] + summary["on_record"] != len(rows):
            raise Surprise(self._told(f"{key} import: {status} {summary}"))
        self.said.imported.setdefault(service, []).extend(streams)

    async def _answered(
        self, service: str, path: str, body: Mapping[str, Any], key: str, as_: str
    ) -> tuple[int, dict[str, Any]]:
        encoded = msgspec.json.encode(body)

        async def once() -> tuple[int, dict[str, Any]] | None:
            response = await self._post(service, path, key, as_, "application/json", encoded)
            if not response.headers.get("content-type", "").endswith("json"):
                raise Surprise(self._told(f"{key} {path}: {response.status_code} {response.text[:200]}"))
            return response.status_code, response.json()

        return await self._until_answered(f"{key} {service} {path}", once)

    async def _until_answered(self, what: str, once: Callable[[], Any]) -> tuple[int, dict[str, Any]]:
        deadline = time.monotonic() + ANSWER_S_MAX
        while True:
            self.sent += 1
            try:
                answered: tuple[int, dict[str, Any]] | None = await once()
            except (httpx.HTTPError, msgspec.DecodeError) as error:
                answered, why = None, type(error).__name__
            else:
                why = "no end" if answered is None else f"{answered[0]} {answered[1].get('code', '')}"
            self.note(f"{what}: {why}")
            if answered is not None and answered[0] == 500:
                raise Surprise(self._told(f"{what}: {answered[1]}"))
            if answered is not None and answered[1].get("code") not in PASSING | ARRIVING:
                return answered
            self.unknown += answered is None
            if time.monotonic() > deadline:
                raise Surprise(self._told(f"{what}: no answer within {ANSWER_S_MAX:.0f} s, last {why}"))
            await asyncio.sleep(AGAIN_S * (0.5 + random.random()))

    async def _post(
        self, service: str, path: str, key: str, as_: str, content_type: str, body: bytes
    ) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {self.token(as_)}",
            "Content-Type": content_type,
            "Idempotency-Key": key,
            "X-Request-Id": key,
            "Prefer": f"wait={WAIT_S}",
        }
        return await self.client.post(self.urls[service] + path, content=body, headers=headers, timeout=REQUEST_S_MAX)

    def _told(self, what: str) -> str:
        self.note(f"SURPRISE {what}")
        return what
