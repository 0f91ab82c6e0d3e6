"""GET /items: open items and settled ones, each with what is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from services.kernel.auth import allow
from services.reporting.page import LIMIT_DEFAULT, Cursor, Limit, question, read_cursor, write_cursor
from services.reporting.query import AsOf, Filters, filters
from services.reporting.reading import Freshness, Reading, reading
from services.reporting.render import CSV_ANSWER, Format, amount, csv_answer, json_answer, wants_csv

Status = Literal["open", "settled", "voided", "written_off", "unapplied", "reversed", "expected"]
_AMOUNTS: Final = (
    *("total", "open", "retainage", "released", "credited", "paid", "written_off", "cancelled", "disputed"),
)

router = APIRouter(tags=["items"], dependencies=[allow("report.read")])


class ItemRow(BaseModel):
    """An invoice, a released part of retainage, or a receipt, whose amounts are negative. Decimal strings."""

    item_id: UUID
    kind: str | None
    invoice_id: UUID | None
    branch: str
    account_id: UUID | None
    account: str | None
    account_name: str | None
    collector: str | None
    job_id: UUID | None
    number: str | None
    reference: str | None
    method: str | None
    currency: str | None
    issued_on: date | None
    due_on: date | None
    days_past_due: int | None
    status: str
    total: str
    open: str
    retainage: str
    released: str
    credited: str
    paid: str
    written_off: str
    cancelled: str
    disputed: str
    step: int | None
    promised_on: date | None
    promised: str | None
    last_contact_on: date | None
    last_contact_channel: str | None
    last_contact_outcome: str | None
    agency: str | None


class Items(BaseModel):
    as_of: date
    known_at: str
    freshness: Freshness
    rows: list[ItemRow]
    next: str | None = None


@router.get("/items", response_model=Items, responses=CSV_ANSWER)
async def items(
    request: Request,
    read: Annotated[Reading, Depends(reading)],
    whom: Annotated[Filters, Depends(filters)],
    status: Annotated[Status | None, Query(description="All where it is not given.")] = None,
    overdue: Annotated[bool | None, Query(description="Open and past its due date, or not.")] = None,
    number: Annotated[str | None, Query(max_length=100, description="The invoice number, exactly.")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    format_: Format = None,
) -> Response:
    """Items as they are now, the earliest due first. For balances as of another day, ask `/aging?by=item`."""
    asked = question(status, overdue, number, whom)
    after = read_cursor(cursor, asked, tuple[date, UUID])
    found = await read.conn.fetch(
        _ITEMS, read.today, status, overdue, number, *whom.arguments, *(after or (None, None)), limit + 1
    )
    rows = [item_row(row) for row in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    body = {
        **AsOf(read.today, None).answered(read),
        "rows": rows,
        "next": write_cursor(asked, last["due_key"], last["item_id"]) if last else None,
    }
    if wants_csv(request, format_):
        return csv_answer(list(ItemRow.model_fields), rows, body)
    return json_answer(body)


def item_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the view `item` as the rim writes it."""
    currency = row["currency"]
    return {
        **{name: row[name] for name in ItemRow.model_fields if name in row.keys()},  # noqa: SIM118 - a Record
        "account": row["account_number"],
        "promised": amount(row["promised_minor"], currency),
        **{name: amount(row[f"{name}_minor"], currency) for name in _AMOUNTS},
    }


# An item whose own fact has not come yet has no dates: it is listed first. Python has no infinite day, and the driver
# takes its first one for it, both ways.
_ITEMS: Final = """
SELECT i.*, CASE WHEN i.open_minor > 0 AND i.due_on < $1::date THEN $1::date - i.due_on END AS days_past_due,
       coalesce(i.due_on, '-infinity') AS due_key
FROM item i
WHERE ($2::text IS NULL OR i.status = $2::text)
  AND ($3::boolean IS NULL OR (i.open_minor > 0 AND coalesce(i.due_on < $1::date, false)) = $3::boolean)
  AND ($4::text IS NULL OR i.number = $4::text)
  AND ($5::text[] IS NULL OR i.branch = ANY ($5::text[]))
  AND ($6::uuid[] IS NULL OR i.account_id = ANY ($6::uuid[]))
  AND ($7::text[] IS NULL OR i.currency = ANY ($7::text[]))
  AND ($8::text[] IS NULL OR i.collector = ANY ($8::text[]))
  AND ($9::date IS NULL OR (coalesce(i.due_on, '-infinity'), i.item_id) > ($9::date, $10::uuid))
ORDER BY due_key, i.item_id LIMIT $11
"""
