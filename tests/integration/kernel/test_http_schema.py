"""Whatever is sent, the answer is one that the OpenAPI document tells of."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS

from tests.support.tallies import tally_app
from tests.support.tokens import Issuer

MakeDatabase = Callable[[str], Awaitable[str]]
NAMES = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
EXAMPLES = 20  # Of each route: what one run does not find, the next may; it takes a few seconds.


@pytest.fixture
async def database(make_database: MakeDatabase) -> str:
    return await make_database("tally")


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def base_url(database: str, issuer: Issuer) -> Iterator[str]:
    """The application on a thread of its own: the client that tries it out is no asynchronous one."""
    sock = socket.create_server(("127.0.0.1", 0))
    app = tally_app(database, issuer)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    sock.close()


def test_no_answer_is_one_that_the_document_does_not_tell(base_url: str, issuer: Issuer) -> None:
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json").exclude(path_regex="^/(imports|metrics)")
    checks = [CHECKS.get_one(name) for name in NAMES]
    headers = issuer.header()
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def answers_as_it_said(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, checks=checks)

        answers_as_it_said()
        tried += 1
    assert tried >= 4
