"""GET /accounts, /accounts/{id} and its timeline: one customer, what he owes, and all that happened."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from services.kernel.auth import allow
from services.kernel.errors import Unknown
from services.reporting.page import LIMIT_DEFAULT, Cursor, Limit, question, read_cursor, write_cursor
from services.reporting.query import AsOf, Filters, as_of, filters
from services.reporting.reading import Freshness, Reading, reading
from services.reporting.render import CSV_ANSWER, Format, amount, csv_answer, json_answer, wants_csv

router = APIRouter(prefix="/accounts", tags=["accounts"], dependencies=[allow("report.read")])


class AccountRow(BaseModel):
    """A customer account. `name` is a trade name; a natural person's is kept by the contact service."""

    account_id: UUID
    branch: str
    number: str | None
    name: str | None
    profile: str | None
    currency: str | None
    terms_days: int | None
    collector: str | None
    opened_on: date | None


class AccountBalance(BaseModel):
    """What the account owes in one currency. `unapplied` is negative."""

    currency: str
    open: str
    past_due: str
    retainage: str
    unapplied: str
    total: str


class PromiseRow(BaseModel):
    promise_id: UUID
    currency: str | None
    amount: str | None
    paid: str | None
    promised_on: date | None


class DisputeRow(BaseModel):
    dispute_id: UUID
    item_id: UUID | None
    currency: str | None
    amount: str | None
    reason: str | None
    owner: str | None
    opened_on: date | None


class AccountAnswer(AccountRow):
    """The account as it is, what it owes as of the day, and what stands open about it now."""

    as_of: date
    known_at: str
    freshness: Freshness
    on_hold: bool
    hold_reason: str | None
    balances: list[AccountBalance]
    promises: list[PromiseRow]
    disputes: list[DisputeRow]


class Accounts(BaseModel):
    as_of: date
    known_at: str
    freshness: Freshness
    rows: list[AccountRow]
    next: str | None = None


class TimelineRow(BaseModel):
    """One fact. `amount` is as the fact names it; `summary` has a few members that depend on the type."""

    effective_on: date
    recorded_at: datetime
    type: str
    branch: str
    item_id: UUID | None
    currency: str | None
    amount: str | None
    actor: str
    stream: str
    stream_version: int
    summary: dict[str, Any]


class Timeline(BaseModel):
    as_of: date
    known_at: str
    freshness: Freshness
    rows: list[TimelineRow]
    next: str | None = None


@router.get("", response_model=Accounts, responses=CSV_ANSWER)
async def accounts(
    request: Request,
    read: Annotated[Reading, Depends(reading)],
    whom: Annotated[Filters, Depends(filters)],
    number: Annotated[str | None, Query(max_length=100, description="The account number, exactly.")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    format_: Format = None,
) -> Response:
    """Accounts by number."""
    asked = question("accounts", number, whom)
    after = read_cursor(cursor, asked, tuple[str, UUID])
    found = await read.conn.fetch(_ACCOUNTS, number, *whom.arguments, *(after or (None, None)), limit + 1)
    rows = [{name: row[name] for name in AccountRow.model_fields} for row in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    body = {
        **AsOf(read.today, None).answered(read),
        "rows": rows,
        "next": write_cursor(asked, last["number"] or "", last["account_id"]) if last else None,
    }
    if wants_csv(request, format_):
        return csv_answer(list(AccountRow.model_fields), rows, body)
    return json_answer(body)


@router.get("/{account_id}", response_model=AccountAnswer)
async def account(
    account_id: UUID, read: Annotated[Reading, Depends(reading)], when: Annotated[AsOf, Depends(as_of)]
) -> Response:
    """One account: what it owes as of a day, its open promises and disputes, and whether it is on hold."""
    row = await _account(read, account_id)
    balances = await read.conn.fetch(_BALANCES, when.on, when.known_at, [account_id])
    promises = await read.conn.fetch(_PROMISES, account_id)
    disputes = await read.conn.fetch(_DISPUTES, account_id)
    hold = await read.conn.fetchrow("SELECT reason FROM hold WHERE account_id = $1 AND active", account_id)
    return json_answer(
        {
            **row,
            **when.answered(read),
            "on_hold": hold is not None,
            "hold_reason": hold["reason"] if hold else None,
            "balances": [_amounts(b, "open", "past_due", "retainage", "unapplied", "total") for b in balances],
            "promises": [_amounts(p, "amount", "paid") for p in promises],
            "disputes": [_amounts(d, "amount") for d in disputes],
        }
    )


@router.get("/{account_id}/timeline", response_model=Timeline, responses=CSV_ANSWER)
async def timeline(
    request: Request,
    account_id: UUID,
    read: Annotated[Reading, Depends(reading)],
    when: Annotated[AsOf, Depends(as_of)],
    item: Annotated[UUID | None, Query(description="Only what is about this item.")] = None,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    format_: Format = None,
) -> Response:
    """All that happened to an account, newest first, as of a day and as known at an instant."""
    await _account(read, account_id)
    asked = question("timeline", account_id, item, when.on, when.known_at)
    after = read_cursor(cursor, asked, tuple[date, datetime, str, int, int])
    found = await read.conn.fetch(
        _TIMELINE, account_id, item, when.on, when.known_at, *(after or (None,) * 5), limit + 1
    )
    rows = [{**_amounts(row, "amount"), "summary": msgspec.json.decode(row["summary"])} for row in found[:limit]]
    last = found[limit - 1] if len(found) > limit else None
    body: dict[str, Any] = {
        **when.answered(read),
        "rows": [{name: row[name] for name in TimelineRow.model_fields} for row in rows],
        "next": write_cursor(asked, *(last[name] for name in _TIMELINE_KEY)) if last else None,
    }
    if wants_csv(request, format_):
        flat = [{**row, "summary": msgspec.json.encode(row["summary"]).decode()} for row in body["rows"]]
        return csv_answer(list(TimelineRow.model_fields), flat, body)
    return json_answer(body)


async def _account(read: Reading, account_id: UUID) -> dict[str, Any]:
    row = await read.conn.fetchrow("SELECT * FROM account WHERE account_id = $1", account_id)
    if row is None:
        raise Unknown("no such account, or not in your branches", field="account_id")
    return {name: row[name] for name in AccountRow.model_fields}


def _amounts(row: Any, *names: str) -> dict[str, Any]:
    return {**dict(row), **{name: amount(row[name], row["currency"]) for name in names}}


_ACCOUNTS: Final = """
SELECT x.* FROM account x
WHERE ($1::text IS NULL OR x.number = $1::text)
  AND ($2::text[] IS NULL OR x.branch = ANY ($2::text[]))
  AND ($3::uuid[] IS NULL OR x.account_id = ANY ($3::uuid[]))
  AND ($4::text[] IS NULL OR x.currency = ANY ($4::text[]))
  AND ($5::text[] IS NULL OR x.collector = ANY ($5::text[]))
  AND ($6::text IS NULL OR (coalesce(x.number, ''), x.account_id) > ($6::text, $7::uuid))
ORDER BY coalesce(x.number, ''), x.account_id LIMIT $8
"""
_BALANCES: Final = """
SELECT currency,
       coalesce(sum(amount_minor) FILTER (WHERE kind = 'open'), 0)::bigint AS open,
       coalesce(sum(amount_minor) FILTER (WHERE kind = 'open' AND bucket > 0), 0)::bigint AS past_due,
       coalesce(sum(amount_minor) FILTER (WHERE kind = 'retainage'), 0)::bigint AS retainage,
       coalesce(sum(amount_minor) FILTER (WHERE kind = 'unapplied'), 0)::bigint AS unapplied,
       sum(amount_minor)::bigint AS total
FROM aging_by('account', $1, $2, 'due', '{1}', NULL, $3) GROUP BY currency ORDER BY currency
"""
_PROMISES: Final = """
SELECT promise_id, currency, amount_minor AS amount, paid_minor AS paid, promised_on
FROM promise WHERE account_id = $1 AND status = 'open' ORDER BY promised_on, promise_id
"""
_DISPUTES: Final = """
SELECT dispute_id, item_id, currency, amount_minor AS amount, reason, owner, opened_on
FROM dispute WHERE account_id = $1 AND status = 'open' ORDER BY opened_on, dispute_id
"""
_TIMELINE_KEY: Final = ("effective_on", "recorded_at", "stream", "stream_version", "line")
_TIMELINE: Final = """
SELECT t.*, t.amount_minor AS amount FROM timeline t
WHERE t.account_id = $1 AND ($2::uuid IS NULL OR t.item_id = $2::uuid) AND t.effective_on <= $3::date
  AND ($4::timestamptz IS NULL OR t.recorded_at <= $4::timestamptz)
  AND ($5::date IS NULL OR (t.effective_on, t.recorded_at, t.stream, t.stream_version, t.line)
       < ($5::date, $6::timestamptz, $7::text, $8::int, $9::int))
ORDER BY t.effective_on DESC, t.recorded_at DESC, t.stream DESC, t.stream_version DESC, t.line DESC LIMIT $10
"""
