"""A service's process under measurement, and a client that costs little beside it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from deploy.embedded.ports import HOST, free_port
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

_READY_S_MAX: Final = 60.0
Json = dict[str, Any]


class Web:
    """One app as one caller sees it."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def get(self, path: str, **headers: str) -> Json:
        """Errors: AssertionError where the answer is not 200."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.get(self.url + path, headers=given) as answer:
            body = await answer.read()
            assert answer.status == 200, (path, answer.status, body[:500])
        return {"bytes": len(body)}


@asynccontextmanager
async def serving(service: str, database: str, directory: Path) -> AsyncIterator[Web]:
    """The app of `service` in a process of its own, on `database`; the caller may see everything."""
    issuer, port = Issuer(directory), free_port()
    environment = os.environ | {
        "OPENITEM_POSTGRES": database,
        "OPENITEM_DATABASE": database,
        "OPENITEM_KAFKA": f"{HOST}:1",  # An app never speaks to Kafka: its worker does.
        "OPENITEM_JWKS": str(issuer.path),
        "OPENITEM_ISSUER": ISSUER,
        "OPENITEM_AUDIENCE": AUDIENCE,
        "OPENITEM_PORT": str(port),
        "OPENITEM_LOG_LEVEL": "WARNING",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", f"services.{service}.app", env=environment)
    try:
        async with aiohttp.ClientSession(headers=issuer.header()) as session:
            await _until_ready(session, f"http://{HOST}:{port}")
            yield Web(f"http://{HOST}:{port}", session)
    finally:
        process.terminate()
        await process.wait()


async def _until_ready(session: aiohttp.ClientSession, url: str) -> None:
    deadline = time.monotonic() + _READY_S_MAX
    while True:
        try:
            async with session.get(f"{url}/health/ready") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} is not ready after {_READY_S_MAX} s")
        await asyncio.sleep(0.05)
