"""The late-payment ledger read by itself: what the reports must say of it, computed without any of our own code."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

LEDGER: Final = Path(__file__).resolve().parents[3] / "shared" / "data" / "ibm_late_payments.csv"
ABSENT: Final = "the late-payment ledger is not beside this checkout (../shared/data/ibm_late_payments.csv)"
BUCKETS: Final = ("current", "1-30", "31-60", "61-90", "91-120", "121+")
DAYS: Final = (date(2012, 6, 30), date(2012, 12, 31), date(2013, 6, 30), date(2013, 12, 31))


class Line(NamedTuple):
    """One invoice of the file."""

    region: str
    customer: str
    number: str
    issued: date
    due: date
    settled: date
    amount: Decimal
    disputed: bool


def lines() -> list[Line]:
    """Every invoice, in the file's order."""
    with LEDGER.open(newline="") as file:
        return [
            Line(
                row["countryCode"],
                row["customerID"],
                row["invoiceNumber"],
                _day(row["InvoiceDate"]),
                _day(row["DueDate"]),
                _day(row["SettledDate"]),
                Decimal(row["InvoiceAmount"]),
                row["Disputed"] == "Yes",
            )
            for row in csv.DictReader(file)
        ]


def aging(as_of: date, by: str) -> dict[str, dict[str, Decimal]]:
    """Region or customer to bucket to amount: what was issued by `as_of` and not yet settled, by days past due."""
    table: dict[str, dict[str, Decimal]] = defaultdict(lambda: dict.fromkeys(BUCKETS, Decimal(0)))
    for line in lines():
        if line.issued <= as_of < line.settled:
            table[getattr(line, by)][_bucket((as_of - line.due).days)] += line.amount
    return dict(table)


def cash_by_month() -> dict[str, Decimal]:
    """`2012-06` to what was received in that month."""
    months: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines():
        months[f"{line.settled:%Y-%m}"] += line.amount
    return dict(months)


def _bucket(days: int) -> str:
    if days <= 0:
        return "current"
    return BUCKETS[min(5, (days - 1) // 30 + 1)]


def _day(text: str) -> date:
    return datetime.strptime(text, "%m/%d/%Y").date()  # noqa: DTZ007 - a date has no zone
