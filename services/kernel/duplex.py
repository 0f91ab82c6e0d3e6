"""An answer that is made while its request is still being read, without the two waiting for each other for ever."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# Most clients send the whole body before they read an answer. What we send meanwhile must fit into the sockets'
# buffers, or both sides wait for each other; 32 KiB does. What is more waits, in a file when it is much.
_EARLY_BYTES_MAX: Final = 32_768
_MEMORY_BYTES_MAX: Final = 1 << 20
_CHUNK_BYTES: Final = 1 << 16


class Inflow:
    """The body of a request as it comes in; `ended` once all of it has been read."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk
        self.ended = True

    async def drain(self) -> None:
        """Read what is left and drop it: a client that is cut off while it sends may never see the answer.

        As long as the client sends, this reads; it holds nothing, and the client's token let him in.
        """
        if not self.ended:
            async for _ in self._stream:
                pass
            self.ended = True


class Lines(Response):
    """Sends `lines` as they are made from `inflow`: early ones at once, later ones when the body is in."""

    def __init__(self, lines: AsyncIterator[bytes], inflow: Inflow, media_type: str) -> None:
        super().__init__(None, 200, None, media_type)
        del self.headers["content-length"]
        self._lines = lines
        self._inflow = inflow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        early = 0
        with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES_MAX) as held:
            async for line in self._lines:
                early += len(line)
                if (self._inflow.ended and not held.tell()) or early <= _EARLY_BYTES_MAX:
                    await self._send(send, line)
                else:
                    held.write(line)
            held.seek(0)
            while chunk := held.read(_CHUNK_BYTES):
                await self._send(send, chunk)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, chunk: bytes) -> None:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
