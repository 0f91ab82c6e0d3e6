"""Files of receipts and reversals on a real Postgres."""

from uuid import uuid4

from tests.integration.payment.conftest import ACCOUNT, Desk, issued

HEADER = "receipt_id,branch,account_id,method,reference,amount,currency,received_on,item_id,applied,applied_on\n"


def row(receipt: object, amount: str, item: object = "", applied: str = "", *, method: str = "check") -> str:
    return f"{receipt},CHI,{ACCOUNT},{method},1002,{amount},USD,2025-04-10,{item},{applied},\n"


async def test_a_second_run_of_the_same_file_adds_nothing(desk: Desk) -> None:
    items = [await desk.item("100.00") for _ in range(3)]
    receipt, other = uuid4(), uuid4()
    file = HEADER + row(receipt, "250.00", items[0], "100.00") + row(receipt, "250.00", items[1], "100.00")
    file += row(other, "40.00", items[2], "40.00") + row(uuid4(), "5.00")
    [*_, summary] = await desk.upload("receipts", file)
    assert summary == {"line": "summary", "rows": 4, "landed": 4, "on_record": 0, "rejected": 0, "facts": 9}
    facts = await desk.facts()
    reversals = f"receipt_id,reason,reversed_on\n{other},nsf,2025-04-15\n"
    [*_, summary] = await desk.upload("reversals", reversals)
    assert (summary["landed"], summary["facts"]) == (1, 3)
    assert await desk.open_of(items[2]) == "100.00"
    for kind, again, rows in (("receipts", file, 4), ("reversals", reversals, 1)):
        [*_, summary] = await desk.upload(kind, again)
        assert (summary["landed"], summary["on_record"], summary["rejected"]) == (0, rows, 0)
    assert await desk.facts() == facts + 3


async def test_bad_rows_are_named_and_good_rows_land(desk: Desk) -> None:
    item = await desk.item("100.00")
    good = uuid4()
    file = HEADER + row(uuid4(), "0") + row(uuid4(), "1,5") + row(good, "100.00", item, "60.00")
    file += row(uuid4(), "70.00", item, "70.00") + row(uuid4(), "1.00", uuid4(), "1.00") + row(uuid4(), "1.00", item)
    file += row(uuid4(), "1.00", method="barter") + row(good, "99.00")
    lines = await desk.upload("receipts", file)
    rejected = [(line["row"], line["field"], line["code"]) for line in lines if line["line"] == "rejected"]
    assert sorted(rejected) == [
        (1, "amount", "payment_not_positive"),
        (2, None, "row_malformed"),  # The comma makes a cell of its own.
        (4, "lines", "more_than_open"),
        (5, "item_id", "item_unknown"),
        (6, "applied", "application_incomplete"),
        (7, "method", "row_field_invalid"),
        (8, "amount", "receipt_changed"),
    ]
    assert lines[-1]["landed"] == 1
    assert await desk.open_of(item) == "40.00"


async def test_a_file_may_wait_for_items_that_are_about_to_arrive(desk: Desk) -> None:
    import asyncio

    invoice = issued(uuid4(), "100.00")
    file = HEADER + row(uuid4(), "100.00", invoice.item.item_id, "100.00")
    sending = asyncio.create_task(desk.upload("receipts", file, Prefer="wait=30"))
    await asyncio.sleep(0.2)
    await desk.arrive(invoice)
    assert (await sending)[-1]["landed"] == 1


async def test_a_thousand_rows_of_one_receipt_land_in_order(desk: Desk) -> None:
    invoices = [issued(uuid4(), "1.00") for _ in range(1000)]
    await desk.arrive(*invoices)
    receipt = uuid4()
    file = HEADER + "".join(row(receipt, "1000.00", one.item.item_id, "1.00") for one in invoices)
    assert (await desk.upload("receipts", file))[-1]["landed"] == 1000
    assert (await desk.get(f"/receipts/{receipt}")).json()["unapplied"] == "0.00"
