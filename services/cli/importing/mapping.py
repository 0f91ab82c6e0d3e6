"""The mapping file: how the columns of somebody's ledger become the records that the services take. Pure.

One row of a ledger usually says several things: that an account exists, that an invoice was issued, that it was paid.
A mapping therefore lists records; each names its kind, when a row has one, and where every field comes from.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal
from uuid import UUID, uuid5

import msgspec

# Kinds that a ledger repeats on every row; the same record is sent once.
REPEATED: Final = frozenset({"branches", "accounts", "jobs"})
Row = Mapping[str, str]
Record = dict[str, str]

# The namespace of the namespaces: two ledgers that name theirs alike derive the same ids, others never do.
_ROOT: Final = UUID("6f1d3b8e-2a54-5c0e-9a35-0b1f6f0b7c11")
# Ids and days that come again: an account's with every row, an invoice's with what paid it. Reading them anew was half
# of what a row cost before it was sent.
_REMEMBERED_MAX: Final = 65_536
_PLACE: Final = re.compile(r"\{([^{}]+)\}")
_AMOUNT_NOISE: Final = {decimal: re.compile(rf"[^\d{re.escape(decimal)}\-]") for decimal in ".,"}


class MappingInvalid(Exception):
    """The mapping file itself is wrong; the message names the place."""


class RowRefused(Exception):
    """A row cannot become the record it should. `field` is the record's, `code` is stable."""

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field, self.code, self.message = field, code, message


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"as_": "as"}):
    """Where a field comes from: exactly one of a column, a constant, a text with {columns}, an id derived from such.

    `as_` says how to read it: dates by `formats` (strptime, tried in order), amounts with symbols, grouping and
    parentheses removed. `to` replaces whole values; `default` stands where the column is blank.
    """

    column: str | None = None
    value: str | None = None
    text: str | None = None
    id: str | None = None
    as_: Literal["text", "date", "amount", "absolute"] = "text"
    formats: tuple[str, ...] = ()
    to: dict[str, str] | None = None
    default: str | None = None

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.column, self.value, self.text, self.id)) != 1:
            raise ValueError("give exactly one of column, value, text, id")

    def columns(self) -> set[str]:
        """The ledger's columns that this field reads."""
        if self.column is not None:
            return {self.column}
        return set(_PLACE.findall(self.text or self.id or ""))


class Condition(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"is_": "is"}):
    """Whether a row has this record, judged by one column."""

    column: str
    is_: tuple[str, ...] | None = None
    blank: bool | None = None
    sign: Literal["positive", "negative"] | None = None

    def holds(self, row: Row, decimal: str) -> bool:
        text = (row.get(self.column) or "").strip()
        if self.blank is not None and (text == "") != self.blank:
            return False
        if self.is_ is not None and text not in self.is_:
            return False
        if self.sign is None:
            return True
        try:
            amount = Decimal(amount_text(text, decimal=decimal))
        except ValueError:
            return self.sign == "positive"  # Not an amount: let the field itself be refused, with its name.
        return amount > 0 if self.sign == "positive" else amount < 0


class RecordSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of record that a row may hold."""

    kind: str
    fields: dict[str, Source]
    when: tuple[Condition, ...] = ()


class FileSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file looks like. `header_rows` is 2 where labels stand above field names: the last one counts."""

    delimiter: str = ","
    encoding: str = "utf-8-sig"
    header_rows: int = 1
    dates: tuple[str, ...] = ("%Y-%m-%d",)
    decimal: Literal[".", ","] = "."


class LedgerMapping(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole mapping. `header` lists columns by which a file of this layout is recognised without being named."""

    name: str
    namespace: str
    record: tuple[RecordSpec, ...]
    file: FileSpec = FileSpec()
    header: tuple[str, ...] = ()

    def columns(self) -> set[str]:
        """Every column of the ledger that the mapping reads."""
        fields = {column for spec in self.record for source in spec.fields.values() for column in source.columns()}
        return fields | {condition.column for spec in self.record for condition in spec.when}

    def kinds(self) -> set[str]:
        return {spec.kind for spec in self.record}

    def kinds_of(self, row: Row) -> list[str]:
        """The kind of every record that the row has, if its fields will do."""
        decimal = self.file.decimal
        return [spec.kind for spec in self.record if all(condition.holds(row, decimal) for condition in spec.when)]

    def says_something_of(self, row: Row) -> bool:
        """Whether the row has a record of its own: that its account exists is said by other rows too."""
        own = self.kinds() - REPEATED
        return not (own or self.kinds()).isdisjoint(self.kinds_of(row))


def read_mapping(path: Path) -> LedgerMapping:
    """Read a mapping file. Errors: MappingInvalid, with the path and the place in it."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), LedgerMapping)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise MappingInvalid(f"{path}: {error}") from None


def recognise(header: Sequence[str], layouts: Sequence[LedgerMapping]) -> LedgerMapping | None:
    """The layout whose columns all stand in `header`; of several the one that names most."""
    present = set(header)
    fitting = [layout for layout in layouts if layout.header and present.issuperset(layout.header)]
    return max(fitting, key=lambda layout: len(layout.header), default=None)


def record_of(spec: RecordSpec, mapping: LedgerMapping, row: Row) -> Record | None:
    """The record of this kind that a row holds, or None where it holds none.

    Shapes   every value is text; blank ones are left out.
    Errors   RowRefused: column_missing, date_invalid, amount_invalid, id_incomplete.
    """
    if not all(condition.holds(row, mapping.file.decimal) for condition in spec.when):
        return None
    record = {name: _value_of(name, source, mapping, row) for name, source in spec.fields.items()}
    return {name: value for name, value in record.items() if value != ""}


def _value_of(name: str, source: Source, mapping: LedgerMapping, row: Row) -> str:
    if source.value is not None:
        return source.value
    if source.id is not None:
        return derived_id(mapping.namespace, _filled(name, source.id, row, whole=True))
    text = _filled(name, source.text, row) if source.text is not None else _cell(name, source.column or "", row)
    if source.to is not None:
        text = source.to.get(text, text)
    if text == "":
        text = source.default or ""
    if text == "" or source.as_ == "text":
        return text
    if source.as_ == "date":
        formats = source.formats or mapping.file.dates
        if (day := _date(text, formats)) is None:
            raise RowRefused(name, "date_invalid", f"{text!r} is not a date as {' or '.join(formats)}")
        return day
    try:
        amount = amount_text(text, decimal=mapping.file.decimal)
    except ValueError:
        raise RowRefused(name, "amount_invalid", f"{text!r} is not an amount") from None
    return amount.removeprefix("-") if source.as_ == "absolute" else amount


@lru_cache(maxsize=_REMEMBERED_MAX)
def derived_id(namespace: str, text: str) -> str:
    """The id that stands for `text` in a ledger: the same text gives the same id, today and in a rerun."""
    return str(uuid5(_space(namespace), text))


@lru_cache
def _space(namespace: str) -> UUID:
    return uuid5(_ROOT, namespace)


def amount_text(text: str, *, decimal: str = ".") -> str:
    """A plain decimal from how ledgers write amounts: `$1,204.50`, `(12.00)`, `12.00-`, `12.00 CR`.

    Errors   ValueError where no amount can be read.
    """
    body = text.strip()
    negative = (body.startswith("(") and body.endswith(")")) or body.endswith("-") or body.upper().endswith("CR")
    digits = _AMOUNT_NOISE[decimal].sub("", body.rstrip("-")).replace(",", ".")
    try:
        amount = Decimal(digits)
    except InvalidOperation:
        raise ValueError(text) from None
    if not amount.is_finite():
        raise ValueError(text)
    return f"{-abs(amount) if negative else amount:f}"


def _cell(name: str, column: str, row: Row) -> str:
    value = row.get(column)
    if value is None:
        raise RowRefused(name, "column_missing", f"the row has no column {column!r}")
    return value.strip()


def _filled(name: str, template: str, row: Row, *, whole: bool = False) -> str:
    """`template` with each {column} replaced; with `whole`, a blank column is refused: half an id is none."""

    def cell(match: re.Match[str]) -> str:
        value = _cell(name, match.group(1), row)
        if whole and value == "":
            raise RowRefused(name, "id_incomplete", f"column {match.group(1)!r} is blank")
        return value

    return _PLACE.sub(cell, template)


@lru_cache(maxsize=_REMEMBERED_MAX)
def _date(text: str, formats: tuple[str, ...]) -> str | None:
    """The day in ISO form, by the first of the formats that fits; None where none does."""
    for form in formats:
        try:
            return datetime.strptime(text, form).date().isoformat()  # noqa: DTZ007 - a date has no zone
        except ValueError:
            continue
    return None


def layouts() -> list[LedgerMapping]:
    """The layouts that are known without a mapping file."""
    return [read_mapping(path) for path in sorted((Path(__file__).parent / "layouts").glob("*.toml"))]
