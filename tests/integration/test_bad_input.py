"""Ten thousand damaged rows and bodies: each ends as a fact on record or as a refusal with a code, never half done.

The seed is fixed, so that a failure comes again; another one is a number away.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec
import pytest

from events import codec
from events.topics import SERVICES
from services.kernel.bulk import BulkKind
from tests.conftest import MakeDatabase
from tests.support.branch_life import Life, Step, live
from tests.support.firm import Firm, open_firm
from tests.support.mutation import csv_bytes, damaged, json_bytes
from tests.support.tokens import Issuer

SEED: Final = 7
LIFE: Final = Life("ATL")
ROWS: Final = 420  # Of each kind of import, of which there are fifteen …
BODIES: Final = 130  # … and of each command, of which there are thirty.
FILE: Final = 30  # Rows of one file: a broken byte may cost the header, and with it the whole file.
SOUND: Final = 0.15  # So many are left as they are: the books go on beside what is refused.
CODE: Final = re.compile(r"[a-z][a-z0-9_]*")
# What people write as one word in an import.
_WORDS: Final = {"item_ids": lambda ids: " ".join(ids)}


@pytest.fixture
async def firm(make_database: MakeDatabase, tmp_path: Any) -> AsyncIterator[Firm]:
    """The life of one branch is on record: what sound rows and bodies refer to."""
    async with open_firm(make_database, Issuer(tmp_path)) as firm:
        await live(firm, LIFE.branch)
        yield firm


def examples(service: str) -> dict[str, Step]:
    """A sound command for every route."""
    found: dict[str, Step] = {}
    for step in LIFE.steps:
        if step.service == service:
            found.setdefault(step.route, step)
    return found


def rows(service: str) -> Iterator[tuple[BulkKind[Any, Any], dict[str, Any]]]:
    """A sound row for every kind of import: what the command of the same name says, in the columns of the kind."""
    said: dict[str, dict[str, Any]] = {
        "credit-notes": {"invoice_id": LIFE.id("late"), "credit_note_id": str(uuid4())},
        "retainage-releases": {"invoice_id": LIFE.id("billed"), "release_id": str(uuid4())},
        "receipts": {"item_id": LIFE.id("late"), "applied": "0.05", "applied_on": "2025-04-11"},
        "reversals": {"receipt_id": LIFE.id("receipt")},
        "dispute-resolutions": {"dispute_id": LIFE.id("dispute")},
        "placements": {"branch": LIFE.branch, "item_id": LIFE.id("late"), "amount": "10.00", "currency": "USD"},
        "recoveries": {"placement_id": LIFE.id("placement")},
        "write-offs": {"branch": LIFE.branch, "account_id": LIFE.id("account"), "requested_by": "ann"}
        | {"approved_by": "bob", "approved_on": "2025-09-04", "amount": "0.02"},
    }
    last = {"reversals": "reversal", "dispute-resolutions": "resolution"}
    for kind in import_module(f"services.{service}.imports").KINDS:
        name = last.get(kind.name, kind.name)
        step = next(s for s in LIFE.steps if s.route.rpartition("/")[2] == name and s.service == service)
        columns = {field.encode_name for field in msgspec.structs.fields(kind.row)}
        whole = {**step.body, **said.get(kind.name, {})}
        row = {key: value for key, value in whole.items() if key in columns and value is not None}
        yield kind, {key: _WORDS[key](value) if key in _WORDS else value for key, value in row.items()}


def anew(record: dict[str, Any], chance: Random) -> dict[str, Any]:
    """The same about something new: the id it makes and its number are its own."""
    made = next((name for name in record if name.endswith("_id")), None)
    changed = dict(record)
    if made is not None and chance.random() < 0.8:
        changed[made] = str(UUID(int=chance.getrandbits(128), version=4))
    if "number" in changed:
        changed["number"] = f"N-{chance.getrandbits(48):x}"
    return changed


def sound_values() -> list[Any]:
    """Every value of the branch's life: right somewhere, wrong elsewhere."""
    found = {json.dumps(value): value for step in LIFE.steps for value in step.body.values()}
    return [found[key] for key in sorted(found)]


class Books:
    """What a service's database says, against what its answers said."""

    def __init__(self, firm: Firm, service: str) -> None:
        self.firm = firm
        self.service = service
        self.versions: dict[str, int] = {}
        self.facts = 0
        self.answers = 0

    async def read(self) -> None:
        """What is on record now is what answers are counted from."""
        async with self.firm.store(self.service).pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('openitem.branches', '*', true)")
            self.versions = dict(await conn.fetch("SELECT stream, version FROM streams"))
            self.facts = await conn.fetchval("SELECT count(*) FROM events")
            self.answers = await conn.fetchval("SELECT count(*) FROM commands")

    def note(self, recorded: dict[str, int]) -> None:
        """An answer named the versions that streams have now."""
        self.answers += 1
        for stream, version in recorded.items():
            self.facts += version - self.versions.get(stream, 0)
            self.versions[stream] = version

    async def check(self) -> None:
        """Nothing is there that was not answered, and all that was: facts, versions, answers, what waits to go out."""
        async with self.firm.store(self.service).pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('openitem.branches', '*', true)")
            events = await conn.fetch("SELECT stream, stream_version, type, data FROM events ORDER BY position")
            assert len(events) == self.facts
            assert await conn.fetchval("SELECT count(*) FROM outbox") == len(events)
            assert await conn.fetchval("SELECT count(*) FROM commands") == self.answers
            heads: dict[str, int] = {}
            for event in events:
                assert event["stream_version"] == heads.get(event["stream"], 0) + 1
                heads[event["stream"]] = event["stream_version"]
                assert codec.encode(codec.decode(event["type"], event["data"])).decode() == event["data"]
            assert heads == dict(await conn.fetch("SELECT stream, version FROM streams"))
            if self.service == "contact":
                log = "".join(event["data"] for event in events)
                assert all(str(row[0]) in log for row in await conn.fetch("SELECT note_id FROM note"))


@pytest.mark.parametrize("service", SERVICES)
async def test_a_damaged_body_is_recorded_whole_or_refused_with_a_code(service: str, firm: Firm) -> None:
    chance, others, books = Random(f"{SEED} {service}"), sound_values(), Books(firm, service)
    await books.read()
    headers = {**firm.caller(), "Content-Type": "application/json"}
    landed = refused = 0
    for step in examples(service).values():
        for _ in range(BODIES):
            body = anew(step.body, chance)
            params = dict(step.params)
            content = json_bytes(body, chance, broken=0)
            if chance.random() > SOUND:
                content = json_bytes(damaged(body, chance, others), chance, broken=0.2)
                if params and chance.random() < 0.1:
                    params = {
                        name: chance.choice((LIFE.id("account"), str(UUID(int=1)), "x", "%00")) for name in params
                    }
            path = step.route.format(**params)
            answer = await firm.send(
                service, "POST", path, headers={**headers, "Idempotency-Key": uuid4().hex}, content=content
            )
            if answer.status_code < 300:
                books.note(answer.json()["recorded"])
                landed += 1
            else:
                assert 400 <= answer.status_code < 500, f"{path} {content[:500]!r}: {answer.text}"
                assert answer.headers["content-type"] == "application/problem+json"
                assert CODE.fullmatch(answer.json()["code"])
                refused += 1
    await books.check()
    assert landed > 20
    assert refused > landed
    await _the_others_can_live_with_it(firm)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_damaged_row_lands_whole_or_is_rejected_with_a_code(service: str, firm: Firm) -> None:
    chance, others, books = Random(f"{SEED} {service} rows"), sound_values(), Books(firm, service)
    await books.read()
    landed = rejected = 0
    for kind, row in rows(service):
        for at in range(0, ROWS, FILE):
            batch = [
                new if chance.random() < SOUND else damaged(new, chance, others)
                for new in (anew(row, chance) for _ in range(FILE))
            ]
            if at // FILE % 2:
                media, whole = "application/x-ndjson", chance.random() < 0.7
                lines = [json_bytes(one, chance, broken=0 if whole else 0.2) for one in batch]
                content = b"\n".join(lines) + b"\n"
            else:
                media, whole = "text/csv", chance.random() < 0.7
                content = csv_bytes(batch, list(row), chance, broken=0 if whole else 1)
            done = await _import(firm, service, kind.name, content, media)
            if whole:
                assert done["rows"] == FILE, f"{kind.name} {content!r}"
            books.facts += done["facts"]
            landed += done["landed"]
            rejected += done["rejected"]
    await books.check()
    assert landed > 20
    assert rejected > landed
    await _the_others_can_live_with_it(firm)


async def _import(firm: Firm, service: str, kind: str, content: bytes, media: str) -> dict[str, int]:
    """Send a file; answers its summary, which adds up."""
    headers = {**firm.caller(), "Content-Type": media}
    before = await firm.facts(service)
    answer = await firm.send(service, "POST", f"/imports/{kind}", headers=headers, content=content)
    assert answer.status_code == 200, answer.text
    lines = [json.loads(line) for line in answer.text.splitlines()]
    summary: dict[str, int] = lines[-1]
    assert summary["line"] == "summary", f"{kind}: {lines[-1]} of {content!r}"
    bad = [line for line in lines if line["line"] == "rejected"]
    assert all(CODE.fullmatch(line["code"]) and line["code"] != "internal" for line in bad)
    assert len(bad) == summary["rejected"]
    assert len({line["row"] for line in bad if line["row"]}) == sum(1 for line in bad if line["row"])
    assert summary["rows"] == summary["landed"] + summary["on_record"] + summary["rejected"]
    assert await firm.facts(service) - before == summary["facts"] >= summary["landed"]
    return summary


async def _the_others_can_live_with_it(firm: Firm) -> None:
    """What landed can be read by every consumer, and reported: nothing was let in that breaks the next in line."""
    await firm.settle()
    told = (await firm.send("reporting", "GET", "/consistency", params={"thorough": "true"})).json()
    assert told["holds"], told
    for path in ("/aging?by=account", "/aging?by=item", "/items?limit=10000", "/accounts?limit=10000", "/cash-flow"):
        for format_ in ("json", "csv"):
            answer = await firm.send(
                "reporting", "GET", path, params=None, headers={**firm.caller(), "Accept": f"text/{format_}"}
            )
            assert answer.status_code == 200, answer.text
