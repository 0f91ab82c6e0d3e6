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

from deploy.embedded.ports import HOST, free_port
from tests.bench.client import Client
from tests.support.front_door import headers_of
from tests.support.tokens import AUDIENCE, ISSUER, Issuer

_READY_S_MAX: Final = 60.0
Json = dict[str, Any]


class Web:
    """One app as one caller sees it."""

    def __init__(self, url: str, client: Client) -> None:
        self.url = url
        self._client = client

    async def get(self, path: str, **headers: str) -> Json:
        """Errors: AssertionError where the answer is not 200."""
        answer = await self._client.ask("GET", self.url + path, headers_of(headers))
        assert answer.status == 200, (path, answer.status, answer.body[:500])
        return {"bytes": len(answer.body)}


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
        async with Client(issuer.header()) as client:
            await _until_ready(client, f"http://{HOST}:{port}")
            yield Web(f"http://{HOST}:{port}", client)
    finally:
        process.terminate()
        await process.wait()


async def _until_ready(client: Client, url: str) -> None:
    deadline = time.monotonic() + _READY_S_MAX
    while True:
        try:
            if (await client.ask("GET", f"{url}/health/ready")).status == 200:
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} is not ready after {_READY_S_MAX} s")
        await asyncio.sleep(0.05)
