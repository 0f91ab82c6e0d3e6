"""The rim over HTTP on a real Postgres: who gets in, what is answered, and how every refusal looks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import jsonschema
import pytest
from fastapi import APIRouter, FastAPI

from services.kernel.http import allow, unprotected
from services.kernel.middleware import PUBLIC
from tests.support.patience import until
from tests.support.tallies import running, tally_app
from tests.support.tokens import Issuer

MakeDatabase = Callable[[str], Awaitable[str]]


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
async def app(make_database: MakeDatabase, issuer: Issuer) -> FastAPI:
    return tally_app(await make_database("tally"), issuer)


@pytest.fixture
async def client(app: FastAPI, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with running(app, issuer.header()) as client:
        yield client


async def mark(
    client: httpx.AsyncClient, tally: str, mark: Any, *, key: str | None = None, **more: Any
) -> httpx.Response:
    headers = {"Idempotency-Key": key or str(uuid4()), **more.pop("headers", {})}
    return await client.post(f"/tallies/{tally}/marks", json={"mark": mark, **more}, headers=headers)


def is_problem(app: FastAPI, answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The answer is that problem, in the shape the OpenAPI document promises."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert (document["code"], document["status"], document["type"]) == (code, status, f"urn:openitem:problem:{code}")
    assert document["instance"] == f"urn:openitem:request:{answer.headers['x-request-id']}"
    jsonschema.validate(document, app.openapi()["components"]["schemas"]["Problem"])
    return document


class TestCommands:
    async def test_a_command_answers_what_was_recorded(self, client: httpx.AsyncClient) -> None:
        answer = await mark(client, "a", "x")
        assert answer.status_code == 201
        assert answer.json() == {"recorded": {"tally-a": 1}, "position": 1, "tally": "a"}
        assert answer.headers["etag"] == '"1"'
        assert answer.headers["openitem-position"] == "tally-a@1"

    async def test_a_repeat_is_answered_alike_whatever_its_spacing(self, client: httpx.AsyncClient) -> None:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        bodies = [b'{"mark":"x","branch":"B010"}', b' {"branch": "B010",\n "mark": "x"}']
        first, second = [await client.post("/tallies/a/marks", content=body, headers=headers) for body in bodies]
        assert first.json() == second.json()
        assert first.headers["etag"] == second.headers["etag"]

    @pytest.mark.parametrize(("tally", "text"), [("a", "y"), ("b", "x")])
    async def test_the_key_with_another_body_or_path_is_refused(
        self, app: FastAPI, client: httpx.AsyncClient, tally: str, text: str
    ) -> None:
        await mark(client, "a", "x", key="k")
        is_problem(app, await mark(client, tally, text, key="k"), 422, "idempotency_key_reused")

    async def test_of_many_at_once_with_one_key_only_one_is_carried_out(self, client: httpx.AsyncClient) -> None:
        answers = await asyncio.gather(*(mark(client, "a", "x", key="k") for _ in range(12)))
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"command_in_progress"}
        assert len({answer.text for answer in answers if answer.status_code == 201}) == 1

    async def test_a_command_without_a_key_is_refused(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        answer = await client.post("/tallies/a/marks", json={"mark": "x"})
        assert is_problem(app, answer, 400, "idempotency_key_missing")["field"] == "Idempotency-Key"

    @pytest.mark.parametrize("key", ["", "a b", "x" * 201])
    async def test_a_key_that_is_none_is_refused(self, app: FastAPI, client: httpx.AsyncClient, key: str) -> None:
        answer = await client.post("/tallies/a/marks", json={"mark": "x"}, headers={"Idempotency-Key": key})
        is_problem(app, answer, 400, "idempotency_key_malformed")

    async def test_a_version_that_has_passed_is_refused(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        await mark(client, "a", "x")
        await mark(client, "a", "y", headers={"If-Match": '"1"'})
        answer = await mark(client, "a", "z", headers={"If-Match": '"1"'})
        assert is_problem(app, answer, 412, "version_mismatch")["members"] == {"version": 2}

    @pytest.mark.parametrize("version", ["1", "*", 'W/"1"', '"x"', '"0"', '"1", "2"', '"99999999999"'])
    async def test_what_is_no_version_is_refused(self, app: FastAPI, client: httpx.AsyncClient, version: str) -> None:
        is_problem(app, await mark(client, "a", "x", headers={"If-Match": version}), 400, "if_match_malformed")

    async def test_a_caller_may_wait_for_what_is_about_to_be_known(self, client: httpx.AsyncClient) -> None:
        waiting = asyncio.create_task(mark(client, "a", "x", after="b", headers={"Prefer": "wait=30"}))
        await asyncio.sleep(0.2)
        await mark(client, "b", "x")
        assert (await waiting).status_code == 201

    async def test_a_rule_that_says_no_is_answered_with_its_own_code(
        self, app: FastAPI, client: httpx.AsyncClient
    ) -> None:
        refused = is_problem(app, await mark(client, "a", "x", limit=0), 409, "tally_full")
        assert refused["members"] == {"limit": 0}
        assert refused["title"] == "The tally is full."
        assert is_problem(app, await mark(client, "a", ""), 422, "mark_invalid")["field"] == "mark"

    async def test_everything_that_does_not_fit_the_schema_is_named(
        self, app: FastAPI, client: httpx.AsyncClient
    ) -> None:
        refused = is_problem(app, await mark(client, "a", "x" * 51, branch="b", limit="many"), 422, "invalid_request")
        assert [error["field"] for error in refused["errors"]] == ["mark", "branch", "limit"]

    @pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff", b'"x"', b"[" * 10_000])
    async def test_a_body_that_is_none_is_refused(self, client: httpx.AsyncClient, body: bytes) -> None:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        answer = await client.post("/tallies/a/marks", content=body, headers=headers)
        assert answer.status_code in {400, 422}
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b'{"mark":"\\u0000"}', 422, "text_unstorable"),
            (b'{"mark":"\\ud800"}', 400, "body_malformed"),
            (b'{"mark":"x","limit":NaN}', 400, "body_malformed"),
        ],
    )
    async def test_text_that_no_table_holds_is_refused(
        self, app: FastAPI, client: httpx.AsyncClient, body: bytes, status: int, code: str
    ) -> None:
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        is_problem(app, await client.post("/tallies/a/marks", content=body, headers=headers), status, code)

    async def test_a_stream_of_another_branch_is_not_found(
        self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer
    ) -> None:
        await mark(client, "a", "x", branch="B020")
        mine = issuer.header(branches=["B010"])
        is_problem(app, await mark(client, "a", "y", headers=mine), 404, "not_found")
        is_problem(app, await mark(client, "b", "y", branch="B020", headers=mine), 403, "forbidden")


class TestTheDoor:
    @pytest.mark.parametrize(
        ("make", "code"),
        [
            ("expired", "token_expired"),
            ("of_another_issuer", "token_issuer"),
            ("of_unknown_key", "token_key_unknown"),
            ("unsigned", "token_algorithm"),
            ("signed_with_the_public_key", "token_algorithm"),
            ("tampered", "token_signature"),
        ],
    )
    async def test_a_bad_token_does_not_open_it(
        self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer, make: str, code: str
    ) -> None:
        answer = await client.get("/who", headers={"Authorization": f"Bearer {getattr(issuer, make)()}"})
        is_problem(app, answer, 401, code)
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]

    @pytest.mark.parametrize("path", ["/who", "/tallies/a/marks", "/streams/tally-a/events", "/nowhere", "/imports/x"])
    async def test_without_a_token_nothing_is_told_not_even_which_routes_there_are(
        self, app: FastAPI, client: httpx.AsyncClient, path: str
    ) -> None:
        for method in ("GET", "POST", "DELETE"):
            answer = await client.request(method, path, headers={"Authorization": ""}, content=b"{")
            is_problem(app, answer, 401, "token_missing")
            assert answer.headers["www-authenticate"] == 'Bearer realm="openitem"'

    async def test_a_role_that_does_not_allow_it_is_told_what_it_lacks(
        self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer
    ) -> None:
        answer = await mark(client, "a", "x", headers=issuer.header(roles=["reader"]))
        assert is_problem(app, answer, 403, "forbidden")["members"] == {"permission": "mark.write"}

    async def test_keys_that_cannot_be_had_are_no_reason_to_say_no_for_good(
        self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer
    ) -> None:
        issuer.path.unlink()
        answer = await client.get("/who")
        is_problem(app, answer, 503, "unavailable")
        assert answer.headers["retry-after"]

    async def test_every_route_names_a_permission(self, app: FastAPI) -> None:
        assert unprotected(app) == []
        open_router = APIRouter(prefix="/more")
        open_router.add_api_route("/open", lambda: None, methods=["GET"])
        open_router.add_api_route("/shut", lambda: None, methods=["GET"], dependencies=[allow("report.read")])
        app.include_router(open_router)
        assert unprotected(app) == ["GET /more/open"]

    async def test_a_body_above_the_limit_is_refused_told_or_not(
        self, make_database: MakeDatabase, issuer: Issuer
    ) -> None:
        app = tally_app(await make_database("tally"), issuer, body_bytes_max=1000)

        async def untold() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b" " * 100

        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        async with running(app, issuer.header()) as client:
            for body in (b" " * 2000, untold()):
                answer = await client.post("/tallies/a/marks", content=body, headers=headers)
                is_problem(app, answer, 413, "body_too_large")
            assert (await mark(client, "a", "x" * 40)).status_code == 201


class TestTheRim:
    async def test_a_request_keeps_the_id_it_came_with(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/who", headers={"X-Request-Id": "request-4711"})
        assert answer.headers["x-request-id"] == "request-4711"

    @pytest.mark.parametrize("given", [None, "short", "x" * 65, "no spaces please", "<script>alert"])
    async def test_a_request_without_one_gets_one(self, client: httpx.AsyncClient, given: str | None) -> None:
        answer = await client.get("/who", headers={"X-Request-Id": given} if given else {})
        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])

    async def test_facts_carry_the_request_and_the_trace_that_led_to_them(
        self, app: FastAPI, client: httpx.AsyncClient
    ) -> None:
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        await mark(client, "a", "x", headers={"X-Request-Id": "request-4711", "traceparent": trace})
        await mark(client, "a", "y", headers={"X-Request-Id": "request-4712", "traceparent": "made up"})
        facts = (await client.get("/streams/tally-a/events")).json()["facts"]
        assert [(f["correlation_id"], f["traceparent"]) for f in facts] == [
            ("request-4711", trace),
            ("request-4712", None),
        ]

    async def test_every_answer_has_the_headers_that_keep_browsers_in_check(self, client: httpx.AsyncClient) -> None:
        for path in ("/who", "/nowhere", "/health/live"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cache-control"] == "no-store"

    async def test_an_error_of_ours_tells_nothing_but_its_number(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        answer = await client.get("/broken")
        is_problem(app, answer, 500, "internal")
        assert "secret" not in answer.text

    async def test_a_route_nobody_knows_and_a_method_it_does_not_take(
        self, app: FastAPI, client: httpx.AsyncClient
    ) -> None:
        is_problem(app, await client.get("/nowhere"), 404, "route_not_found")
        answer = await client.delete("/who")
        is_problem(app, answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == "GET"

    @pytest.mark.parametrize("path", ["/who?x=%00", "/tallies/%00/marks", "/%00"])
    async def test_an_address_with_a_nul_is_refused(self, app: FastAPI, client: httpx.AsyncClient, path: str) -> None:
        is_problem(app, await client.get(path), 400, "request_malformed")

    async def test_the_document_tells_every_answer_there_is(self, app: FastAPI) -> None:
        document = app.openapi()
        for path, operations in document["paths"].items():
            for operation in operations.values():
                known = set(operation["responses"])
                assert "500" in known
                if path not in PUBLIC:
                    assert {"400", "401", "403", "404", "409", "412", "413", "422", "503"} <= known
                    assert operation["security"] == [{"HTTPBearer": []}]
        assert "HTTPValidationError" not in document["components"]["schemas"]


class TestHealth:
    @pytest.mark.parametrize("path", sorted(PUBLIC - {"/docs"}))
    async def test_it_answers_without_a_token(self, client: httpx.AsyncClient, path: str) -> None:
        assert (await client.get(path, headers={"Authorization": ""})).status_code == 200

    async def test_it_is_not_ready_while_the_database_is_away(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        await app.state.pool.close()
        answer = await client.get("/health/ready")
        is_problem(app, answer, 503, "unavailable")
        assert (await client.get("/health/live")).status_code == 200
        is_problem(app, await mark(client, "a", "x"), 503, "unavailable")

    async def test_a_database_that_came_back_is_used_again(
        self, app: FastAPI, client: httpx.AsyncClient, postgres_url: str
    ) -> None:
        await mark(client, "a", "x")
        admin = await asyncpg.connect(postgres_url)
        name = app.state.settings.database_url.rpartition("/")[2]
        rows = await admin.fetch("SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        # They are told to end, and end when they come to it: until then one may still carry out a command.
        gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY ($1::int[]))"
        await until(lambda: admin.fetchval(gone, [row["pid"] for row in rows]))
        await admin.close()
        statuses = [(await mark(client, "a", f"m{n}")).status_code for n in range(3)]
        assert set(statuses) <= {201, 503}
        assert statuses[-1] == 201

    async def test_metrics_tell_routes_by_template_and_never_by_id(self, client: httpx.AsyncClient) -> None:
        await mark(client, "tally-with-a-name", "x")
        await client.get("/nowhere-by-that-name")
        text = (await client.get("/metrics")).text
        assert (
            'openitem_http_request_seconds_count{method="POST",route="/tallies/{tally}/marks",service="tally",status="2xx"}'
            in text
        )
        assert 'openitem_pool_connections{service="tally",state="in_use"}' in text
        assert 'openitem_refusals_total{code="route_not_found"}' in text
        assert "tally-with-a-name" not in text
        assert "nowhere-by-that-name" not in text


class TestTheLog:
    async def test_a_stream_is_read_page_by_page(self, client: httpx.AsyncClient) -> None:
        for n in range(5):
            await mark(client, "a", f"m{n}")
        seen: list[int] = []
        after: int | None = 0
        while after is not None:
            page = (await client.get("/streams/tally-a/events", params={"after": after, "limit": 2})).json()
            assert page["version"] == 5
            seen += [fact["stream_version"] for fact in page["facts"]]
            after = page["next_after"]
        assert seen == [1, 2, 3, 4, 5]

    async def test_a_fact_is_told_as_it_is_stored(self, client: httpx.AsyncClient) -> None:
        await mark(client, "a", "x")
        [fact] = (await client.get("/streams/tally-a/events")).json()["facts"]
        assert fact["data"]["name"] == "x"
        assert (fact["type"], fact["source"], fact["seq"]) == (
            "openitem.invoice.branch_registered.v1",
            "/openitem/tally",
            None,
        )
        assert fact["effective_on"] == fact["data"]["effective_on"] == "2024-01-31"

    async def test_there_is_nothing_after_the_last(self, client: httpx.AsyncClient) -> None:
        await mark(client, "a", "x")
        page = (await client.get("/streams/tally-a/events", params={"after": 1})).json()
        assert page == {"version": 1, "facts": [], "next_after": None}

    async def test_another_branchs_stream_is_not_found(
        self, app: FastAPI, client: httpx.AsyncClient, issuer: Issuer
    ) -> None:
        await mark(client, "a", "x", branch="B020")
        answer = await client.get("/streams/tally-a/events", headers=issuer.header(branches=["B010"]))
        is_problem(app, answer, 404, "not_found")
        is_problem(app, await client.get("/streams/tally-b/events"), 404, "not_found")

    @pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=1001", "after=99999999999"])
    async def test_a_page_nobody_can_turn_to_is_refused(
        self, app: FastAPI, client: httpx.AsyncClient, query: str
    ) -> None:
        is_problem(app, await client.get(f"/streams/tally-a/events?{query}"), 422, "invalid_request")
