"""Whatever is asked, the answer is one that the OpenAPI document tells of, and never an error of ours."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from services.reporting.app import build
from tests.integration.reporting.books import Books
from tests.integration.reporting.desk import settings_for
from tests.support.tokens import Issuer

NAMES = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
ROUTES = 9
EXAMPLES = 15  # Of each route and mode: what one run does not find, the next may; it takes a few seconds.


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def base_url(database: str, books: Books, issuer: Issuer) -> Iterator[str]:
    """The application on a thread of its own: the client that tries it out is no asynchronous one."""
    sock = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(build(settings_for(database, issuer)), log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    sock.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
async def test_no_answer_is_one_that_the_document_does_not_tell(
    mode: GenerationMode, base_url: str, books: Books, issuer: Issuer
) -> None:
    account = str(next(iter(books.collectors)))
    await asyncio.to_thread(_try_all, mode, base_url, account, issuer.header(roles=("auditor",)))


def _try_all(mode: GenerationMode, base_url: str, account: str, headers: dict[str, str]) -> None:
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json").exclude(path_regex="^/(metrics|health)")
    checks = [CHECKS.get_one(name) for name in NAMES]
    tried = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not any(operation.iter_parameters()):
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def answers_as_it_said(case: schemathesis.Case) -> None:
            if mode is GenerationMode.POSITIVE and "account_id" in case.path_parameters:
                case.path_parameters["account_id"] = account  # A random one is never there.
            if "Prefer" in (case.headers or {}):
                case.headers["Prefer"] = "wait=0"
            case.call_and_validate(headers=headers, checks=checks)

        answers_as_it_said()
        tried.append(operation.path)
    assert len(tried) == ROUTES, tried
