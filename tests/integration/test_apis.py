"""Whatever is sent to an application, the answer is one that its OpenAPI document tells of, and no error of ours."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from tests.conftest import MakeDatabase
from tests.support.branch_life import Life, live
from tests.support.firm import APPS, BUILD, open_firm, settings_for
from tests.support.patience import PATIENCE_S
from tests.support.tokens import Issuer

NAMES: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
EXAMPLES: Final = 5  # Of each route and mode, the same in every run.
EXPLORED: Final = 50  # In `make explore`, which tries others each time.
LIFE: Final = Life("ATL")


@contextmanager
def serving(service: str, database: str, issuer: Issuer) -> Iterator[str]:
    """The application on a thread of its own: the client that tries it out is no asynchronous one."""
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started.set()

    sock = socket.create_server(("127.0.0.1", 0))
    app = BUILD[service](settings_for(service, database, issuer))
    server = Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        assert started.wait(PATIENCE_S), f"{service} does not start"
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """schemathesis imports most of itself when it is first used: here, before there is another thread.

    pytest rewrites what its plugins import, anyio on the application's thread among them, and two threads that parse at
    a time fail: "AST constructor recursion depth mismatch", CPython issue 106905, in Python 3.11.2.
    """
    answer = {"responses": {"200": {"description": "", "content": {"application/json": {"schema": {}}}}}}
    body = {"requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}}}
    named = {"parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "", "version": ""},
        "paths": {"/{name}": {"post": {**answer, **body, **named}}},
    }
    case = schemathesis.openapi.from_dict(document)["/{name}"]["POST"].Case(path_parameters={"name": "a"}, body={})
    response = requests.Response()
    response.status_code, response.request = 200, requests.Request("POST", "http://127.0.0.1/a").prepare()
    case.validate_response(response, checks=[CHECKS.get_one("not_a_server_error")])
    for mode in GenerationMode:
        case.operation.as_strategy(generation_mode=mode)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.parametrize("service", APPS)
async def test_no_answer_is_one_that_the_document_does_not_tell(
    service: str, mode: GenerationMode, make_database: MakeDatabase, tmp_path: Path
) -> None:
    issuer = Issuer(tmp_path)
    async with open_firm(make_database, issuer) as firm:
        if mode is GenerationMode.POSITIVE:
            await live(firm, LIFE.branch)
        database = firm.databases[service]
        with serving(service, database, issuer) as base_url:
            tried = await asyncio.to_thread(try_all, service, mode, base_url, issuer.header())
    assert tried > (10 if mode is GenerationMode.POSITIVE else 8)


def try_all(service: str, mode: GenerationMode, base_url: str, headers: dict[str, str]) -> int:
    """Try every route; answers how many there are."""
    schema = schemathesis.openapi.from_url(f"{base_url}/openapi.json")
    checks = [CHECKS.get_one(name) for name in NAMES]
    known = LIFE.nouns | {"stream": f"account-{LIFE.id('account')}"}
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not (any(operation.iter_parameters()) or operation.body):
            continue

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES if settings().derandomize else EXPLORED,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def answers_as_it_said(case: schemathesis.Case) -> None:
            if mode is GenerationMode.POSITIVE:
                # Random ids are never there.
                case.path_parameters |= {name: known[name] for name in case.path_parameters if name in known}
            if "Prefer" in (case.headers or {}):
                case.headers["Prefer"] = "wait=0"
            case.call_and_validate(headers=headers, checks=checks, timeout=PATIENCE_S)

        answers_as_it_said()
        tried += 1
    return tried
