"""Imports of the contact service: good rows land, bad ones are named, a second run adds nothing."""

from typing import Any
from uuid import UUID

from tests.integration.contact.conftest import ACCOUNT, A, B, Topics, applied, received, seen
from tests.support.front_door import FrontDoor

DISPUTES: list[dict[str, Any]] = [
    {
        "dispute_id": str(UUID(int=30 + n)),
        "item_id": str(A),
        "amount": "900.00",
        "currency": "USD",
        "opened_on": "2026-02-02",
    }
    for n in range(3)
]
RESOLUTIONS: list[dict[str, Any]] = [
    {"dispute_id": str(UUID(int=30)), "outcome": "rejected", "resolved_on": "2026-02-10"},
    {"dispute_id": str(UUID(int=31)), "outcome": "partly_upheld", "upheld": "1.00", "resolved_on": "2026-02-10"},
]
PROMISES: list[dict[str, Any]] = [
    {
        "promise_id": str(UUID(int=20 + n)),
        "account_id": str(ACCOUNT),
        "item_ids": f"{A} {B}" if n == 0 else str(A),
        "amount": "100.00",
        "currency": "USD",
        "made_on": f"2026-02-0{n + 1}",
        "promised_on": "2026-02-20",
    }
    for n in range(3)
]
ATTEMPTS: list[dict[str, Any]] = [
    {
        "attempt_id": str(UUID(int=40 + n)),
        "account_id": str(ACCOUNT),
        "channel": "call",
        "outcome": "reached",
        "attempted_on": "2019-05-05",
        "item_ids": ids,
    }
    for n, ids in enumerate(["", f"{B};{A}"])
]
KINDS = {"disputes": DISPUTES, "dispute-resolutions": RESOLUTIONS, "promises": PROMISES, "attempts": ATTEMPTS}


async def test_a_history_lands_and_a_second_run_adds_nothing(door: FrontDoor) -> None:
    for kind, rows in KINDS.items():
        summary, rejected = await door.import_(kind, rows)
        assert (summary["landed"], rejected) == (len(rows), []), kind
    before = await door.facts()
    for kind, rows in KINDS.items():
        summary, rejected = await door.import_(kind, rows)
        assert (summary["on_record"], summary["landed"], rejected) == (len(rows), 0, []), kind
    assert await door.facts() == before


async def test_csv_does_the_same(door: FrontDoor) -> None:
    header = ",".join(PROMISES[0])
    lines = "\n".join(",".join(str(value) for value in row.values()) for row in PROMISES)
    answer = await door.post_file("/imports/promises", f"{header}\n{lines}\n".encode(), "text/csv")
    assert '"landed":3' in answer.text


async def test_promises_of_one_file_take_each_others_place_in_whatever_order_they_stand(door: FrontDoor) -> None:
    await door.import_("promises", PROMISES[::-1])
    ends = [await seen(door, row["promise_id"]) for row in PROMISES]
    assert ends == [
        ("cancelled", "0.00", "2026-02-02", "renegotiated"),
        ("cancelled", "0.00", "2026-02-03", "renegotiated"),
        ("open", "0.00", None, None),
    ]


async def test_an_imported_promise_counts_the_payments_of_its_days(door: FrontDoor, topics: Topics) -> None:
    await topics.deliver(received(), applied({A: 100_00}))
    row = PROMISES[1] | {"promised_on": "2026-03-20"}
    await door.import_("promises", [row])
    assert await seen(door, row["promise_id"]) == ("kept", "100.00", "2026-03-10", None)


async def test_a_bad_row_is_named_and_the_good_ones_land(door: FrontDoor) -> None:
    rows = [
        DISPUTES[0],
        DISPUTES[1] | {"amount": "1000.01"},
        DISPUTES[2] | {"item_id": str(UUID(int=99))},
        DISPUTES[0] | {"reason": "SCP"},
        DISPUTES[1] | {"reason": "no such reason"},
        DISPUTES[1] | {"amount": "12,50"},
        DISPUTES[1] | {"opened_on": "9999-12-31"},
    ]
    summary, rejected = await door.import_("disputes", rows)
    assert (summary["landed"], summary["rejected"]) == (1, 6)
    assert [(r["row"], r["field"], r["code"]) for r in sorted(rejected, key=lambda r: r["row"])] == [
        (2, "amount", "dispute_above_billed"),
        (3, "item_id", "item_not_known"),
        (4, "dispute_id", "dispute_changed"),
        (5, "reason", "row_field_invalid"),
        (6, "amount", "amount_invalid"),
        (7, "opened_on", "contact_date_ahead"),
    ]
    _, rejected = await door.import_("promises", [PROMISES[0] | {"item_ids": "not-an-id"}])
    assert [(r["field"], r["code"]) for r in rejected] == [("item_ids", "item_ids_invalid")]


async def test_history_is_held_against_what_was_billed_though_all_is_paid_today(
    door: FrontDoor, topics: Topics
) -> None:
    from tests.integration.contact.test_policy import changed

    await topics.deliver(changed(A, "applied"))  # Nothing is open any more.
    live = {"item_id": str(A), "amount": "1.00", "currency": "USD", "reason": "PRC", "opened_on": "2026-02-02"}
    assert (await door.post("/disputes", live)).json()["code"] == "dispute_above_open"
    summary, _ = await door.import_("disputes", DISPUTES)
    assert summary["landed"] == 3
