"""GET /cash-flow: what came in by day and method, what is expected, and the one against the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from services.kernel.auth import allow
from services.kernel.errors import Kind, Refused
from services.reporting.query import AsOf, Day, Filters, as_of, filters
from services.reporting.reading import Freshness, Reading, reading
from services.reporting.render import CSV_ANSWER, Format, amount, csv_answer, json_answer, wants_csv

Period = Literal["day", "week", "month"]
METHODS: Final = ("check", "ach", "wire", "card", "lockbox", "cash")
DAYS_MAX: Final = 3_660
_BACK, _AHEAD = timedelta(days=27), timedelta(days=28)  # Where no range is asked for: four weeks either way.

router = APIRouter(tags=["reports"], dependencies=[allow("report.read")])


class RangeInvalid(Refused):
    """The range of days is empty, or too long."""

    code = "range_invalid"
    kind = Kind.INVALID


class CashFlowRow(BaseModel):
    """One period and currency; `on` is its first day. All amounts are decimal strings.

    `received` by method is before what went back; `net` = received - reversed - refunded. `fell_due` is what had been
    billed to fall due then, paid or not, `due` the part that is still open; `promised` what open promises still owe;
    `forecast` when the same open money is likely to come: promises on their day, the rest when the customer usually
    pays. Disputed money is not forecast.
    """

    on: date
    currency: str
    received: dict[str, str]
    reversed: str
    refunded: str
    net: str
    fell_due: str
    due: str
    promised: str
    forecast: str


class CashFlowTotal(BaseModel):
    """`collected_pct` is net received against what fell due in the range; null where nothing did."""

    currency: str
    net: str
    fell_due: str
    due: str
    promised: str
    forecast: str
    collected_pct: str | None


class CashFlow(BaseModel):
    as_of: date
    known_at: str
    freshness: Freshness
    by: str
    rows: list[CashFlowRow]
    totals: list[CashFlowTotal]


@router.get("/cash-flow", response_model=CashFlow, responses=CSV_ANSWER)
async def cash_flow(
    request: Request,
    read: Annotated[Reading, Depends(reading)],
    when: Annotated[AsOf, Depends(as_of)],
    whom: Annotated[Filters, Depends(filters)],
    from_: Annotated[Day | None, Query(alias="from", description="First day; 27 days before as_of by default.")] = None,
    to: Annotated[Day | None, Query(description="Last day; 28 days after as_of by default.")] = None,
    by: Period = "day",
    format_: Format = None,
) -> Response:
    """Receipts by deposit date, against what fell due and what is expected as of a day. Only periods with amounts."""
    first, last = range_of(when, from_, to)
    span = (first, last)
    periods: dict[tuple[date, str], dict[str, Any]] = {}
    received = await read.conn.fetch(_RECEIVED, *span, when.on, when.known_at, *whom.arguments, by)
    for row in received:
        _period(periods, row)["methods"][row["method"]] = row
    expected = await read.conn.fetch(_EXPECTED, *span, when.on, when.known_at, *whom.arguments, by)
    for row in expected:
        _period(periods, row)["expected"] = row
    rows = [_row(on, currency, parts) for (on, currency), parts in sorted(periods.items())]
    body = {**when.answered(read), "by": by, "rows": rows, "totals": list(_totals(periods))}
    if wants_csv(request, format_):
        columns = ["on", "currency", *METHODS, *(n for n in CashFlowRow.model_fields if n not in _NOT_FLAT)]
        return csv_answer(columns, [{**row, **row["received"]} for row in rows], body)
    return json_answer(body)


_NOT_FLAT: Final = ("on", "currency", "received")
_EXPECTATIONS: Final = ("fell_due", "due", "promised", "forecast")


def range_of(when: AsOf, first: date | None, last: date | None) -> tuple[date, date]:
    """First and last day. Errors: RangeInvalid."""
    first, last = first or when.on - _BACK, last or when.on + _AHEAD
    if not 0 <= (last - first).days < DAYS_MAX:
        raise RangeInvalid(f"`from` comes before `to`, at most {DAYS_MAX} days", field="to")
    return first, last


def _period(periods: dict[tuple[date, str], dict[str, Any]], row: Mapping[str, Any]) -> dict[str, Any]:
    return periods.setdefault((row["period"], row["currency"]), {"methods": {}, "expected": {}})


def _net(methods: Iterable[Mapping[str, Any]]) -> int:
    return sum(row["received"] - row["reversed"] - row["refunded"] for row in methods)


def _row(on: date, currency: str, parts: Mapping[str, Any]) -> dict[str, Any]:
    methods, expected = parts["methods"], parts["expected"]
    return {
        "on": on,
        "currency": currency,
        "received": {m: amount(methods[m]["received"] if m in methods else 0, currency) for m in METHODS},
        "reversed": amount(sum(row["reversed"] for row in methods.values()), currency),
        "refunded": amount(sum(row["refunded"] for row in methods.values()), currency),
        "net": amount(_net(methods.values()), currency),
        **{name: amount(expected.get(name, 0), currency) for name in _EXPECTATIONS},
    }


def _totals(periods: Mapping[tuple[date, str], Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for currency in sorted({currency for _, currency in periods}):
        mine = [parts for (_, other), parts in periods.items() if other == currency]
        net = sum(_net(parts["methods"].values()) for parts in mine)
        sums = {name: sum(parts["expected"].get(name, 0) for parts in mine) for name in _EXPECTATIONS}
        due = sums["fell_due"]
        yield {
            "currency": currency,
            "net": amount(net, currency),
            **{name: amount(minor, currency) for name, minor in sums.items()},
            # Half up, in tenths of a percent: a ratio for people, never summed.
            "collected_pct": f"{(2000 * net + due) // (2 * due) / 10:.1f}" if due > 0 else None,
        }


# $1 from, $2 to, $3 as_of, $4 known_at, $5 branches, $6 accounts, $7 currencies, $8 collectors, $9 period
_WHO: Final = """
      AND ($5::text[] IS NULL OR x.branch = ANY ($5::text[]))
      AND ($6::uuid[] IS NULL OR x.account_id = ANY ($6::uuid[]))
      AND ($7::text[] IS NULL OR x.currency = ANY ($7::text[]))
      AND ($8::text[] IS NULL OR x.account_id IN (SELECT account_id FROM account WHERE collector = ANY ($8::text[])))
"""
_RECEIVED: Final = f"""
SELECT date_trunc($9, x.effective_on::timestamp)::date AS period, x.currency, x.method,
       coalesce(sum(x.amount_minor) FILTER (WHERE x.cause = 'received'), 0)::bigint AS received,
       coalesce(-sum(x.amount_minor) FILTER (WHERE x.cause = 'reversed'), 0)::bigint AS reversed,
       coalesce(-sum(x.amount_minor) FILTER (WHERE x.cause = 'refunded'), 0)::bigint AS refunded
FROM cash_movement x
WHERE x.effective_on BETWEEN $1::date AND $2::date AND x.effective_on <= $3::date
  AND ($4::timestamptz IS NULL OR x.recorded_at <= $4::timestamptz)
  {_WHO}
GROUP BY 1, 2, 3
"""  # noqa: S608 - only words of this module
# The open money of each item as of the day is divided: disputed (not forecast), promised (on the promise's day), the
# rest (due date plus the customer's usual days late; what should have come already is expected the day after). So over
# all days the forecast is what is open and not disputed, each cent once.
_EXPECTED: Final = f"""
WITH billed AS (
    SELECT x.due_on AS day, x.currency, sum(x.amount_minor) AS minor FROM movement x
    WHERE x.kind = 'open' AND x.cause IN ('issued', 'released', 'credited', 'voided')
      AND x.due_on BETWEEN $1::date AND $2::date AND x.effective_on <= $3::date
      AND ($4::timestamptz IS NULL OR x.recorded_at <= $4::timestamptz)
      {_WHO}
    GROUP BY 1, 2
), standing AS MATERIALIZED (
    SELECT a.item_id, a.account_id, a.currency, o.due_on, a.open_minor,
           greatest(a.open_minor - coalesce(d.minor, 0), 0) AS free_minor
    FROM (SELECT item_id, account_id, currency, sum(amount_minor) AS open_minor
          FROM aging_by('item', $3::date, $4::timestamptz, 'due', '{{1}}', $5, $6, $7, $8)
          WHERE kind = 'open' GROUP BY 1, 2, 3) a
    JOIN open_item o USING (item_id)
    LEFT JOIN (SELECT item_id, sum(amount_minor) AS minor FROM dispute
               WHERE opened_on <= $3::date AND (resolved_on IS NULL OR resolved_on > $3::date)
               GROUP BY 1) d USING (item_id)
), promises AS MATERIALIZED (
    SELECT x.promise_id, x.currency, x.promised_on, greatest(x.amount_minor - coalesce(x.paid_minor, 0), 0) AS minor
    FROM promise x
    WHERE x.made_on <= $3::date AND (x.decided_on IS NULL OR x.decided_on > $3::date)
      {_WHO}
), spread AS (
    -- A promise over several items counts on each up to what is free there, the earliest due first.
    SELECT s.*, p.promise_id, p.promised_on,
           least(s.free_minor, greatest(p.minor - coalesce(sum(s.free_minor) OVER (
               PARTITION BY p.promise_id ORDER BY s.due_on, s.item_id
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0), 0)) AS share
    FROM promises p JOIN promise_item i USING (promise_id) JOIN standing s USING (item_id, currency)
), promised AS MATERIALIZED (
    -- An item that was promised twice is paid once: the earlier promise comes first.
    SELECT account_id, currency, due_on, promised_on, greatest(least(share, free_minor - coalesce(sum(share) OVER (
               PARTITION BY item_id ORDER BY promised_on, promise_id
               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)), 0) AS minor
    FROM spread
), forecast AS (
    -- However late an account pays, it is years and not ages: the day must stay within the calendar.
    SELECT greatest(s.due_on + round(least(greatest(coalesce(b.late, 0), -3650), 3650))::int, $3::date + 1) AS day,
           s.currency, s.minor
    FROM (SELECT account_id, currency, due_on, free_minor AS minor FROM standing
          UNION ALL SELECT account_id, currency, due_on, -minor FROM promised) s
    LEFT JOIN (SELECT account_id, currency, sum(late_minor_days) / nullif(sum(paid_minor), 0) AS late
               FROM payment_behaviour GROUP BY 1, 2) b USING (account_id, currency)
    UNION ALL
    SELECT greatest(promised_on, $3::date + 1), currency, minor FROM promised
), days AS (
    SELECT day, currency, minor AS fell_due, 0 AS due, 0 AS promised, 0 AS forecast FROM billed
    UNION ALL SELECT due_on, currency, 0, open_minor, 0, 0 FROM standing
    UNION ALL SELECT promised_on, currency, 0, 0, minor, 0 FROM promises
    UNION ALL SELECT day, currency, 0, 0, 0, minor FROM forecast
)
SELECT date_trunc($9, day::timestamp)::date AS period, currency,
       sum(fell_due)::bigint AS fell_due, sum(due)::bigint AS due,
       sum(promised)::bigint AS promised, sum(forecast)::bigint AS forecast
FROM days WHERE day BETWEEN $1::date AND $2::date
GROUP BY 1, 2 HAVING sum(fell_due) <> 0 OR sum(due) <> 0 OR sum(promised) <> 0 OR sum(forecast) <> 0
"""  # noqa: S608 - only words of this module
