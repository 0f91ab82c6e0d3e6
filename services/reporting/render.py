"""How answers are written: JSON, or CSV for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import Query, Request
from fastapi.responses import Response

from events.money import decimal_text

Format = Annotated[
    Literal["json", "csv"] | None, Query(alias="format", description="`csv` for a spreadsheet; `Accept: text/csv` too.")
]
# A spreadsheet would run these as a formula. Source: OWASP, CSV injection.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
CSV_ANSWER: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "The report."}
}


def amount(minor: int | None, currency: str | None) -> str | None:
    """Minor units as a decimal string; None stays None."""
    return None if minor is None else decimal_text(minor, currency or "USD")


def wants_csv(request: Request, asked: str | None) -> bool:
    if asked is not None:
        return asked == "csv"
    return request.headers.get("accept", "").startswith("text/csv")


def json_answer(body: Mapping[str, Any]) -> Response:
    return Response(_ENCODER.encode(body), media_type="application/json")


def csv_answer(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], more: Mapping[str, Any]) -> Response:
    """The rows alone; what else a JSON answer says (`as_of`, `known_at`, freshness, next) stands in headers."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    fresh = more.get("freshness") or {}
    headers = {
        "Openitem-As-Of": str(more.get("as_of", "")),
        "Openitem-Known-At": _text(more.get("known_at")),
        "Openitem-Facts-Behind": _text(fresh.get("facts_behind")),
        "Openitem-Seconds-Behind": _text(fresh.get("seconds_behind")),
    }
    if more.get("next"):
        headers["Openitem-Next"] = str(more["next"])
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def _cell(value: Any) -> str:
    text = _text(value)
    if isinstance(value, str) and text.startswith(_FORMULA) and not _is_number(text):
        return f"'{text}"
    return text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        value = msgspec.to_builtins(value)  # As JSON has it.
    return str(value)


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


_ENCODER: Final = msgspec.json.Encoder()
