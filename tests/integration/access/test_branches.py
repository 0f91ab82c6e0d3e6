"""A caller of one branch cannot tell whether another one exists: not by what he reads, not by what he is refused.

The same questions are asked in a firm where the other branch lives, and in one where it never did.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from events.topics import SERVICES
from tests.support.branch_life import Life, Step, live
from tests.support.databases import Databases
from tests.support.firm import Firm, open_firm
from tests.support.questions import Question, about, filtered, lists
from tests.support.routes import routes_of
from tests.support.tokens import Issuer

MINE, THEIRS, NOBODYS = Life("ATL"), Life("BOS"), Life("CLE")  # Nobody's was never lived.
# What no two answers have alike, be it in the key of the next page; and positions: they count the whole firm's facts.
VOLATILE = re.compile(
    r'"(known_at|recorded_at|at|position|event_id|correlation_id|causation_id|instance|next)":("[^"]*"|\d+)'
    r"|20\d\d-\d\d-\d\dT[\d:.]+(Z|\+00:00)"
)


# The firm is shared, as no test here changes it: those who try are refused.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("branches")]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    return Issuer(tmp_path_factory.mktemp("issuer"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def databases(postgres_url: str) -> AsyncIterator[Databases]:
    databases = Databases(postgres_url)
    yield databases
    await databases.drop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(databases: Databases, issuer: Issuer) -> AsyncIterator[Firm]:
    """The firm with both branches."""
    async with open_firm(databases.make, issuer) as firm:
        await live(firm, MINE.branch, THEIRS.branch)
        yield firm


def told(answer: httpx.Response, *lives: Life) -> tuple[int, str, dict[str, str]]:
    """What an answer tells, with the names of `lives` taken out: status, text, headers."""
    text = VOLATILE.sub("~", answer.text)
    headers = {k: v for k, v in answer.headers.items() if k not in ("x-request-id", "content-length")}
    about = json.dumps({k: v for k, v in headers.items() if k != "openitem-known-at"})
    for life in lives:
        text, about = _anonymous(text, life), _anonymous(about, life)
    return answer.status_code, text, json.loads(VOLATILE.sub("~", about))


def _anonymous(text: str, life: Life) -> str:
    for id_ in _ids(life):
        text = text.replace(id_, "an-id")
    return text.replace(life.branch, "a-branch")


async def words_of(firm: Firm, life: Life) -> set[str]:
    """The ids that only this branch's facts have. Whatever else is its own has its code in it."""
    of: dict[bool, set[str]] = {True: set(), False: set()}
    for service in SERVICES:
        async with firm.store(service).pool.acquire() as conn, conn.transaction():
            await conn.execute("SELECT set_config('openitem.branches', '*', true)")
            for row in await conn.fetch("SELECT branch, stream, event_id, data FROM events"):
                text = f"{row['stream']} {row['event_id']} {row['data']}"
                of[row["branch"] == life.branch] |= set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", text))
    return of[True] - of[False] | {life.branch}


async def ask(firm: Firm, question: Question, *branches: str, **params: Any) -> httpx.Response:
    headers = firm.caller(branches) if branches else firm.caller()
    return await firm.send(
        question.service, "GET", question.path, headers=headers, params={**question.params, **params}
    )


async def test_no_answer_depends_on_another_branch(both: Firm, databases: Databases, issuer: Issuer) -> None:
    words = await words_of(both, THEIRS)
    assert len(words) > 30
    seen = set()
    async with open_firm(databases.make, issuer) as alone:
        await live(alone, MINE.branch)
        for question in [*about(both, MINE), *lists(both), *filtered(MINE)]:
            answer = await ask(both, question, MINE.branch)
            assert answer.status_code in (200, 404), f"{question}: {answer.text}"
            if answer.status_code == 200:
                seen.add((question.service, question.route))
            leaked = {word for word in words if word in answer.text + str(answer.headers)}
            assert not leaked, f"{question} tells of {leaked}"
            assert told(answer) == told(await ask(alone, question, MINE.branch)), question
    every = {(name, r.path) for name, app in both.apps.items() for r in routes_of(app) if r.method == "GET"}
    assert seen == every, "a question that has an answer is missing for these"
    whole = (await ask(both, Question("reporting", "/items", "/items"))).text
    assert {word for word in words if word in whole}  # They would be found.


async def test_what_is_not_yours_and_what_does_not_exist_are_answered_alike(both: Firm) -> None:
    asked = 0
    theirs = [*about(both, THEIRS), *filtered(THEIRS)]
    nobodys = [*about(both, NOBODYS), *filtered(NOBODYS)]
    for one, other in zip(theirs, nobodys, strict=True):
        answer = await ask(both, one, MINE.branch)
        assert told(answer, THEIRS) == told(await ask(both, other, MINE.branch), NOBODYS), one
        assert answer.status_code in (403, 404) or THEIRS.branch not in answer.text, one
        if answer.status_code == 404:
            assert (await ask(both, one)).status_code in (200, 404)
        asked += 1
    assert asked > 80
    mixed = Question("reporting", "", f"/accounts/{MINE.id('account')}/timeline", {"item": THEIRS.id("billed")})
    assert (await ask(both, mixed, MINE.branch)).json()["rows"] == []


async def test_a_cursor_of_somebody_else_leads_nowhere_else(both: Firm) -> None:
    words = await words_of(both, THEIRS)
    used = 0
    for question in lists(both):
        mine = (await ask(both, question._replace(params={**question.params, "limit": 1}), MINE.branch)).text
        own = re.search(r'"next":"([^"]+)"', mine)
        for branches in ((THEIRS.branch,), (MINE.branch, THEIRS.branch), ()):
            for limit in (1, 7):
                minted = re.search(r'"next":"([^"]+)"', (await ask(both, question, *branches, limit=limit)).text)
                if minted is None:
                    continue
                forged = [_with_hash_of(own[1], minted[1])] if own else []
                for cursor in [minted[1], *forged]:
                    answer = await ask(both, question, MINE.branch, limit=limit, cursor=cursor)
                    assert answer.status_code in (200, 422), answer.text
                    if answer.status_code == 422:
                        assert answer.json()["code"] == "cursor_invalid"
                    assert not {word for word in words if word in answer.text}, question
                    used += 1
    assert used > 50


def _with_hash_of(own: str, cursor: str) -> str:
    """The place of one cursor with the question of another: what somebody would forge."""
    question, _ = _decoded(own)
    _, place = _decoded(cursor)
    return urlsafe_b64encode(json.dumps([question, place]).encode()).decode().rstrip("=")


def _decoded(cursor: str) -> list[Any]:
    parts: list[Any] = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return parts


def strangers(life: Life, own: Life) -> Iterator[Step]:
    """Commands of a caller of `own` that name what is `life`'s: all of it, or one thing among what is his.

    The id of what a command would make is a new one: that an id is taken, whoever knows it may learn. An account's
    number is the firm's, so it stays his own too.
    """
    for theirs, mine in zip(life.steps, own.steps, strict=True):
        fresh = _made_by(theirs)
        body = {name: value for name, value in theirs.body.items() if name != fresh}
        if theirs.route == "/accounts":
            body["number"] = "ATL-NEW"
        if _names(theirs._replace(body=body), life):
            yield theirs._replace(body=body)
        here = {name: own.branch if name == "branch" else value for name, value in body.items()}
        if here != body and theirs.route != "/receipts" and _names(theirs._replace(body=here), life):
            yield theirs._replace(body=here)
        for name in ("account_id", "job_id", "item_id", "item_ids", "lines", "attempt_id", "receipt_id"):
            if name == "account_id" and theirs.route == "/receipts":
                continue  # Money is taken in from anybody: who owes it is looked at when it is applied.
            if name in body and name in mine.body and theirs.params:
                yield mine._replace(body={**mine.body, name: body[name]})
            elif name in body and name in mine.body:
                new = {k: v for k, v in mine.body.items() if k != fresh} | {name: body[name]}
                yield mine._replace(body=new if "number" not in new else {**new, "number": "ATL-NEW"})


def _names(step: Step, life: Life) -> bool:
    """Whether the command names something of this branch, or the branch itself."""
    text = json.dumps([step.params, {k: v for k, v in step.body.items() if k == "branch" or "id" in k or k == "lines"}])
    return life.branch in text or any(id_ in text for id_ in _ids(life))


def _ids(life: Life) -> set[str]:
    return {v for s in life.steps for k, v in {**s.params, **s.body}.items() if k.endswith("_id") and v}


def _made_by(step: Step) -> str | None:
    """The member that names what the command makes."""
    return next((name for name in step.body if name.endswith("_id")), None) if _makes(step) else None


def _makes(step: Step) -> bool:
    plain = step.route.removeprefix("/")
    return plain not in ("steps", "holds", "branches") and plain.rpartition("/")[2] not in (
        "identification", "done"
    )  # fmt: skip


async def test_commands_on_what_is_not_yours_are_refused_like_those_on_what_does_not_exist(both: Firm) -> None:
    before = {service: await both.facts(service) for service in SERVICES}
    tried = 0
    for theirs, nobodys in zip(strangers(THEIRS, MINE), strangers(NOBODYS, MINE), strict=True):
        key = uuid4().hex
        headers = both.caller([MINE.branch], sub="ann")
        answers = [
            await both.send(
                step.service,
                "POST",
                step.path,
                headers={**headers, "Idempotency-Key": key + life.branch},
                json=step.body,
            )
            for step, life in ((theirs, THEIRS), (nobodys, NOBODYS))
        ]
        assert answers[0].status_code in (403, 404, 409, 422), f"{theirs}: {answers[0].text}"
        assert told(answers[0], THEIRS) == told(answers[1], NOBODYS), theirs
        tried += 1
    assert tried > 60
    assert before == {service: await both.facts(service) for service in SERVICES}


async def test_an_id_that_is_taken_elsewhere_is_refused_and_nothing_told_of_it(both: Firm) -> None:
    words = await words_of(both, THEIRS)
    before = {service: await both.facts(service) for service in SERVICES}
    for theirs, mine in zip(THEIRS.steps, MINE.steps, strict=True):
        made = _made_by(theirs)
        if made is None or theirs.params:
            continue
        body = {**mine.body, made: theirs.body[made]}
        answer = await both.send(mine.service, "POST", mine.path, headers=both.caller([MINE.branch]), json=body)
        assert answer.status_code in (403, 404, 409), f"{mine}: {answer.text}"
        assert not {word for word in words - {theirs.body[made]} if word in answer.text}, answer.text
    note = THEIRS.nouns["note_id"]
    answer = await both.send("contact", "DELETE", f"/notes/{note}", headers=both.caller([MINE.branch]))
    assert answer.status_code == 404
    assert (await both.send("contact", "GET", f"/notes/{note}")).json()["body"] is not None
    assert before == {service: await both.facts(service) for service in SERVICES}
