"""The one query behind `GET /aging`: `aging_report`, with totals and names, sorted and paged.

Only words of our own are put into the text; whatever a caller gives is a parameter.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple


class _Layout(NamedTuple):
    """What tells the rows of one dimension apart, what they are called, and where names come from."""

    row_id: str
    joins: str
    name: str
    columns: str


_ACCOUNT: Final = "LEFT JOIN account a ON a.account_id = g.account_id"
_NO_ITEM: Final = "NULL::uuid AS item_id, NULL::text AS item, NULL::date AS issued_on, NULL::date AS due_on"
_NO_JOB: Final = "NULL::uuid AS job_id, NULL::text AS job"
_LAYOUTS: Final = {
    "branch": _Layout(
        "g.branch",
        "LEFT JOIN branch b ON b.branch = g.branch",
        "g.branch",
        f"g.branch, b.name AS name, NULL::uuid AS account_id, NULL::text AS account, {_NO_JOB}, {_NO_ITEM}",
    ),
    "account": _Layout(
        "g.account_id",
        _ACCOUNT,
        "coalesce(a.number, '')",
        f"NULL::text AS branch, a.name AS name, g.account_id, a.number AS account, {_NO_JOB}, {_NO_ITEM}",
    ),
    "job": _Layout(
        "g.account_id, g.job_id",
        f"{_ACCOUNT} LEFT JOIN job j ON j.job_id = g.job_id",
        "concat_ws(' ', a.number, j.number)",
        "NULL::text AS branch, j.name AS name, g.account_id, a.number AS account,"
        f" g.job_id, j.number AS job, {_NO_ITEM}",
    ),
    "item": _Layout(
        "g.item_id, g.account_id",  # A receipt stands twice where it was applied before it was identified.
        f"{_ACCOUNT} LEFT JOIN job j ON j.job_id = g.job_id LEFT JOIN open_item o ON o.item_id = g.item_id",
        "coalesce(o.number, '')",
        "g.branch, NULL::text AS name, g.account_id, a.number AS account, g.job_id, j.number AS job, g.item_id,"
        " coalesce(o.number, o.reference) AS item, o.issued_on, o.due_on",
    ),
}
# Descending amounts are sorted as their negatives, so that every order is ascending and one comparison pages it.
_RANKS: Final = {"-total": "total", "-past_due": "past_due"}
_SUMS: Final = "g.currency, g.buckets, g.past_due, g.retainage, g.unapplied, g.total"
_REPORT: Final = """
    SELECT branch, account_id, job_id, item_id, currency, buckets, past_due_minor AS past_due,
           retainage_minor AS retainage, unapplied_minor AS unapplied, total_minor AS total
    FROM aging_report({by}, $2, $3, $4, $5, $6, {accounts}, $8, $9, $10)"""


@lru_cache(maxsize=256)
def aging_sql(by: str, buckets: int, sort: str, *, after: bool) -> str:
    """The query for one shape of the report.

    Shapes   $1..$10 are the arguments of `aging_report` ($1 by, $2 as_of, $3 known_at, $4 anchor, $5 bounds,
             $6 branches, $7 accounts, $8 currencies, $9 collectors, $10 whether credits go into buckets), $11 the rows
             wanted, $12 and $13 the key to begin after. Answers totals (is_total) per currency, then the rows of the
             page in order; `buckets` is an array. A currency whose sums are all zero has no total, as it has no row.
    """
    layout = _LAYOUTS[by]
    if sort == "name":
        rows = f"SELECT g.*, {layout.name} AS sort_value FROM found g {layout.joins}"  # noqa: S608 - as below
    else:  # By amount, names are looked up for the page alone.
        rows = f"SELECT *, -{_RANKS[sort]} AS sort_value FROM found"  # noqa: S608 - as below
    kind = "text" if sort == "name" else "bigint"
    page = _first(layout, rows, kind, after=after)
    cells = ", ".join(f"minor_sum(buckets[{at + 1}])" for at in range(buckets))
    return f"""
WITH found AS MATERIALIZED ({_REPORT.format(by="$1", accounts="$7")}
), total AS (
    SELECT currency, ARRAY[{cells}] AS buckets, minor_sum(past_due) AS past_due, minor_sum(retainage) AS retainage,
           minor_sum(unapplied) AS unapplied, minor_sum(total) AS total FROM found GROUP BY currency
), page AS ({page}
)
{_told(layout, sort)}
"""  # noqa: S608 - only words of this module


@lru_cache(maxsize=256)
def leading_sql(by: str, sort: str, *, after: bool) -> str:
    """The same for a page of the largest amounts, the order first: all but the page is summed once a row, not once a
    bucket. The totals are those that a report by branch has.

    Shapes   parameters and answer of `aging_sql` for a `sort` by amount. Only amounts above zero are ranked, so an
             answer with less than $11 rows is not the whole answer.
    """
    layout = _LAYOUTS[by]
    page_accounts = "ARRAY(SELECT DISTINCT account_id FROM foremost)"
    ranked = f"""SELECT account_id, job_id, currency, -amount_minor AS sort_value
        FROM aging_ranked('{_RANKS[sort]}', $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""  # noqa: S608 - as above
    return f"""
WITH ranked AS MATERIALIZED (
        {ranked}
), foremost AS MATERIALIZED ({_first(layout, "SELECT * FROM ranked", "bigint", after=after)}
), total AS ({_REPORT.format(by="'total'", accounts="$7")}
), found AS ({_REPORT.format(by="$1", accounts=page_accounts)}
), page AS (
    SELECT g.*, f.sort_value, f.row_id FROM found g JOIN foremost f ON f.row_id = {_row_id(layout)}
)
{_told(layout, sort)}
"""  # noqa: S608 - only words of this module


def _row_id(layout: _Layout) -> str:
    return f"concat_ws(':', {layout.row_id}, g.currency)"


def _first(layout: _Layout, rows: str, kind: str, *, after: bool) -> str:
    """The first of `rows` by their sort_value. What rows of the same one are ordered by is made for those alone."""
    row_id = _row_id(layout)
    start = f"WHERE sort_value >= $12::{kind} AND (sort_value > $12::{kind} OR {row_id} > $13::text)" if after else ""
    return f"""
        SELECT g.*, {row_id} AS row_id FROM (
            SELECT * FROM ({rows}) g {start} ORDER BY sort_value FETCH FIRST ($11) ROWS WITH TIES
        ) g ORDER BY sort_value, row_id LIMIT $11"""  # noqa: S608 - only words of this module


def _told(layout: _Layout, sort: str) -> str:
    """Totals and page as the answer has them."""
    kind = "text" if sort == "name" else "bigint"
    return f"""
SELECT true AS is_total, NULL AS branch, NULL AS name, NULL::uuid AS account_id, NULL AS account, {_NO_JOB}, {_NO_ITEM},
       {_SUMS}, NULL::{kind} AS sort_value, g.currency AS row_id
FROM total g WHERE NOT 0 = ALL (g.buckets || g.retainage || g.unapplied)
UNION ALL
SELECT false, {layout.columns}, {_SUMS}, g.sort_value, g.row_id FROM page g {layout.joins}
ORDER BY is_total DESC, sort_value, row_id"""  # noqa: S608 - only words of this module
