"""What a caller sends without end is not kept, and what has an end is, however it is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import uvicorn

from services.kernel.http1 import KEPT_BYTES_MAX, BoundedHttp

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HEAD: Final = b"POST / HTTP/1.1\r\nHost: x\r\n"


async def echo_length(scope: dict[str, Any], receive: Any, send: Any) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    config = uvicorn.Config(echo_length, http=BoundedHttp, lifespan="off", log_config=None)
    config.load()
    server = uvicorn.Server(config)
    listening = await asyncio.get_running_loop().create_server(
        lambda: BoundedHttp(config=config, server_state=server.server_state, app_state={}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
    yield reader, writer
    writer.close()
    listening.close()
    await listening.wait_closed()


async def answer(streams: Streams, *parts: bytes) -> bytes:
    """What the server says to these parts, each sent by itself."""
    reader, writer = streams
    for part in parts:
        try:
            writer.write(part)
            await writer.drain()
        except ConnectionError:  # It has said what it has to say.
            break
    return await reader.readline()


PIECE: Final = b"a" * 8192
TOO_MANY: Final = 32 * KEPT_BYTES_MAX // len(PIECE)  # What arrives at once with the end of something is not counted.


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /",
        HEAD + b"X-Long: ",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Trailer: ",
    ],
    ids=["address", "header", "extension", "trailer"],
)
async def test_what_does_not_end_is_refused(streams: Streams, begin: bytes) -> None:
    assert b" 400 " in await answer(streams, begin, *[PIECE] * TOO_MANY)


async def test_many_short_headers_are_refused_like_a_long_one(streams: Streams) -> None:
    header = b"X: " + b"a" * 97 + b"\r\n"
    assert b" 400 " in await answer(streams, HEAD, *[header * 80] * TOO_MANY)


async def test_a_head_as_long_as_may_be_is_read(streams: Streams) -> None:
    long = b"X-Long: " + b"a" * (KEPT_BYTES_MAX - 1_000)
    assert b" 200 " in await answer(streams, HEAD, long, b"\r\nContent-Length: 0\r\n\r\n")


async def test_a_body_of_any_length_is_read(streams: Streams) -> None:
    reader, _ = streams
    length = len(PIECE) * TOO_MANY
    assert b" 200 " in await answer(streams, HEAD, b"Content-Length: %d\r\n\r\n" % length, *[PIECE] * TOO_MANY)
    assert (await reader.read(1_000)).endswith(b"%d" % length)


async def test_a_body_in_any_number_of_chunks_is_read(streams: Streams) -> None:
    reader, _ = streams
    chunks = [b"1\r\nx\r\n" * 1_000] * 20  # Their framing alone is more than may be kept.
    assert b" 200 " in await answer(streams, HEAD, b"Transfer-Encoding: chunked\r\n\r\n", *chunks, b"0\r\n\r\n")
    assert (await reader.read(1_000)).endswith(b"20000")


async def test_requests_one_after_the_other_are_all_answered(streams: Streams) -> None:
    reader, _ = streams
    for _ in range(3):
        assert b" 200 " in await answer(streams, HEAD, b"Content-Length: 1\r\n\r\n", b"x")
        await reader.readuntil(b"\r\n\r\n1")
