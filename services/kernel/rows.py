"""Rows of an import out of a stream of bytes: CSV or NDJSON, never the whole file at once, whatever the bytes are.

A row that cannot be read is an item of its own with its code, and the rows after it are read all the same.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from typing import Final, Protocol, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)
ROW_BYTES_MAX: Final = 65_536  # Of one row; the widest ledger line is far below it.
_LINES_MAX: Final = 200  # Of one CSV row: a quote that is never closed must not swallow the file.
_SURROGATE: Final = re.compile("[\ud800-\udfff]")  # What bytes that are not UTF-8 were decoded to.
_AT: Final = re.compile(r" - at `\$(?:\.|\[\.\.\.\])?(.*?)`$")
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="rejected"):
    """A row that did not land, and why. Row 0 is the header: nothing of the file was read then.

    `arriving`: it names what another service may be about to make known here, so the same row may land later.
    """

    row: int
    field: str | None = None
    code: str
    message: str
    arriving: bool | msgspec.UnsetType = msgspec.UNSET


class Row(msgspec.Struct, frozen=True):
    """A row as its columns and values, before they are looked at. `number` counts the rows after the header from 1."""

    number: int
    values: dict[str, object]


class Reader(Protocol):
    """Takes bytes as they come, gives rows. `refused` after a `Rejected` of row 0: it gives nothing more."""

    refused: bool

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[Row | Rejected]: ...


async def rows_of(reader: Reader, body: AsyncIterable[bytes]) -> AsyncIterator[Iterator[Row | Rejected]]:
    """Every row of `body` in order, a chunk's at a time. Where the header will not do, the rest is not read."""
    async for chunk in body:
        yield reader.feed(chunk)
        if reader.refused:
            return
    yield reader.feed(b"", final=True)


class JsonRows:
    """NDJSON: one object per line. Empty lines are passed over, and counted."""

    refused = False  # There is no header.

    def __init__(self, row: type[msgspec.Struct], row_bytes_max: int = ROW_BYTES_MAX) -> None:
        self._fields = {field.encode_name for field in msgspec.structs.fields(row)}
        self._max = row_bytes_max
        self._rest = b""
        self._skipping = False  # In a line that is too long: its row is rejected already.
        self._number = 0

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[Row | Rejected]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if final:
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            if self._skipping:
                self._skipping = False
                continue
            self._number += 1
            if len(line) > self._max:
                yield self._too_long()
            elif line.strip():
                yield self._row(line)
        if len(self._rest) > self._max:
            if not self._skipping:
                self._number += 1
                yield self._too_long()
            self._skipping, self._rest = True, b""

    def _row(self, line: bytes) -> Row | Rejected:
        try:
            values = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            return self._malformed(f"no JSON: {error}")
        if not isinstance(values, dict):
            return self._malformed("a row is a JSON object")
        if b"\\u0000" in line:
            return self._malformed("a NUL character cannot be stored")
        for name in values:
            if name not in self._fields:
                return Rejected(
                    row=self._number, field=name[:64], code="row_field_invalid", message="there is no such field"
                )
        return Row(self._number, values)

    def _too_long(self) -> Rejected:
        return self._malformed(f"a row has at most {self._max} bytes")

    def _malformed(self, message: str) -> Rejected:
        return Rejected(row=self._number, code="row_malformed", message=message)


class _NeedMore(Exception):
    """The record goes on in bytes that have not come yet."""


class _Endless(Exception):
    """The record is longer than a record may be: most likely a quote was never closed."""


class CsvRows:
    """CSV in UTF-8 with a header line, comma separated, quoted as RFC 4180 says. An empty cell is an absent value.

    A record may span lines. One that turns out malformed costs its first line only: the rest is read afresh, so a quote
    somebody forgot to close does not take good rows with it. Rows without any value are passed over, and counted.
    """

    def __init__(self, row: type[msgspec.Struct], row_bytes_max: int = ROW_BYTES_MAX) -> None:
        fields = msgspec.structs.fields(row)
        self._known = {field.encode_name for field in fields}
        self._required = {field.encode_name for field in fields if field.required}
        self._max = row_bytes_max
        decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._decoder = io.IncrementalNewlineDecoder(decoder, translate=True)
        self._rest = ""  # The last line, while its end has not come.
        self._skipping = False  # In a line that is too long; what came of it is dropped.
        self._lines: deque[str | None] = deque()  # Complete lines not read yet; None for one that was too long.
        self._header: list[str] | None = None
        self.refused = False
        self._number = 0

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[Row | Rejected]:
        if self.refused:
            return
        self._split(self._decoder.decode(chunk, final), final=final)
        while self._lines:
            line = self._lines[0]
            if self._header is not None and line is not None and '"' not in line:
                # Nearly every line of nearly every file, in a third of the time that a csv.reader of its own takes.
                self._lines.popleft()
                row = self._row(line, line.split(","))
                if row is not None:
                    yield row
                continue
            found = self._next(final=final)
            if found is None:
                break
            yield from found
            if self.refused:
                return
        if final and self._header is None:
            yield self._refuse("header_malformed", "there is no header line")

    def _split(self, text: str, *, final: bool) -> None:
        """Add the complete lines to those to be read. One that is too long is dropped before it fills the memory."""
        *lines, self._rest = (self._rest + text).split("\n")
        if final and (self._rest or self._skipping):
            lines, self._rest = [*lines, self._rest], ""
        for line in lines:
            self._lines.append(None if self._skipping or len(line) > self._max else line)
            self._skipping = False
        if len(self._rest) > self._max:
            self._skipping, self._rest = True, ""

    def _next(self, *, final: bool) -> Sequence[Row | Rejected] | None:
        """What the next record comes to: at most one row. None: its end has not come yet."""
        taken: list[str] = []
        try:
            cells = next(csv.reader(self._record(taken, final=final), strict=True))
        except _NeedMore:
            self._lines.extendleft(reversed(taken))
            return None
        except (_Endless, csv.Error) as error:
            self._lines.extendleft(reversed(taken[1:]))
            if not taken:
                self._lines.popleft()  # The one that was too long by itself.
            return [self._malformed(str(error) or "a quote is not closed, or the row is too long")]
        text = "".join(taken)
        if self._header is None and _is_text(text):
            return self._read_header([cell.strip() for cell in cells])
        row = self._row(text, cells)
        return [] if row is None else [row]

    def _row(self, text: str, cells: Sequence[str]) -> Row | Rejected | None:
        """What the cells come to, which were read from `text`. None: nothing is in them."""
        if not _is_text(text):
            return self._malformed("not UTF-8 text; save the file as CSV UTF-8")
        assert self._header is not None, "the header is read first"
        self._number += 1
        gaps = "" in cells
        if gaps and not any(cells):
            return None
        if len(cells) != len(self._header):
            message = f"{len(cells)} cells where the header has {len(self._header)}"
            return Rejected(row=self._number, code="row_malformed", message=message)
        named = zip(self._header, cells, strict=True)
        return Row(self._number, {name: cell for name, cell in named if cell} if gaps else dict(named))

    def _record(self, taken: list[str], *, final: bool) -> Iterator[str]:
        """Lines for one record, moved to `taken` as they are asked for."""
        size = 0
        while True:
            if not self._lines:
                if final:
                    return
                raise _NeedMore
            line = self._lines[0]
            if line is None or len(taken) == _LINES_MAX or (taken and size + len(line) >= self._max):
                raise _Endless
            self._lines.popleft()
            taken.append(line)
            size += len(line) + 1
            yield f"{line}\n"

    def _read_header(self, names: list[str]) -> list[Row | Rejected]:
        problems: list[Row | Rejected] = []
        for at, name in enumerate(names):
            if name not in self._known:
                message = f"there is no such column; there are {', '.join(sorted(self._known))}"
                problems.append(self._refuse("header_unknown_column", message, name[:64]))
            elif name in names[:at]:
                problems.append(self._refuse("header_duplicate_column", "the column is there twice", name))
        missing = sorted(self._required - set(names))
        problems.extend(self._refuse("header_missing_column", "the column is needed", name) for name in missing)
        self._header = names
        return problems

    def _refuse(self, code: str, message: str, field: str | None = None) -> Rejected:
        self.refused = True
        return Rejected(row=0, field=field, code=code, message=message)

    def _malformed(self, message: str) -> Rejected:
        if self._header is None:
            return self._refuse("header_malformed", message)
        self._number += 1
        return Rejected(row=self._number, code="row_malformed", message=message)


def _is_text(text: str) -> bool:
    return "\x00" not in text and (text.isascii() or _SURROGATE.search(text) is None)


def typed(row: Row, kind: type[R]) -> R | Rejected:
    """The row as its struct: text is read as the numbers, dates and ids the struct declares."""
    try:
        return msgspec.convert(row.values, kind, strict=False)
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
        text = str(error)
        where = _MISSING.search(text) or _AT.search(text)
        message = _AT.sub("", text)
        return Rejected(row=row.number, field=where[1] if where else None, code="row_field_invalid", message=message)
