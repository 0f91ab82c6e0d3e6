"""How long does aging take over a firm with a past, through HTTP; and what the same costs without read models?"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg

from tests.bench.aging_rows import Firm, found, grow, index_ledger, to_file
from tests.bench.bench import Bench, Missing, percentile, times
from tests.bench.figure import Figure, Wanted, at_most
from tests.bench.web import Web, serving

OPEN, SETTLED, YEARS, BRANCHES, ACCOUNTS = 1_000_000, 10_000_000, 10, 300, 60_000
CALLS: Final = 200
_MS: Final = 1_000.0
_DAYS: Final = 360  # Past days lie in the last year where two histories are compared, so that both have them.

_BOUND: Final = (
    "What is open is read and summed, by as many processes of PostgreSQL as there are cores: it costs what they cost."
)


async def measure(bench: Bench) -> list[Figure]:
    firm = Firm(
        bench.count(OPEN, 5_000), bench.count(SETTLED, 50_000), YEARS, BRANCHES, bench.count(ACCOUNTS, BRANCHES)
    )
    today = datetime.now(UTC).astimezone(ZoneInfo("America/New_York")).date()
    async with bench.databases() as make:
        url = await make("projections")
        await found(url, firm, today)
        before = await _timed(bench, url, 1, today, _COMPARED)
        await grow(url, firm, today)
        after = await _timed(bench, url, YEARS, today, (*_LIMITS, _PAST))
        by_hand = await _by_hand(url, bench.directory / "ledger.csv", today)
    figures = [
        Figure(
            f"aging p99: {name}", after[name] * _MS, "ms", wanted=Wanted("at most", limit, of_ratio=False), bound=_BOUND
        )
        for name, limit in _LIMITS.items()
    ]
    figures += [
        Figure(
            f"aging median, history of {YEARS} years beside one: {name}",
            after[f"{name}, median"] * _MS,
            "ms",
            before[f"{name}, median"] * _MS,
            "one year",
            at_most(1.2),
        )
        for name in _COMPARED
    ]
    ours = after[f"{_PAST}, median"] * _MS
    return figures + [
        Figure("aging by branch, a past day, beside what a user does today", ours, "ms", took * _MS, what)
        for what, took in by_hand.items()
    ]


async def _timed(bench: Bench, url: str, years: int, today: date, names: Sequence[str]) -> dict[str, float]:
    """Seconds by question, of a history of so many years: the 99th percentile, and the median."""
    rng = random.Random(3)
    took: dict[str, float] = {}
    async with serving("reporting", url, bench.directory) as web:
        questions = _questions(web, rng, today, years * 365 - 1)
        for name in names:
            calls = await times(CALLS, questions[name])
            took[name], took[f"{name}, median"] = percentile(calls), percentile(calls, 0.5)
    return took


_TODAY: Final = "by branch, today"
_PAST: Final = "by branch, a day of the last year"
_COMPARED: Final = (_TODAY, _PAST)
_ANY: Final = "by branch, any past day"
_LIMITS: Final = {
    _TODAY: 60,
    _ANY: 120,
    "by account of one branch, today": 25,
    "by account of one branch, any past day": 120,
    "whole firm by account, worst hundred, today": 450,
}


def _questions(web: Web, rng: random.Random, today: date, whole: int) -> dict[str, Callable[[int], Awaitable[object]]]:
    def day(days: int) -> date:
        return today - timedelta(days=rng.randrange(1, days))

    def branch() -> str:
        return f"B{rng.randrange(1, BRANCHES + 1):03d}"

    return {
        _TODAY: lambda _: web.get("/aging?by=branch&limit=300"),
        _PAST: lambda _: web.get(f"/aging?by=branch&limit=300&as_of={day(_DAYS)}"),
        _ANY: lambda _: web.get(f"/aging?by=branch&limit=300&as_of={day(whole)}"),
        "by account of one branch, today": lambda _: web.get(f"/aging?by=account&limit=100&branch={branch()}"),
        "by account of one branch, any past day": lambda _: web.get(
            f"/aging?by=account&limit=100&branch={branch()}&as_of={day(whole)}"
        ),
        "whole firm by account, worst hundred, today": lambda _: web.get("/aging?by=account&sort=-past_due&limit=100"),
    }


async def _by_hand(url: str, file: Path, today: date) -> dict[str, float]:
    """Seconds of the same report, as of a day half a year ago, without read models."""
    day = today - timedelta(days=180)
    await index_ledger(url)
    conn = await asyncpg.connect(url)
    try:
        await conn.execute("SET work_mem = '64MB'")
        took = await times(5, lambda _: conn.fetch(_PLAIN, day), warm=1)
    finally:
        await conn.close()
    await to_file(url, file)
    read, grouped = await asyncio.to_thread(_pandas, file, day)
    return {
        "a plain query on an invoice table with indexes": percentile(took, 0.5),
        "pandas, the ledger file read anew": read + grouped,
        "pandas, the ledger in memory already": grouped,
    }


def _pandas(file: Path, day: date) -> tuple[float, float]:
    """Seconds to read the ledger, and to age it. Errors: Missing."""
    try:
        import pandas as pd
    except ImportError:
        raise Missing("pandas is not installed: make lock, make setup") from None
    began = time.perf_counter()
    ledger = pd.read_csv(file, parse_dates=["issued_on", "due_on", "paid_on"])
    read = time.perf_counter()
    on = pd.Timestamp(day)
    open_ = ledger[(ledger["issued_on"] <= on) & ~(ledger["paid_on"] <= on)]
    late = (on - open_["due_on"]).dt.days
    bucket = pd.cut(late, [-100_000, 0, 30, 60, 90, 120, 100_000], labels=False)
    lines = open_.groupby(["branch", bucket])["amount"].sum().unstack(fill_value=0)
    assert len(lines) > 0
    return read - began, time.perf_counter() - read


_PLAIN: Final = """
SELECT branch, width_bucket($1::date - due_on, '{1,31,61,91,121}'::int[]) AS bucket, sum(minor)
FROM public.ledger WHERE issued_on <= $1 AND (paid_on IS NULL OR paid_on > $1) GROUP BY 1, 2
"""
