"""GET /aging: what is open, by how late it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from services.kernel.auth import allow
from services.kernel.errors import Kind, Refused
from services.reporting.aging_sql import aging_sql, leading_sql
from services.reporting.page import LIMIT_DEFAULT, Cursor, Limit, question, read_cursor, write_cursor
from services.reporting.query import AsOf, Filters, as_of, filters
from services.reporting.reading import Freshness, Reading, reading
from services.reporting.render import CSV_ANSWER, Format, amount, csv_answer, json_answer, wants_csv

By = Literal["branch", "account", "job", "item"]
Anchor = Literal["due", "invoice"]
Credits = Literal["separate", "in_bucket"]
Sort = Literal["name", "-total", "-past_due"]
BUCKETS_DEFAULT: Final = "30,60,90,120"
_BUCKETS_MAX: Final = 12
_DAYS_MAX: Final = 3650

router = APIRouter(tags=["reports"], dependencies=[allow("report.read")])


class BucketsInvalid(Refused):
    """The bucket limits are no ascending days."""

    code = "buckets_invalid"
    kind = Kind.INVALID


@dataclass(frozen=True, slots=True)
class Buckets:
    """`ends` are the last days past due of each bucket after current: (30, 60, 90, 120)."""

    ends: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Buckets:
        """Errors: BucketsInvalid."""
        try:
            ends = tuple(int(part) for part in text.split(","))
        except ValueError:
            raise BucketsInvalid("write days, such as 30,60,90,120", field="buckets") from None
        ascending = all(low < high for low, high in zip((0, *ends), ends, strict=False))
        if not ascending or len(ends) > _BUCKETS_MAX or ends[-1] > _DAYS_MAX:
            raise BucketsInvalid(f"up to {_BUCKETS_MAX} ascending days, none above {_DAYS_MAX}", field="buckets")
        return cls(ends)

    @property
    def labels(self) -> tuple[str, ...]:
        """current, 1-30, 31-60, ..., 121+."""
        starts = (0, *self.ends)
        between = (f"{low + 1}-{high}" for low, high in zip(starts, self.ends, strict=False))
        return ("current", *between, f"{self.ends[-1] + 1}+")

    @property
    def bounds(self) -> list[int]:
        """Where each bucket but current begins, as `aging_report` takes it."""
        return [1, *(end + 1 for end in self.ends)]


class AgingAmounts(BaseModel):
    """One line's amounts, decimal strings. `unapplied` is negative; null where credits stand in the buckets."""

    currency: str
    buckets: dict[str, str] = Field(examples=[{"current": "500.00", "1-30": "1000.00", "31-60": "0.00"}])
    past_due: str
    retainage: str
    unapplied: str | None
    total: str


class AgingRow(AgingAmounts):
    """The amounts of one branch, account, job or item; what does not apply is null."""

    branch: str | None = None
    name: str | None = None
    account_id: str | None = None
    account: str | None = None
    job_id: str | None = None
    job: str | None = None
    item_id: str | None = None
    item: str | None = None
    issued_on: date | None = None
    due_on: date | None = None


class AgingTotal(AgingAmounts):
    """All rows of one currency, not just this page's.

    `control_balance` is what the ledger's own facts add up to: given for today, all accounts, all we know.
    """

    control_balance: str | None = None
    difference: str | None = None


class Aging(BaseModel):
    as_of: date
    known_at: str
    freshness: Freshness
    anchor: str
    by: str
    rows: list[AgingRow]
    totals: list[AgingTotal]
    next: str | None = None


@router.get("/aging", response_model=Aging, responses=CSV_ANSWER)
async def aging(
    request: Request,
    read: Annotated[Reading, Depends(reading)],
    when: Annotated[AsOf, Depends(as_of)],
    whom: Annotated[Filters, Depends(filters)],
    by: By = "branch",
    anchor: Annotated[Anchor, Query(description="The date that ages: the due date or the invoice's.")] = "due",
    buckets: Annotated[str, Query(max_length=80, description="Last days of each bucket.")] = BUCKETS_DEFAULT,
    credits_: Annotated[
        Credits, Query(alias="credits", description="Unapplied money in a column, or in the bucket of its own date.")
    ] = "separate",
    sort: Annotated[Sort, Query(description="By number or name, or the largest amounts first.")] = "name",
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    format_: Format = None,
) -> Response:
    """What is open as of a day, by how late it is. Retainage is never late: it has a column of its own.

    Buckets, retainage and unapplied add up to the receivables control account.
    """
    wanted = Buckets.parse(buckets)
    asked = question(by, anchor, buckets, credits_, sort, when.on, when.known_at, whom)
    after = read_cursor(cursor, asked, tuple[str, str] if sort == "name" else tuple[int, str])
    arguments = (
        by,
        when.on,
        when.known_at,
        anchor,
        wanted.bounds,
        *whom.arguments,
        credits_ == "in_bucket",
        limit + 1,
        *(after or ()),
    )
    found: list[Mapping[str, Any]] = []
    if _is_led(by, sort, when, whom, read.today):
        found = await read.conn.fetch(leading_sql(by, sort, after=after is not None), *arguments)
    if sum(not row["is_total"] for row in found) <= limit:  # Not asked, or the amounts above zero do not fill the page.
        found = await read.conn.fetch(aging_sql(by, len(wanted.labels), sort, after=after is not None), *arguments)
    controls = await _controls(read, when, whom)
    totals = [_total(row, wanted, credits_, controls) for row in found if row["is_total"]]
    page = [row for row in found if not row["is_total"]]
    rows = [{**_dimensions(row), **_amounts(row, wanted, credits_)} for row in page[:limit]]
    last = page[limit - 1] if len(page) > limit else None
    body = {
        **when.answered(read),
        "anchor": anchor,
        "by": by,
        "rows": rows,
        "totals": totals,
        "next": write_cursor(asked, last["sort_value"], last["row_id"]) if last else None,
    }
    if wants_csv(request, format_):
        return csv_answer(_csv_columns(by, wanted, credits_), [_flat(row) for row in rows], body)
    return json_answer(body)


def _is_led(by: str, sort: str, when: AsOf, whom: Filters, today: date) -> bool:
    """Whether to find a page's order first: worth it for a whole firm now, of which a page has an index by account.

    Of the past, the rows of a page cost nearly as much as all. A few branches, accounts or collectors have few items.
    """
    now = when.known_at is None and when.on >= today
    narrow = whom.branches or whom.accounts or whom.collectors
    return by in ("account", "job") and sort != "name" and now and not narrow


def _amounts(row: Mapping[str, Any], wanted: Buckets, credits_: str) -> dict[str, Any]:
    currency = row["currency"]
    in_buckets = credits_ == "in_bucket"
    return {
        "currency": currency,
        "buckets": {label: amount(minor, currency) for label, minor in zip(wanted.labels, row["buckets"], strict=True)},
        "past_due": amount(row["past_due"], currency),
        "retainage": amount(row["retainage"], currency),
        "unapplied": None if in_buckets else amount(row["unapplied"], currency),
        "total": amount(row["total"], currency),
    }


_DIMENSIONS: Final[dict[str, tuple[str, ...]]] = {
    "branch": ("branch", "name"),
    "account": ("account_id", "account", "name"),
    "job": ("account_id", "account", "job_id", "job", "name"),
    "item": ("branch", "account_id", "account", "job_id", "item_id", "item", "issued_on", "due_on"),
}


# Found once: asking a model for its fields costs more than all of a row's amounts.
_NAMES: Final = tuple(name for name in AgingRow.model_fields if name not in AgingAmounts.model_fields)


def _dimensions(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in _NAMES}


def _csv_columns(by: str, wanted: Buckets, credits_: str) -> list[str]:
    unapplied = ["unapplied"] if credits_ == "separate" else []
    return [*_DIMENSIONS[by], "currency", *wanted.labels, "past_due", "retainage", *unapplied, "total"]


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **row["buckets"]}


def _total(
    row: Mapping[str, Any], wanted: Buckets, credits_: str, controls: Mapping[str, int] | None
) -> dict[str, Any]:
    """The amounts of one currency beside its control account, where that can be told."""
    currency = row["currency"]
    control = None if controls is None else controls.get(currency, 0)
    difference = None if control is None else row["total"] - control
    return {
        **_amounts(row, wanted, credits_),
        "control_balance": amount(control, currency),
        "difference": amount(difference, currency),
    }


async def _controls(read: Reading, when: AsOf, whom: Filters) -> dict[str, int] | None:
    """The control account by currency; None where the question is one that it cannot answer: it knows today only."""
    if when.known_at is not None or whom.accounts or whom.collectors or when.on < read.today:
        return None
    return {row["currency"]: row["minor"] for row in await read.conn.fetch(_CONTROL, whom.branches, when.on)}


# What takes effect after the day is in the control account but not in a report as of it.
_CONTROL: Final = """
SELECT currency, sum(minor)::bigint AS minor FROM (
    SELECT currency, amount_minor AS minor FROM control_balance
    WHERE $1::text[] IS NULL OR branch = ANY ($1::text[])
    UNION ALL
    SELECT currency, -amount_minor FROM movement
    WHERE effective_on > $2::date AND ($1::text[] IS NULL OR branch = ANY ($1::text[]))
) c GROUP BY currency
"""
