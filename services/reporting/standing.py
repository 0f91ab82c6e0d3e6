"""GET /consistency and /freshness: whether the books add up, and how far behind the reports are."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from services.kernel.auth import allow
from services.projections.laws import laws
from services.reporting.query import AsOf
from services.reporting.reading import BEHIND, CONSUMER, Freshness, Reading, reading
from services.reporting.render import CSV_ANSWER, Format, amount, csv_answer, json_answer, wants_csv

router = APIRouter(tags=["standing"], dependencies=[allow("report.read")])


class LawRow(BaseModel):
    """A law of the books: two figures that are equal in every branch, and what each is. Decimal strings.

    `difference` adds up what each branch is off, whichever way: two wrongs do not make a right.
    """

    name: str
    currency: str
    left: str
    right: str
    difference: str
    left_is: str
    right_is: str
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
    seconds_behind: float | None
    seen_at: datetime


class FreshnessAnswer(BaseModel):
    """Per topic: published facts that the reports do not show yet, and for how long at most they have waited.

    `seen_at` is when the worker last looked. Parked facts, and all later ones of their streams, wait for somebody.
    """

    as_of: date
    known_at: str
    freshness: Freshness
    topics: list[TopicFreshness]
    parked_streams: int
    parked_facts: int


@router.get("/consistency", response_model=Consistency, responses=CSV_ANSWER)
async def consistency(
    request: Request,
    read: Annotated[Reading, Depends(reading)],
    thorough: Annotated[bool, Query(description="Also the laws that read every movement ever: takes seconds.")] = False,
    format_: Format = None,
) -> Response:
    """The laws that hold for any history, with their figures, in the caller's branches."""
    found = await laws(read.conn, thorough=thorough)
    rows = [
        {
            "name": law.name,
            "currency": law.currency,
            "left": amount(law.left_minor, law.currency),
            "right": amount(law.right_minor, law.currency),
            "difference": amount(law.difference_minor, law.currency),
            "left_is": law.left,
            "right_is": law.right,
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
    topics = await read.conn.fetch(_TOPICS, CONSUMER)
    parked = await read.conn.fetchrow(_PARKED, CONSUMER)
    return json_answer(
        {
            **AsOf(read.today, None).answered(read),
            "topics": [dict(row) for row in topics],
            "parked_streams": parked["streams"],
            "parked_facts": parked["facts"],
        }
    )


_TOPICS: Final = f"{BEHIND.format(consumer='$1')} ORDER BY topic"
_PARKED: Final = "SELECT count(DISTINCT stream) AS streams, count(*) AS facts FROM parked WHERE consumer = $1"
