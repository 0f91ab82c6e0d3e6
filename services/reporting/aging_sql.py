"""The one query behind `GET /aging`: lines of `aging_by`, laid out as a row per line of the report, sorted and paged.

Only words of our own are put into the text; whatever a caller gives is a parameter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple


class _Layout(NamedTuple):
    """How one dimension is grouped, what its rows are called, and what names them."""

    grouped: str
    row_id: str
    joins: str
    name: str
    columns: str


_ACCOUNT: Final = "LEFT JOIN account a ON a.account_id = g.account_id"
_NO_ITEM: Final = "NULL::uuid AS item_id, NULL::text AS item, NULL::date AS issued_on, NULL::date AS due_on"
_NO_JOB: Final = "NULL::uuid AS job_id, NULL::text AS job"
_LAYOUTS: Final = {
    "branch": _Layout(
        "branch",
        "g.branch",
        "LEFT JOIN branch b ON b.branch = g.branch",
        "g.branch",
        f"g.branch, b.name AS name, NULL::uuid AS account_id, NULL::text AS account, {_NO_JOB}, {_NO_ITEM}",
    ),
    "account": _Layout(
        "account_id",
        "g.account_id",
        _ACCOUNT,
        "coalesce(a.number, '')",
        f"NULL::text AS branch, a.name AS name, g.account_id, a.number AS account, {_NO_JOB}, {_NO_ITEM}",
    ),
    "job": _Layout(
        "account_id, job_id",
        "g.account_id, g.job_id",
        f"{_ACCOUNT} LEFT JOIN job j ON j.job_id = g.job_id",
        "concat_ws(' ', a.number, j.number)",
        "NULL::text AS branch, j.name AS name, g.account_id, a.number AS account,"
        f" g.job_id, j.number AS job, {_NO_ITEM}",
    ),
    "item": _Layout(
        "branch, account_id, job_id, item_id",
        "g.item_id, g.account_id",  # A receipt stands twice where it was applied before it was identified.
        f"{_ACCOUNT} LEFT JOIN job j ON j.job_id = g.job_id LEFT JOIN open_item o ON o.item_id = g.item_id",
        "coalesce(o.number, '')",
        "g.branch, NULL::text AS name, g.account_id, a.number AS account, g.job_id, j.number AS job, g.item_id,"
        " coalesce(o.number, o.reference) AS item, o.issued_on, o.due_on",
    ),
}
# Descending amounts are sorted as their negatives, so that every order is ascending and one comparison pages it.
_SORTS: Final = {"-total": "(-g.total)", "-past_due": "(-g.past_due)"}


@lru_cache(maxsize=256)
def aging_sql(by: str, buckets: int, credits_: str, sort: str, *, after: bool) -> str:
    """The query for one shape of the report.

    Shapes   $1..$9 are the arguments of `aging_by` ($1 by, $2 as_of, $3 known_at, $4 anchor, $5 bounds, $6 branches,
             $7 accounts, $8 currencies, $9 collectors), $10 the rows wanted, $11 and $12 the key to begin after.
             Answers totals (is_total) per currency, then the rows of the page in order; `buckets` is an array.
    """
    layout = _LAYOUTS[by]
    ages = "kind IN ('open', 'unapplied')" if credits_ == "in_bucket" else "kind = 'open'"
    cells = ", ".join(
        f"coalesce(sum(amount_minor) FILTER (WHERE {ages} AND bucket = {at}), 0)::bigint" for at in range(buckets)
    )
    amounts = f"""
        ARRAY[{cells}] AS buckets,
        coalesce(sum(amount_minor) FILTER (WHERE {ages} AND bucket > 0), 0)::bigint AS past_due,
        coalesce(sum(amount_minor) FILTER (WHERE kind = 'retainage'), 0)::bigint AS retainage,
        coalesce(sum(amount_minor) FILTER (WHERE kind = 'unapplied'), 0)::bigint AS unapplied,
        sum(amount_minor)::bigint AS total"""
    value = layout.name if sort == "name" else _SORTS[sort]
    kind = "text" if sort == "name" else "bigint"
    row_id = f"concat_ws(':', {layout.row_id}, g.currency)"
    start = f"WHERE ({value}, {row_id}) > ($11::{kind}, $12::text)" if after else ""
    sums = "g.currency, g.buckets, g.past_due, g.retainage, g.unapplied, g.total"
    return f"""
WITH lines AS MATERIALIZED (SELECT * FROM aging_by($1, $2, $3, $4, $5, $6, $7, $8, $9)),
page AS (
    SELECT false AS is_total, {layout.columns}, {sums}, {value} AS sort_value, {row_id} AS row_id
    FROM (SELECT {layout.grouped}, currency, {amounts} FROM lines GROUP BY {layout.grouped}, currency) g
    {layout.joins}
    {start}
    ORDER BY sort_value, row_id LIMIT $10
)
SELECT true AS is_total, NULL AS branch, NULL AS name, NULL::uuid AS account_id, NULL AS account, {_NO_JOB}, {_NO_ITEM},
       {sums}, NULL::{kind} AS sort_value, g.currency AS row_id
FROM (SELECT currency, {amounts} FROM lines GROUP BY currency) g
UNION ALL SELECT * FROM page
ORDER BY is_total DESC, sort_value, row_id
"""  # noqa: S608 - only words of this module
