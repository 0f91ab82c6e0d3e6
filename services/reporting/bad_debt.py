"""GET /bad-debt: placements, recoveries, write-offs and the allowance of one month."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from events.money import Money, NotMoney
from services.kernel.auth import allow
from services.kernel.errors import Kind, Refused
from services.reporting.aging import BUCKETS_DEFAULT, Buckets
from services.reporting.allowance import RATES, expected_losses, parse_rates, required
from services.reporting.query import FIRST_DAY, LAST_DAY, AsOf, Filters, as_of, filters
from services.reporting.reading import Freshness, Reading, reading
from services.reporting.render import CSV_ANSWER, Format, amount, csv_answer, json_answer, wants_csv

router = APIRouter(tags=["reports"], dependencies=[allow("report.read")])


class MonthInvalid(Refused):
    """The month cannot be read."""

    code = "month_invalid"
    kind = Kind.INVALID


class ExistingInvalid(Refused):
    """The existing allowance is no amount."""

    code = "existing_invalid"
    kind = Kind.INVALID


class Placed(BaseModel):
    """What was handed to an agency in the month."""

    agency: str | None
    phase: str | None
    currency: str
    placements: int
    amount: str


class Recovered(BaseModel):
    """What came back: `net = gross - fee`. `direct` is what customers paid to us while placed."""

    agency: str
    phase: str
    recovered_from: str
    currency: str
    recoveries: int
    gross: str
    fee: str
    net: str


class WrittenOff(BaseModel):
    """What was really closed in the month, what was taken back, and the difference."""

    branch: str
    currency: str
    written_off: str
    reversed: str
    net: str


class AllowanceLine(BaseModel):
    bucket: str
    amount: str
    rate_pct: str
    expected_loss: str


class Allowance(BaseModel):
    """At the end of the month, or of as_of within it. `entry = required - existing`, null where that is not given."""

    currency: str
    on: date
    lines: list[AllowanceLine]
    adjustment_pct: str
    required: str
    existing: str | None
    entry: str | None


class BadDebt(BaseModel):
    month: str
    as_of: date
    known_at: str
    freshness: Freshness
    placements: list[Placed]
    recoveries: list[Recovered]
    write_offs: list[WrittenOff]
    allowance: list[Allowance]


Rates = Annotated[
    str | None,
    Query(
        pattern=RATES,
        max_length=120,
        description="Expected loss per bucket in percent, current first; the last for all older.",
    ),
]


@router.get("/bad-debt", response_model=BadDebt, responses=CSV_ANSWER)
async def bad_debt(
    request: Request,
    read: Annotated[Reading, Depends(reading)],
    when: Annotated[AsOf, Depends(as_of)],
    whom: Annotated[Filters, Depends(filters)],
    month: Annotated[
        str | None, Query(pattern=r"^\d{4}-\d{2}$", examples=["2026-10"], description="The month of as_of by default.")
    ] = None,
    buckets: Annotated[str, Query(max_length=80)] = BUCKETS_DEFAULT,
    rates: Rates = None,
    adjustment_pct: Annotated[
        Decimal, Query(ge=-100, le=1000, max_digits=8, decimal_places=4, description="For current conditions.")
    ] = Decimal(0),
    existing: Annotated[
        str | None, Query(max_length=24, description="The allowance that stands, of one currency; a debit is negative.")
    ] = None,
    format_: Format = None,
) -> Response:
    """One month of bad debt. Placed items stay open: placing is no write-off, and a recovery is no new sale."""
    first, last = month_of(month, when)
    span = (first, min(last, when.on), when.known_at, *whom.arguments)
    wanted = Buckets.parse(buckets)
    percent = parse_rates(rates or request.app.state.settings.allowance_rates, len(wanted.labels))
    body: dict[str, Any] = {
        "month": f"{first:%Y-%m}",
        **when.answered(read),
        "placements": [_money(row, "amount") for row in await read.conn.fetch(_PLACEMENTS, *span)],
        "recoveries": [_money(row, "gross", "fee", "net") for row in await read.conn.fetch(_RECOVERIES, *span)],
        "write_offs": [
            _money(row, "written_off", "reversed", "net") for row in await read.conn.fetch(_WRITE_OFFS, *span)
        ],
    }
    ages = await read.conn.fetch(_AGES, min(last, when.on), when.known_at, wanted.bounds, *whom.arguments)
    by_currency = _by_currency(ages, len(wanted.labels))
    if existing is not None and len(by_currency) > 1:
        raise ExistingInvalid("it is of one currency: name that one with `currency`", field="existing")
    body["allowance"] = [
        _allowance(currency, min(last, when.on), wanted, percent, adjustment_pct, existing, minors)
        for currency, minors in by_currency.items()
    ]
    if wants_csv(request, format_):
        rows = [line for section in _SECTIONS for line in _section(section, body[section])]
        return csv_answer(_CSV_COLUMNS, rows, body)
    return json_answer(body)


def month_of(text: str | None, when: AsOf) -> tuple[date, date]:
    """The month's first and last day. Errors: MonthInvalid."""
    try:
        first = date.fromisoformat(f"{text}-01") if text else when.on.replace(day=1)
    except ValueError:
        raise MonthInvalid("write it as 2026-10", field="month") from None
    if not FIRST_DAY <= first <= LAST_DAY:
        raise MonthInvalid("no ledger goes that far", field="month")
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def _money(row: Any, *names: str) -> dict[str, Any]:
    """A row with the named minor units as decimal strings."""
    return {**dict(row), **{name: amount(row[name], row["currency"]) for name in names}}


def _by_currency(ages: Any, buckets: int) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in ages:
        found.setdefault(row["currency"], [0] * buckets)[row["bucket"]] = row["minor"]
    return found


def _allowance(
    currency: str,
    on: date,
    wanted: Buckets,
    percent: tuple[Decimal, ...],
    adjustment_pct: Decimal,
    existing: str | None,
    minors: list[int],
) -> dict[str, Any]:
    losses = expected_losses(minors, percent)
    needed = required(losses, adjustment_pct)
    try:
        stands = Money.parse(existing, currency).minor if existing is not None else None
    except NotMoney as error:
        raise ExistingInvalid(str(error), field="existing") from None
    return {
        "currency": currency,
        "on": on,
        "lines": [
            {
                "bucket": label,
                "amount": amount(loss.minor, currency),
                "rate_pct": str(loss.rate),
                "expected_loss": amount(loss.expected, currency),
            }
            for label, loss in zip(wanted.labels, losses, strict=True)
        ],
        "adjustment_pct": f"{adjustment_pct:f}",
        "required": amount(needed, currency),
        "existing": amount(stands, currency),
        "entry": None if stands is None else amount(needed - stands, currency),
    }


_SECTIONS: Final = ("placements", "recoveries", "write_offs", "allowance")
_CSV_COLUMNS: Final = (
    *("section", "currency", "branch", "agency", "phase", "recovered_from", "bucket", "placements", "recoveries"),
    *(
        "amount",
        "gross",
        "fee",
        "net",
        "written_off",
        "reversed",
        "rate_pct",
        "expected_loss",
        "required",
        "existing",
        "entry",
    ),
)


def _section(section: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A section's rows for CSV, each with the section's name; the allowance has a row per bucket and one of its sum."""
    if section != "allowance":
        return [{"section": section, **row} for row in rows]
    lines = [{"section": section, "currency": row["currency"], **line} for row in rows for line in row["lines"]]
    return [*lines, *({"section": "allowance_total", **row} for row in rows)]


# $1 first day, $2 last day, $3 known_at, $4 branches, $5 accounts, $6 currencies, $7 collectors
_WHO: Final = """
  ($4::text[] IS NULL OR x.branch = ANY ($4::text[]))
  AND ($5::uuid[] IS NULL OR x.account_id = ANY ($5::uuid[]))
  AND ($6::text[] IS NULL OR x.currency = ANY ($6::text[]))
  AND ($7::text[] IS NULL OR x.account_id IN (SELECT account_id FROM account WHERE collector = ANY ($7::text[])))
"""
_KNOWN: Final = "AND ($3::timestamptz IS NULL OR x.recorded_at <= $3::timestamptz)"
_PLACEMENTS: Final = f"""
SELECT x.agency, x.phase, x.currency, count(*) AS placements, sum(x.amount_minor)::bigint AS amount
FROM placement x
WHERE x.placed_on BETWEEN $1::date AND $2::date AND {_WHO}
  AND ($3::timestamptz IS NULL OR EXISTS (
      SELECT FROM timeline t WHERE t.account_id = x.account_id AND t.type = 'escalation.placed_with_agency'
      AND t.stream = 'placement-' || x.placement_id AND t.recorded_at <= $3::timestamptz))
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""  # noqa: S608 - only words of this module
_RECOVERIES: Final = f"""
SELECT x.agency, x.phase, x.recovered_from, x.currency, count(*) AS recoveries,
       sum(x.gross_minor)::bigint AS gross, sum(x.fee_minor)::bigint AS fee, sum(x.net_minor)::bigint AS net
FROM recovery x
WHERE x.effective_on BETWEEN $1::date AND $2::date {_KNOWN} AND {_WHO}
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""  # noqa: S608 - only words of this module
_WRITE_OFFS: Final = f"""
SELECT x.branch, x.currency,
       coalesce(-sum(x.amount_minor) FILTER (WHERE x.cause = 'written_off'), 0)::bigint AS written_off,
       coalesce(sum(x.amount_minor) FILTER (WHERE x.cause = 'write_off_reversed'), 0)::bigint AS reversed,
       (-sum(x.amount_minor))::bigint AS net
FROM movement x
WHERE x.cause IN ('written_off', 'write_off_reversed') AND x.effective_on BETWEEN $1::date AND $2::date {_KNOWN}
  AND {_WHO}
GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608 - only words of this module
# Unapplied money is not netted and retainage is not late: the allowance is on what ages.
_AGES: Final = """
SELECT currency, bucket, sum(amount_minor)::bigint AS minor
FROM aging_by('total', $1, $2, 'due', $3, $4, $5, $6, $7) WHERE kind = 'open'
GROUP BY 1, 2 ORDER BY 1, 2
"""
