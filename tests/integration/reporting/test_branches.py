"""A caller limited to branches learns nothing of the others, wherever and however he asks."""

from __future__ import annotations

from datetime import date
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from tests.integration.reporting.books import Books, aged
from tests.integration.reporting.desk import Desk
from tests.integration.reporting.test_aging import KEYS, reported

ROUTES: list[tuple[str, dict[str, Any]]] = [
    *(("/aging", {"by": by, "sort": sort, "as_of": "2025-11-30"}) for by, sort in product(KEYS, ("name", "-total"))),
    ("/aging", {"by": "item", "known_at": "2025-11-15"}),
    ("/aging", {"by": "branch", "credits": "in_bucket"}),
    ("/cash-flow", {"from": "2024-01-01", "to": "2026-12-31", "by": "month"}),
    ("/bad-debt", {"month": "2025-06"}),
    ("/items", {"limit": 1000}),
    ("/items", {"status": "open"}),
    ("/accounts", {}),
    ("/consistency", {}),
    ("/consistency", {"thorough": True}),
    ("/freshness", {}),
]


@pytest.fixture
def words_of_others(books: Books) -> set[str]:
    """What only the branches CHI and TYO know of: codes, names, numbers, ids."""
    told = {"CHI", "TYO", "JPY", "Branch CHI", "Branch TYO"}
    for posting in books.postings:
        if posting.branch != "DAL":
            told |= {str(posting.id), books.numbers.get(posting.id, "CHI")}
    mine = {posting.account_id for posting in books.postings if posting.branch == "DAL"}
    theirs = set(books.collectors) - mine
    return told | {str(a) for a in theirs} | {books.numbers[a] for a in theirs}


async def test_no_route_shows_anything_of_another_branch(books: Books, desk: Desk, words_of_others: set[str]) -> None:
    mine = desk.as_(["DAL"])
    for (path, params), format_ in product(ROUTES, ("json", "csv")):
        whole, part = (
            await desk.send(path, params | {"format": format_}),
            await mine.send(path, params | {"format": format_}),
        )
        assert part.status_code == whole.status_code == 200, part.text
        text = part.text + str(part.headers)
        assert not {word for word in words_of_others if f'"{word}' in text or f",{word}," in text}, (path, params)
    everything = (await desk.send("/items", {"limit": 1000})).text
    assert any(f'"{word}"' in everything for word in words_of_others)  # They would be found.


async def test_reports_are_those_of_the_branch_alone(books: Books, desk: Desk) -> None:
    for path, params in ROUTES:
        if path in ("/consistency", "/freshness"):
            continue
        mine = (await desk.as_(["DAL"]).send(path, params)).json()
        asked = (await desk.send(path, params | {"branch": "DAL"})).json()
        for part in ("rows", "totals", "placements", "recoveries", "write_offs", "allowance"):
            if path == "/accounts" or (path, part) == ("/items", "rows"):
                hide(mine.get(part)), hide(asked.get(part))
            elif path == "/aging" and part == "rows":
                # The names of an account of another branch stay there; what it owes here is ours.
                assert reported(mine[part], params["by"]) == reported(asked[part], params["by"])
                continue
            assert mine.get(part) == asked.get(part), (path, params, part)


def hide(rows: Any) -> None:
    for row in rows or []:
        for name in ("account", "account_name", "collector"):
            row.pop(name, None)


async def test_pages_end_where_the_branch_does(books: Books, desk: Desk) -> None:
    mine = desk.as_(["DAL", "TYO"])
    for by, sort in product(KEYS, ("name", "-total", "-past_due")):
        rows = await mine.pages("/aging", 3, by=by, sort=sort, as_of="2025-11-30")
        known = [p for p in books.known(date(2025, 11, 30)) if p.branch in ("DAL", "TYO")]
        want = aged(known, date(2025, 11, 30), by)
        assert reported(rows, by) == {tuple(None if k is None else str(k) for k in key): v for key, v in want.items()}
    assert {row["branch"] for row in await mine.pages("/items", 9)} == {"DAL", "TYO"}


async def test_asking_for_another_branch_is_forbidden_and_tells_nothing(books: Books, desk: Desk) -> None:
    mine = desk.as_(["DAL"])
    for path in ("/aging", "/cash-flow", "/bad-debt", "/items", "/accounts"):
        there, nowhere = [await mine.send(path, {"branch": ["DAL", code]}) for code in ("CHI", "NOWHERE")]
        assert there.status_code == nowhere.status_code == 403
        known, unknown = there.json(), nowhere.json()
        assert {**known, "instance": ""} == {**unknown, "instance": ""}


async def test_an_account_of_another_branch_is_as_one_that_is_not_there(books: Books, desk: Desk) -> None:
    [account] = [a for a in books.collectors if books.numbers[a] == "T-1"]
    for path in ("/accounts/{}", "/accounts/{}/timeline"):
        there = (await desk.as_(["DAL"]).send(path.format(account))).json()
        nowhere = (await desk.as_(["DAL"]).send(path.format(UUID(int=1)))).json()
        assert {**there, "instance": ""} == {**nowhere, "instance": ""}
        assert there["code"] == "not_found"


async def test_filters_and_cursors_of_others_find_nothing(books: Books, desk: Desk) -> None:
    mine = desk.as_(["DAL"])
    [yen] = [a for a in books.collectors if books.numbers[a] == "T-1"]
    for path in ("/aging", "/items", "/accounts"):
        assert (await mine.ask(path, account=[str(yen)]))["rows"] == []
        assert (await mine.ask(path, currency="JPY"))["rows"] == []
    number = next(books.numbers[p.id] for p in books.postings if p.branch == "TYO" and p.kind == "open")
    assert (await mine.ask("/items", number=number))["rows"] == []
    assert (await mine.ask("/accounts", number="T-1"))["rows"] == []
    paid = next(p for p in books.postings if p.branch == "TYO")
    own = next(
        p.account_id
        for p in books.postings
        if p.branch == "DAL" and books.numbers.get(p.account_id or p.id, "").startswith("D")
    )
    assert (await mine.ask(f"/accounts/{own}/timeline", item=paid.id))["rows"] == []
    cursor = (await desk.ask("/aging", by="item", limit=1))["next"]
    assert await mine.refused("/aging", by="item", limit=1, cursor=cursor) == (422, "cursor_invalid")


async def test_what_an_account_of_mine_did_elsewhere_stays_there(books: Books, desk: Desk) -> None:
    """Account C-1 is at home in CHI and billed by DAL."""
    [account] = [a for a in books.collectors if books.numbers[a] == "C-1"]
    rows = (await desk.as_(["CHI"]).ask(f"/accounts/{account}/timeline", limit=1000))["rows"]
    assert {row["branch"] for row in rows} == {"CHI"}
    whole = (await desk.ask(f"/accounts/{account}/timeline", limit=1000))["rows"]
    assert {row["branch"] for row in whole} == {"CHI", "DAL"}


async def test_no_branch_sees_nothing(books: Books, desk: Desk) -> None:
    nobody = desk.as_([])
    for path, params in ROUTES:
        answer = (await nobody.send(path, params)).json()
        for part in ("rows", "totals", "placements", "recoveries", "write_offs", "allowance", "laws"):
            assert answer.get(part, []) == [], path


async def test_without_a_token_or_a_role_there_is_no_answer(books: Books, desk: Desk) -> None:
    for path, params in ROUTES:
        assert (await desk.as_("*", "stranger").send(path, params)).status_code == 403
        assert (await desk.send(path, params, Authorization="")).status_code == 401
