"""Imports on a real Postgres: good rows land, bad ones are named, a second run adds nothing, nothing is half done."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from services.kernel import bulk
from services.kernel.commands import Outcome, carry_out_many
from services.kernel.errors import Busy
from services.kernel.store import Store
from tests.support.patience import PATIENCE_S, until
from tests.support.tallies import MARKS, limited, running, tally_app
from tests.support.tally import mark_of
from tests.support.tokens import Issuer

CSV = {"Content-Type": "text/csv; charset=utf-8"}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def app(url: str, issuer: Issuer) -> FastAPI:
    return tally_app(url, issuer)


@pytest.fixture
async def client(app: FastAPI, issuer: Issuer) -> AsyncIterator[httpx.AsyncClient]:
    async with running(app, issuer.header()) as client:
        yield client


async def send(client: httpx.AsyncClient, content: Any, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    answer = await client.post("/imports/marks", content=content, headers=headers or CSV)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def rows(count: int, *, start: int = 1) -> bytes:
    return b"tally,mark\n" + b"".join(b"t%d,m%d\n" % (n % 3, n) for n in range(start, start + count))


def of(lines: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "line"} for line in lines if line["line"] == kind]


def figures(landed: int = 0, on_record: int = 0, rejected: int = 0) -> dict[str, int]:
    return {
        "rows": landed + on_record + rejected,
        "landed": landed,
        "on_record": on_record,
        "rejected": rejected,
        "facts": landed,
    }


async def count(url: str) -> int:
    conn = await asyncpg.connect(url)
    try:
        return int(await conn.fetchval("SELECT count(*) FROM events"))
    finally:
        await conn.close()


class TestRows:
    @pytest.mark.parametrize("chunk", [1, 7, 10_000])
    async def test_every_row_lands_and_is_counted_batch_by_batch(
        self, client: httpx.AsyncClient, url: str, chunk: int
    ) -> None:
        content = rows(25)

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(content), chunk):
                yield content[at : at + chunk]

        lines = await send(client, pieces())
        assert [line["rows"] for line in of(lines, "progress")] == [10, 20]
        assert lines[-1] == {"line": "summary", **figures(landed=25)}
        assert await count(url) == 25

    async def test_a_second_run_adds_nothing(self, client: httpx.AsyncClient, url: str) -> None:
        await send(client, rows(25))
        assert of(await send(client, rows(25)), "summary") == [figures(on_record=25)]
        assert await count(url) == 25

    async def test_bad_rows_are_named_and_the_good_ones_land(self, client: httpx.AsyncClient) -> None:
        lines = await send(
            client,
            b"tally,mark,branch,amount,on,after\n"
            b"a,one,,,,\n"
            b"a,,,,,\n"
            b"a,two,,1.2.3,,\n"
            b"a,three,,,2024-02-30,\n"
            b"a,four\n"
            b"a,f\xfcnf,,,,\n"
            b"a,six,b-10,,,\n"
            b"a,seven,,,,nobody\n"
            b"a,eight,,12.50,2024-02-29,a\n",
        )
        found = [(line["row"], line["field"], line["code"]) for line in of(lines, "rejected")]
        assert sorted(found) == [
            (2, "mark", "row_field_invalid"),
            (3, "amount", "amount_invalid"),
            (4, "on", "row_field_invalid"),
            (5, None, "row_malformed"),
            (6, None, "row_malformed"),
            (8, None, "tally_not_here_yet"),
        ]
        assert lines[-1] == {"line": "summary", **figures(landed=3, rejected=6)}

    async def test_lines_of_json_are_rows_too(self, client: httpx.AsyncClient) -> None:
        lines = await send(client, b'{"tally":"a","mark":"x"}\n{"tally":"a"}\n{"tally":"a","mark":"x"}\n', NDJSON)
        assert [(line["row"], line["field"]) for line in of(lines, "rejected")] == [(2, "mark")]
        assert lines[-1] == {"line": "summary", **figures(landed=1, on_record=1, rejected=1)}

    async def test_a_row_sees_those_before_it_in_the_same_batch_and_in_earlier_ones(
        self, url: str, issuer: Issuer
    ) -> None:
        async with running(tally_app(url, issuer, kind=limited(15)), issuer.header()) as client:
            lines = await send(client, b"tally,mark\n" + b"".join(b"a,m%d\n" % n for n in range(20)))
        assert [line["row"] for line in of(lines, "rejected")] == [16, 17, 18, 19, 20]
        assert {line["code"] for line in of(lines, "rejected")} == {"tally_full"}
        assert lines[-1] == {"line": "summary", **figures(landed=15, rejected=5)}

    async def test_a_header_that_will_not_do_lands_nothing(self, client: httpx.AsyncClient, url: str) -> None:
        lines = await send(client, b"tally,marks\n" + rows(5000)[11:])
        assert {(line["row"], line["code"], line["field"]) for line in of(lines, "rejected")} == {
            (0, "header_unknown_column", "marks"),
            (0, "header_missing_column", "mark"),
        }
        assert of(lines, "summary")[0]["landed"] == 0
        assert await count(url) == 0

    async def test_a_file_without_rows_comes_to_nothing(self, client: httpx.AsyncClient) -> None:
        assert await send(client, b"tally,mark\n") == [{"line": "summary", **figures()}]
        assert await send(client, b"", NDJSON) == [{"line": "summary", **figures()}]

    async def test_another_content_type_is_refused(self, client: httpx.AsyncClient) -> None:
        for headers in ({"Content-Type": "application/json"}, {}):
            answer = await client.post("/imports/marks", content=b"x", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")

    async def test_another_branchs_rows_are_refused_one_by_one(self, client: httpx.AsyncClient, issuer: Issuer) -> None:
        await send(client, b"tally,mark,branch\nhidden,x,B020\n")
        mine = {**CSV, **issuer.header(branches=["B010"])}
        lines = await send(client, b"tally,mark,branch\na,x,\nhidden,y,\nb,x,B020\nc,x,B010\n", mine)
        rejected = sorted((line["row"], line["code"]) for line in of(lines, "rejected"))
        assert rejected == [(2, "not_found"), (3, "forbidden")]
        assert lines[-1] == {"line": "summary", **figures(landed=2, rejected=2)}

    async def test_only_who_may_import_does(self, client: httpx.AsyncClient, issuer: Issuer) -> None:
        headers = {**CSV, **issuer.header(roles=["reader"])}
        assert (await client.post("/imports/marks", content=rows(1), headers=headers)).status_code == 403

    async def test_an_import_may_be_longer_than_other_bodies(self, url: str, issuer: Issuer) -> None:
        async with running(tally_app(url, issuer, body_bytes_max=100), issuer.header()) as client:
            assert of(await send(client, rows(50)), "summary") == [figures(landed=50)]

    async def test_a_file_may_wait_for_what_another_service_is_about_to_make_known(
        self, client: httpx.AsyncClient
    ) -> None:
        waiting = asyncio.create_task(send(client, b"tally,mark,after\na,x,b\n", {**CSV, "Prefer": "wait=30"}))
        await asyncio.sleep(0.2)
        await send(client, b"tally,mark\nb,x\n")
        assert of(await waiting, "summary") == [figures(landed=1)]

    async def test_a_file_uses_up_its_callers_patience_once(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left: list[float] = []

        async def noting(store: Any, meta: Any, *rest: Any) -> list[Outcome]:
            left.append(meta.wait_s)
            return await carry_out_many(store, meta, *rest)

        monkeypatch.setattr(bulk, "carry_out_many", noting)
        content = b"tally,mark,after\n" + b"".join(b"a,m%d,never\n" % n for n in range(40))
        lines = await send(client, content, {**CSV, "Prefer": "wait=1"})
        assert of(lines, "summary") == [figures(rejected=40)]
        assert left == [1, 0, 0, 0]

    async def test_a_batch_that_waits_looks_less_and_less_often(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looks = 0
        run = Store.run

        async def counting(*args: Any) -> Any:
            nonlocal looks
            looks += 1
            return await run(*args)

        monkeypatch.setattr(Store, "run", counting)
        lines = await send(client, b"tally,mark,after\na,m1,never\n", {**CSV, "Prefer": "wait=1"})
        assert of(lines, "summary") == [figures(rejected=1)]
        assert [line["arriving"] for line in of(lines, "rejected")] == [True]
        assert looks <= 7  # At 0, 50, 150, 350, 750 and 1,000 ms, or fewer where each takes long.


class TestTrouble:
    async def test_a_batch_that_others_disturb_is_tried_again(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "_BACKOFF_S", 0.001)
        disturbed = 0

        async def sometimes(*args: Any) -> list[Outcome]:
            nonlocal disturbed
            disturbed += 1
            if disturbed % 2:
                raise Busy("it keeps changing")
            return await carry_out_many(*args)

        monkeypatch.setattr(bulk, "carry_out_many", sometimes)
        assert of(await send(client, rows(25)), "summary") == [figures(landed=25)]

    async def test_a_database_that_goes_away_leaves_whole_batches_and_the_row_to_go_on_from(
        self, client: httpx.AsyncClient, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "_BACKOFF_S", 0.001)
        calls = 0

        async def away_after_two(*args: Any) -> list[Outcome]:
            nonlocal calls
            calls += 1
            if calls > 2:
                raise asyncpg.ConnectionDoesNotExistError("gone")
            return await carry_out_many(*args)

        with monkeypatch.context() as patched:
            patched.setattr(bulk, "carry_out_many", away_after_two)
            lines = await send(client, rows(45))
        assert lines[-2] == {"line": "summary", **figures(landed=20)}
        assert {k: lines[-1][k] for k in ("line", "row", "code")} == {
            "line": "failed",
            "row": 21,
            "code": "unavailable",
        }
        assert await count(url) == 20
        assert of(await send(client, rows(45)), "summary") == [figures(landed=25, on_record=20)]

    async def test_connections_that_are_cut_in_the_middle_lose_and_double_nothing(
        self, client: httpx.AsyncClient, url: str, postgres_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "ATTEMPTS_MAX", 20)  # However the five cuts fall, one batch may meet them all.
        monkeypatch.setattr(bulk, "_BACKOFF_S", 0.02)
        content, name = rows(3000), url.rpartition("/")[2]

        async def cut() -> None:
            admin = await asyncpg.connect(postgres_url)
            for _ in range(5):
                await asyncio.sleep(0.15)
                await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
            await admin.close()

        async def slowly() -> AsyncIterator[bytes]:
            for at in range(0, len(content), 2000):
                yield content[at : at + 2000]
                await asyncio.sleep(0.05)

        cutting = asyncio.create_task(cut())
        full = [line for line in await send(client, slowly()) if line["line"] in {"summary", "failed"}]
        await cutting
        assert [line["line"] for line in full] == ["summary"]
        # 1,000 marks are more than a tally holds: those of rows 301 on are refused.
        assert full[0]["landed"] + full[0]["on_record"] == await count(url) == 300
        assert full[0]["rejected"] == 2700

    async def test_an_error_of_ours_ends_it_and_tells_where(self, url: str, issuer: Issuer) -> None:
        def broken(row: Any, actor: str) -> Any:
            if row.mark == "m13":
                raise RuntimeError("a secret")
            return mark_of(row, actor)

        app = tally_app(url, issuer, kind=replace(MARKS, command_of=broken))
        async with running(app, issuer.header()) as client:
            lines = await send(client, rows(20))
        assert lines[-2] == {"line": "summary", **figures(landed=10)}
        assert (lines[-1]["line"], lines[-1]["row"], lines[-1]["code"]) == ("failed", 11, "internal")
        assert await count(url) == 10

    async def test_a_branch_of_two_lines_costs_its_row_only(self, client: httpx.AsyncClient) -> None:
        content = b'tally,mark,branch\na,one,\nb,two,"B010\n"\nc,three,B010\n'
        lines = await send(client, content)
        assert [(line["row"], line["code"]) for line in of(lines, "rejected")] == [(2, "value_unstorable")]
        assert lines[-1] == {"line": "summary", **figures(landed=2, rejected=1)}

    async def test_a_value_no_table_holds_costs_its_row_only(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def picky(store: Any, meta: Any, domain: Any, commands: Any) -> list[Outcome]:
            if any(command.mark == "m7" for command in commands):
                raise asyncpg.DataError("out of range")
            return await carry_out_many(store, meta, domain, commands)

        monkeypatch.setattr(bulk, "carry_out_many", picky)
        lines = await send(client, rows(15))
        assert [(line["row"], line["code"]) for line in of(lines, "rejected")] == [(7, "value_unstorable")]
        assert lines[-1] == {"line": "summary", **figures(landed=14, rejected=1)}


class TestOverASocket:
    """Through a real server, whose buffers are finite."""

    @pytest.fixture
    async def address(self, app: FastAPI) -> AsyncIterator[tuple[str, int]]:
        sock = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5))
        serving = asyncio.create_task(server.serve(sockets=[sock]))
        await until(lambda: asyncio.sleep(0, server.started))
        yield sock.getsockname()
        server.should_exit = True
        await serving
        sock.close()

    async def test_a_client_that_sends_all_before_it_reads_gets_every_reject(
        self, address: tuple[str, int], issuer: Issuer
    ) -> None:
        # 60,000 rejects are some 6 MB of answer: far more than the sockets' buffers hold.
        content = b"tally,mark\n" + b"a\n" * 60_000
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{address[1]}", timeout=PATIENCE_S) as client:
            lines = await send(client, content, {**CSV, **issuer.header()})
        assert len(of(lines, "rejected")) == 60_000
        assert lines[-1] == {"line": "summary", **figures(rejected=60_000)}

    async def test_progress_comes_while_the_file_is_still_being_sent(
        self, address: tuple[str, int], issuer: Issuer
    ) -> None:
        reader, writer = await asyncio.open_connection(*address)
        head = f"POST /imports/marks HTTP/1.1\r\nHost: x\r\nAuthorization: {issuer.header()['Authorization']}\r\n"
        writer.write(f"{head}Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        writer.write(_chunk(rows(12)))
        async with asyncio.timeout(PATIENCE_S):
            while b'"line":"progress"' not in await reader.readline():
                pass
        writer.write(_chunk(b"") + b"")
        async with asyncio.timeout(PATIENCE_S):
            rest = await reader.readuntil(b"0\r\n\r\n")
        assert b'"line":"summary","rows":12' in rest
        writer.close()

    async def test_a_client_that_goes_away_leaves_whole_rows_only(
        self, address: tuple[str, int], issuer: Issuer, url: str
    ) -> None:
        _, writer = await asyncio.open_connection(*address)
        head = f"POST /imports/marks HTTP/1.1\r\nHost: x\r\nAuthorization: {issuer.header()['Authorization']}\r\n"
        writer.write(f"{head}Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        writer.write(_chunk(rows(25) + b"t1,only the beginning of a ma"))
        await writer.drain()

        async def landed() -> bool:
            return await count(url) == 20

        await until(landed)
        writer.close()
        await asyncio.sleep(0.2)
        assert await count(url) == 20


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)
