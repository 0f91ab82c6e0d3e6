"""What a read model's table is to the writer: its columns, and how two changes of one row become one.

A table is declared by a struct of its columns. Two rows with one key are merged the same way within a batch and in the
table: a column with default 0 is added up, one with default None is filled in by whoever knows it.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec


class Row(msgspec.Struct, gc=False):
    """A row as the folds fill it. It refers to nothing that could refer back, so the collector need not look at it."""


R = TypeVar("R", bound=Row)
_TYPES: Final = {
    UUID: "uuid",
    str: "text",
    int: "bigint",
    bool: "boolean",
    date: "date",
    datetime: "timestamptz",
    Decimal: "numeric",
}


class Table(Generic[R]):
    """A table and the statements that apply a batch of its rows.

    `key`       the columns that name a row; none: rows are only ever added.
    `greatest`  columns of which the greatest value stays, whatever the order; `least` likewise.
    `replaced`  columns that the later row decides, also where it says None: only for rows that one stream alone writes.
    `newest`    instead of merging columns, the row that is greatest in these columns stays as a whole.
    `casts`     columns that travel as text, and what they are.
    """

    def __init__(
        self,
        name: str,
        row: type[R],
        key: Sequence[str] = (),
        *,
        greatest: Sequence[str] = (),
        least: Sequence[str] = (),
        replaced: Sequence[str] = (),
        newest: Sequence[str] = (),
        casts: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.row = row
        self.key = tuple(key)
        self.newest = tuple(newest)
        self.columns: list[str] = [field.name for field in msgspec.structs.fields(row)]
        self._hints = get_type_hints(row)
        self.by_id = len(self.key) == 1 and self._hints[self.key[0]] is UUID
        self._casts = casts or {}
        fields = {field.name: field for field in msgspec.structs.fields(row) if field.name not in self.key}
        self._greatest, self._least = tuple(greatest), tuple(least)
        self._replaced = tuple(replaced)
        apart = {*greatest, *least, *replaced}
        self._sums = [name for name, field in fields.items() if field.default == 0 and name not in apart]
        self._fills = [name for name in fields if name not in self._sums and name not in apart]
        typed = [(name, self._type(name)) for name in self.columns]
        # Where a batch's rows lie: in one array per column, or, for many, in a table of the session. Copying them there
        # costs half of what asyncpg takes to encode arrays.
        arrays = ", ".join(f"${at}::{kind}[]" for at, (_, kind) in enumerate(typed, start=1))
        self.stage = f"fold_{name}"
        self.staging = f"CREATE TEMPORARY TABLE {self.stage} ({', '.join(f'{n} {t}' for n, t in typed)})"
        self.staging += " ON COMMIT DELETE ROWS"
        self.of_arrays = self._insert(f"unnest({arrays}) AS u({', '.join(self.columns)})") + self._merge()
        self.of_staged = self._insert(f"pg_temp.{self.stage} AS u") + self._merge()

    def _insert(self, source: str) -> str:
        """Inserts the rows in key order: two writers of the same rows then wait for each other, and cannot deadlock."""
        chosen = ", ".join(f"u.{n}::{self._casts[n]}" if n in self._casts else f"u.{n}" for n in self.columns)
        order = f" ORDER BY {', '.join(f'u.{name}' for name in self.key)}" if self.key else ""
        names = ", ".join(self.columns)
        # Nothing in it comes from outside: names of our own tables and columns.
        return f"INSERT INTO {self.name} AS t ({names}) SELECT {chosen} FROM {source}{order}"  # noqa: S608

    def merger(self) -> Callable[[R, R], R] | None:
        """For `newest` only: which of two rows of one key stays. Other rows are changed in place by the folds."""
        if not self.newest:
            return None
        order = self.newest
        return lambda a, b: max(a, b, key=lambda row: tuple(getattr(row, name) for name in order))

    def _merge(self) -> str:
        if not self.key:
            return ""
        conflict = f" ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET "
        if self.newest:
            sets = ", ".join(f"{name} = excluded.{name}" for name in self.columns if name not in self.key)
            ours, theirs = (", ".join(f"{side}.{name}" for name in self.newest) for side in ("t", "excluded"))
            return f"{conflict}{sets} WHERE ({ours}) < ({theirs})"
        parts = [f"{name} = t.{name} + excluded.{name}" for name in self._sums]
        parts += [f"{name} = coalesce(excluded.{name}, t.{name})" for name in self._fills]
        parts += [f"{name} = greatest(excluded.{name}, t.{name})" for name in self._greatest]
        parts += [f"{name} = least(excluded.{name}, t.{name})" for name in self._least]
        parts += [f"{name} = excluded.{name}" for name in self._replaced]
        return conflict + ", ".join(parts)

    def _type(self, name: str) -> str:
        if name in self._casts:
            return "text"
        hint: Any = self._hints[name]
        if get_origin(hint) in (Union, types.UnionType):
            [hint] = [part for part in get_args(hint) if part is not type(None)]
        return _TYPES[hint]
