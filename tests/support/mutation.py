"""Damage: what people, spreadsheets and programs do to rows and bodies, chosen by a seeded generator."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final
from uuid import UUID

Record = dict[str, Any]
_STRANGE: Final[Sequence[Any]] = (
    *("", " ", "0", "-0", "-1", "0.0", "00012.50", "1e3", "1E400", "NaN", "Infinity", "1,204.50", "1_000", ".5", "5."),
    *("0.001", "0.12345", "9999999999999999", "90071992547409.91", "90071992547409.92", "-9999999999999999.9999"),
    *("١٢٣", "１２", "12 ", " 12", "$12", "12-", "0x1f", "9" * 40, "true", "null", "None", "=1+1", "@SUM(A1)"),
    *("0000-00-00", "0001-01-01", "9999-12-31", "1969-12-31", "1970-01-01", "2099-12-31", "2100-01-01", "2025-02-30"),
    *("20250303", "2025-3-3", "03/03/2025", "2025-03-03T00:00:00Z", "infinity", "-infinity", "today", "2025-W10-1"),
    *("usd", "USDX", "EUR", "XXX", "JPY", "KWD", "atl", "ATL ", "A,B", "*", "ATL;DROP TABLE events", "../..", "ZZZ"),
    *("Ünïcödé", "Zoë\u0301", "株式会社", "🏗️" * 9, "\u202eLTA", "\ufeffATL", "a\u2028b", "\x1f", "\x7f"),
    *("tab\there", "two\nlines"),
    *("nul\x00nul", "\x00", "\ud800", "x" * 121, "x" * 300, "x" * 11_000, "%00", "%", "'", '"', "\\", "{}", "[]"),
    *("4111111111111111", "America/Chicago", "../etc/passwd", "Mars/Base", "net 30", "not-an-id", str(UUID(int=0))),
    *(str(UUID(int=2**128 - 1)), "{3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11}"),
    *("3f0c5a0e7a534f379d3c8d6b3c1f8a11", "urn:uuid:3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11"),
    *(None, True, False, 0, -1, 1, 366, 2**31, 2**53, 2**63, -(2**63) - 1, 10**30, 1.5, 1e308, 12.345, -0.0),
    *([], {}, [[]], ["x"], [None], {"a": 1}, [1, "2"], {"amount": "1.00", "currency": "USD"}, [str(UUID(int=0))] * 3),
)  # fmt: skip


# Values that are read without complaint, and are for the rules to judge.
_EDGES: Final[Sequence[tuple[re.Pattern[str], Sequence[Any]]]] = (
    (
        re.compile(r"\d{4}-\d\d-\d\d"),
        [
            "0001-01-01",
            "1969-12-31",
            "1970-01-01",
            "2024-02-29",
            "2025-01-01",
            "2025-06-30",
            "2026-01-01",
            "2030-01-01",
            "2099-12-31",
            "2100-01-01",
            "9999-12-31",
        ],
    ),
    (
        re.compile(r"-?\d+\.\d\d"),
        [
            "0",
            "0.00",
            "0.01",
            "-0.01",
            "-1000.00",
            "999.99",
            "1000.00",
            "1000.01",
            "0.001",
            "1204.5000",
            "7",
            "45035996273704.96",
            "90071992547409.90",
            "90071992547409.91",
            "90071992547409.92",
            "-90071992547409.91",
        ],
    ),
    (re.compile(r"[A-Z]{3}"), ("USD", "EUR", "JPY", "KWD", "XXX", "ATL", "ZZZ", "PRC", "UNK")),
)


def _edge(record: Record, chance: Random, others: Sequence[Any]) -> None:
    """A value of the right shape at the edge of what there can be, or another thing's id."""
    if not record:
        return
    name = chance.choice(sorted(record))
    was = record[name]
    if isinstance(was, int):
        record[name] = chance.choice((0, 1, -1, was + 1, 45, 365, 366, 10_000, 10_001, 2**31 - 1))
        return
    edges = [edge for shape, edges in _EDGES if isinstance(was, str) and shape.fullmatch(was) for edge in edges]
    if edges:
        record[name] = chance.choice(edges)
        return
    alike = [other for other in others if type(other) is type(was) and other != was]
    if isinstance(was, str):
        alike = [other for other in alike if len(other) == len(was)] or alike
    record[name] = chance.choice(alike) if alike else was


def damaged(record: Record, chance: Random, others: Sequence[Any]) -> Record:
    """The record with one to three things wrong with it. `others` are values that are right elsewhere."""
    changed = json.loads(json.dumps(record))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        chance.choice(_WAYS)(changed, chance, others)
    return changed


def _replace(record: Record, chance: Random, _: Sequence[Any]) -> None:
    if record:
        record[chance.choice(sorted(record))] = chance.choice(_STRANGE)


def _drop(record: Record, chance: Random, _: Sequence[Any]) -> None:
    if record:
        del record[chance.choice(sorted(record))]


def _rename(record: Record, chance: Random, _: Sequence[Any]) -> None:
    if record:
        name = chance.choice(sorted(record))
        record[chance.choice((name.upper(), f"{name} ", f"{name}x", "", "x" * 300, "\x00", "é"))] = record.pop(name)


def _add(record: Record, chance: Random, _: Sequence[Any]) -> None:
    record[chance.choice(("extra", "id", "version", "__proto__", "currency", "branch"))] = chance.choice(_STRANGE)


def _swap(record: Record, chance: Random, _: Sequence[Any]) -> None:
    if len(record) > 1:
        one, other = chance.sample(sorted(record), 2)
        record[one], record[other] = record[other], record[one]


def _borrow(record: Record, chance: Random, others: Sequence[Any]) -> None:
    if record:
        record[chance.choice(sorted(record))] = chance.choice(others)


def _bend(record: Record, chance: Random, _: Sequence[Any]) -> None:
    """A value that is nearly right: a letter too many, cut short, wrapped, doubled."""
    if record:
        name = chance.choice(sorted(record))
        text = str(record[name])
        bent = (
            text[:-1],
            text + text,
            f" {text}",
            f"{text}\n",
            [record[name]],
            text.swapcase(),
            f"-{text}",
            f"{text}0",
        )
        record[name] = chance.choice(bent)


_WAYS: Final[Sequence[Callable[[Record, Random, Sequence[Any]], None]]] = (
    *(_replace,) * 4, *(_edge,) * 9, _drop, _rename, _add, _swap, _borrow, _borrow, _bend, _bend
)  # fmt: skip


def json_bytes(record: Mapping[str, Any], chance: Random, *, broken: float) -> bytes:
    """The record as JSON; with that probability its bytes are broken too."""
    text = json.dumps(record, ensure_ascii=chance.random() < 0.5 or _has_surrogate(record))
    content = text.encode()
    return _broken(content, chance) if chance.random() < broken else content


def csv_bytes(records: Sequence[Record], columns: Sequence[str], chance: Random, *, broken: float) -> bytes:
    """The records as a CSV file of these columns; with that probability some of its bytes are broken."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=chance.choice(("\n", "\r\n")))
    writer.writerow(columns)
    for record in records:
        cells = [_cell(record.get(name)) for name in columns]
        if len(record) < len(columns) and chance.random() < 0.1:
            cells.pop()
        writer.writerow(cells)
    content = out.getvalue().encode("utf-8", "surrogatepass")
    return _broken(content, chance) if chance.random() < broken else content


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _has_surrogate(record: Mapping[str, Any]) -> bool:
    return "\\ud800" in json.dumps(record)


def _broken(content: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    return chance.choice(
        (
            content[:at],
            content[at:],
            content[:at] + b"\xff\xfe" + content[at:],
            content[:at] + b"\x00" + content[at:],
            content[:at] + b'"' + content[at:],
            content[:at] + b"\n\n\r" + content[at:],
            content[:at] + b"[" * 5_000 + content[at:],
            content[:at] + content,
            b"\xef\xbb\xbf" + content,
            content.decode("utf-8", "replace").encode("utf-16"),
            content.replace(b",", b";"),
            content.replace(b":", b"=", 1),
            bytes(reversed(content)),
            b"",
        )
    )
