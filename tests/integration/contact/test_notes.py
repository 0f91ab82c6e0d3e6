"""Notes: beside the facts and never in them, without card numbers, and forgotten when asked."""

from typing import Any

import asyncpg
import pytest

from tests.integration.contact.conftest import attempt, dispute, follow_up
from tests.support.front_door import FrontDoor

WORDS = "Ask for Bettina; card 4111 1111 1111 1111 expires 12/27, cvv 123."


@pytest.mark.parametrize(("path", "body"), [("/attempts", attempt), ("/disputes", dispute), ("/follow-ups", follow_up)])
async def test_a_note_is_kept_beside_the_facts_without_card_numbers(
    door: FrontDoor, database: str, path: str, body: Any
) -> None:
    answer = await door.as_("maria", "collector", ["CHI"]).post(path, body(note=WORDS))
    assert answer.status_code == 201, answer.text
    note = (await door.get(f"/notes/{answer.json()['note_id']}")).json()
    assert note["body"] == "Ask for Bettina; card [card number removed] expires 12/27, [security code removed]."
    assert (note["author"], note["branch"], note["forgotten_at"]) == ("maria", "CHI", None)
    everything = await dump(database)
    assert "4111" not in everything
    assert everything.count("Bettina") == 1  # In the table of notes, and nowhere else.


async def dump(database: str) -> str:
    """Everything the database holds, as text."""
    conn = await asyncpg.connect(database)
    try:
        tables = await conn.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        rows = [row for table in tables for row in await conn.fetch(f'SELECT t::text FROM "{table["tablename"]}" t')]
    finally:
        await conn.close()
    return "\n".join(row[0] for row in rows)


async def test_a_refused_command_leaves_no_note(door: FrontDoor, database: str) -> None:
    assert (await door.post("/disputes", dispute(amount="1000.01", note=WORDS))).status_code == 409
    assert "Bettina" not in await dump(database)


async def test_a_note_is_forgotten_and_the_row_says_so(door: FrontDoor, database: str) -> None:
    logged = (await door.post("/attempts", attempt(note=WORDS))).json()
    facts = await door.facts()
    path = f"/notes/{logged['note_id']}"
    assert (await forget(door.as_("maria", "collector"), path)) == 403
    assert await forget(door, path) == 200
    note = (await door.get(path)).json()
    assert (note["body"], note["forgotten_by"]) == (None, "tester")
    assert await forget(door, path) == 200
    assert (await door.get(path)).json() == note  # Who forgot it first, and when, stays.
    assert await door.facts() == facts
    assert "Bettina" not in await dump(database)
    # Nor does sending the command again bring the words back.
    await door.post("/attempts", attempt(attempt_id=logged["attempt_id"], note=WORDS))
    assert "Bettina" not in await dump(database)


async def forget(door: FrontDoor, path: str) -> int:
    answer = await door._client.delete(path, headers=door._headers)
    return answer.status_code


async def test_notes_of_other_branches_are_not_seen(door: FrontDoor) -> None:
    note_id = (await door.post("/attempts", attempt(note=WORDS))).json()["note_id"]
    assert (await door.as_("dora", "collector", ["DAL"]).get(f"/notes/{note_id}")).status_code == 404
    assert (await door.as_("maria", "collector", ["CHI"]).get(f"/notes/{note_id}")).status_code == 200


async def test_the_application_cannot_delete_a_note_or_say_another_wrote_it(door: FrontDoor) -> None:
    for statement in ("DELETE FROM note", "UPDATE note SET author = 'somebody else'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await door.store.pool.execute(statement)
