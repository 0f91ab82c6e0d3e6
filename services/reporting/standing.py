"""GET /consistency and /freshness: whether the books add up, and how far behind the reports are."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel

from services.kernel.auth import allow
from services.projections.laws import laws
from services.reporting.query import AsOf
from services.reporting.reading import CONSUMER, Freshness, Reading, reading
from services.reporting.render import CSV_ANSWER, Format, amount, csv_answer, json_answer, wants_csv

router = APIRouter(tags=["standing"], dependencies=[allow("report.read")])


class LawRow(BaseModel):
    """A law of the books and both its sides, decimal strings. It holds when the difference is zero."""

    name: str
    currency: str
    left: str
    right: str
    difference: str
    holds: bool


class Consistency(BaseModel):
    """`holds` is whether all laws do. While facts are on their way, a difference may stand for a moment: look again."""

    as_of: date
    known_at: str
    freshness: Freshness
    holds: bool
    laws: list[LawRow]


class TopicFreshness(BaseModel):
    topic: str
    facts_behind: int
    seconds_behind: float
    seen_at: datetime


class FreshnessAnswer(BaseModel):
    """Per topic: published facts that the reports do not show yet, and the age of the oldest of them."""

    freshness: Freshness
    topics: list[TopicFreshness]
    parked_streams: int
    parked_facts: int


@router.get("/consistency", response_model=Consistency, responses=CSV_ANSWER)
async def consistency(request: Request, read: Annotated[Reading, Depends(reading)], format_: Format = None) -> Response:
    """The laws that hold for any history, with their figures, in the caller's branches."""
    found = await laws(read.conn)
    rows = [
        {
            "name": law.name,
            "currency": law.currency,
            "left": amount(law.left_minor, law.currency),
            "right": amount(law.right_minor, law.currency),
            "difference": amount(law.difference_minor, law.currency),
            "holds": law.holds,
        }
        for law in found
    ]
    body = {**AsOf(read.today, None).answered(read), "holds": all(law.holds for law in found), "laws": rows}
    if wants_csv(request, format_):
        return csv_answer(list(LawRow.model_fields), rows, body)
    return json_answer(body)


@router.get("/freshness", response_model=FreshnessAnswer)
async def freshness(read: Annotated[Reading, Depends(reading)]) -> Response:
    """How far the reports are behind what was published, and what waits parked."""
    topics = await read.conn.fetch(
        "SELECT topic, facts_behind, round(seconds_behind::numeric, 3)::float8 AS seconds_behind, seen_at"
        " FROM consumer_freshness WHERE consumer = $1 ORDER BY topic",
        CONSUMER,
    )
    parked = await read.conn.fetchrow(
        "SELECT count(DISTINCT stream) AS streams, count(*) AS facts FROM parked WHERE consumer = $1", CONSUMER
    )
    return json_answer(
        {
            "freshness": read.freshness.model_dump(),
            "topics": [dict(row) for row in topics],
            "parked_streams": parked["streams"],
            "parked_facts": parked["facts"],
        }
    )
