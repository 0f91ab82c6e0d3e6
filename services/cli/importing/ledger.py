"""Read a ledger file row by row: CSV by a mapping, or NDJSON that already says the kind of every record."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from services.cli.importing.mapping import REPEATED, FileSpec, LedgerMapping, Record, RowRefused, record_of

# In the order that what a record names exists before it: an account before its invoices, those before their payment.
KINDS: Final[dict[str, str]] = {
    "branches": "invoice",
    "accounts": "invoice",
    "jobs": "invoice",
    "invoices": "invoice",
    "retainage-releases": "invoice",
    "receipts": "payment",
    "reversals": "payment",
    "credit-notes": "invoice",
    "attempts": "contact",
    "promises": "contact",
    "disputes": "contact",
    "dispute-resolutions": "contact",
    "placements": "escalation",
    "recoveries": "escalation",
    "write-offs": "escalation",
}
# Whom each of these services follows, of those that are sent to before it.
FOLLOWS: Final[dict[str, tuple[str, ...]]] = {
    "invoice": (),
    "payment": ("invoice",),
    "contact": ("invoice", "payment"),
    "escalation": ("invoice", "payment", "contact"),
}
FIELD_BYTES_MAX: Final = 1 << 20  # A cell above this is a broken quote, not a value.


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row, or one record of it, did not land. `line` is the file's, the header being line 1."""

    line: int
    kind: str
    field: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row as the file has it; `fault` says what is wrong with its very shape."""

    line: int
    values: dict[str, str]
    fault: RowRefused | None = None


class Ledger:
    """A ledger file. It is read anew for every kind of record, so that its size does not matter."""

    def __init__(self, path: Path, mapping: LedgerMapping | None) -> None:
        self.path = path
        self.mapping = mapping  # None for NDJSON, whose records are named by their own `kind`.

    def kinds(self) -> list[str]:
        """The kinds of records in it, in the order they are to be sent."""
        present = self.mapping.kinds() if self.mapping else {row.values.get("kind", "") for row in self.rows()}
        return [kind for kind in KINDS if kind in present]

    def counts(self) -> dict[str, int]:
        """How many records of each kind there are, but for those kinds that rows repeat: these are seen when sent.

        One look at every row, which is not made a record of: that is most of what an import costs here.
        """
        found: Counter[str] = Counter()
        for row in self.rows():
            if row.fault is None:
                kinds = self.mapping.kinds_of(row.values) if self.mapping else [row.values.get("kind", "")]
                found.update(kind for kind in kinds if kind not in REPEATED)
        return found

    def rows(self) -> Iterator[SourceRow]:
        """Every row with its line number, in the file's order."""
        return _csv_rows(self.path, self.mapping.file) if self.mapping else _json_rows(self.path)

    def records(self, kind: str) -> Iterator[tuple[SourceRow, Record | Problem]]:
        """The records of one kind, each with its row; a Problem where the row cannot become one.

        Shapes   the file's order; a record of a REPEATED kind comes once.
        """
        seen: set[bytes] = set()
        for row in self.rows():
            if row.fault is not None:
                continue  # Told once, by `unmatched`.
            try:
                found = self._of(kind, row)
            except RowRefused as refused:
                yield row, Problem(row.line, kind, refused.field, refused.code, refused.message)
                continue
            for record in found:
                if kind in REPEATED:
                    same = msgspec.json.encode(record)
                    if same in seen:
                        continue
                    seen.add(same)
                yield row, record

    def unmatched(self) -> Iterator[Problem]:
        """Rows that the mapping makes nothing of: they are told, not passed over."""
        for row in self.rows():
            if self.mapping is None:
                known = row.values.get("kind") in KINDS
                wrong = RowRefused("kind", "kind_unknown", f"{row.values.get('kind')!r} is no kind of record")
            else:
                known = self.mapping.says_something_of(row.values)
                wrong = RowRefused("", "row_unmatched", "no record of the mapping fits this row")
            if row.fault is not None or not known:
                fault = row.fault or wrong
                yield Problem(row.line, "row", fault.field or None, fault.code, fault.message)

    def _of(self, kind: str, row: SourceRow) -> list[Record]:
        if self.mapping is None:
            return [{k: v for k, v in row.values.items() if k != "kind"}] if row.values.get("kind") == kind else []
        records = (record_of(spec, self.mapping, row.values) for spec in self.mapping.record if spec.kind == kind)
        return [record for record in records if record is not None]


def header_of(path: Path, spec: FileSpec | None = None) -> list[str]:
    """The column names of a CSV file."""
    spec = spec or FileSpec()
    with path.open(encoding=spec.encoding, errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=spec.delimiter)
        header: list[str] = []
        for _ in range(spec.header_rows):
            header = next(reader, [])
    return [name.strip() for name in header]


def _csv_rows(path: Path, spec: FileSpec) -> Iterator[SourceRow]:
    csv.field_size_limit(FIELD_BYTES_MAX)
    with path.open(encoding=spec.encoding, errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=spec.delimiter)
        header: list[str] = []
        for _ in range(spec.header_rows):
            header = [name.strip() for name in next(reader, [])]
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield SourceRow(line, {}, RowRefused("", "row_malformed", str(error)))
                continue
            if cells:
                yield _checked(SourceRow(line, dict(zip(header, cells, strict=False))), len(header), cells)


def _checked(row: SourceRow, width: int, cells: list[str]) -> SourceRow:
    fault = None
    if len(cells) != width:
        fault = RowRefused("", "row_malformed", f"{len(cells)} cells under {width} columns")
    elif any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell if letter > "\ud7ff"):
        fault = RowRefused("", "encoding_invalid", "the row is not in the file's encoding")
    return SourceRow(row.line, row.values, fault) if fault else row


def _json_rows(path: Path) -> Iterator[SourceRow]:
    decoder = msgspec.json.Decoder(dict[str, str | int | None])
    with path.open("rb") as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            try:
                values = decoder.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raw = {"raw": text.decode(errors="replace").strip()}
                yield SourceRow(line, raw, RowRefused("", "row_malformed", str(error)))
                continue
            yield SourceRow(line, {key: str(value) for key, value in values.items() if value is not None})
