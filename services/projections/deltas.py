"""What a batch of facts changes in the read models: rows by table, filled by pure folds, applied by the writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from events.envelope import Fact
from services.kernel.delivery import Known
from services.projections.table import Row, Table

R = TypeVar("R", bound=Row)
Fold = Callable[["Deltas", Known], None]


class Receipt(NamedTuple):
    """What later facts of a receipt do not repeat, and reports need of them."""

    received_on: date
    method: str


@dataclass(frozen=True, slots=True)
class Model:
    """One read model: the tables it owns and what each fact does to them. Facts it does not name leave it alone."""

    name: str
    tables: tuple[Table[Any], ...]
    folds: Mapping[type[Fact], Fold]


class Deltas:
    """The rows of one batch. `receipts` are those that facts of the batch speak of and that came before it; `begun` is
    when each branch's movements begin, as far as it is known; `since` is from when on those of the batch change what
    stood open.
    """

    def __init__(self, receipts: Mapping[UUID, Receipt] | None = None, begun: Mapping[str, date] | None = None) -> None:
        self.receipts: dict[UUID, Receipt] = dict(receipts or {})
        self.begun: dict[str, date] = dict(begun or {})
        self.since: dict[str, date] = {}
        self._rows: dict[str, dict[Any, Any]] = {}
        self._added: dict[str, list[Any]] = {}

    def add(self, table: Table[R], row: R) -> None:
        """One more row of a table without a key."""
        self._added.setdefault(table.name, []).append(row)

    def at(self, table: Table[R], *key: Any) -> R:
        """The batch's change of the row with `key`, to be changed in place; a change of nothing when new."""
        rows = self._rows.get(table.name)
        if rows is None:
            rows = self._rows[table.name] = {}
        # Python hashes and compares UUIDs in Python, and their integers at once.
        name = key[0].int if table.by_id else key
        row: R | None = rows.get(name)
        if row is None:
            row = rows[name] = table.row(*key)
        return row

    def offer(self, table: Table[R], row: R) -> None:
        """A row of a table of which the newest stays."""
        rows = self._rows.setdefault(table.name, {})
        key = tuple(getattr(row, name) for name in table.key)
        earlier, newest = rows.get(key), table.merger()
        assert newest is not None, table.name
        rows[key] = row if earlier is None else newest(earlier, row)

    def rows(self, table: Table[R]) -> Sequence[R]:
        """The rows of `table`, each key once."""
        if table.key:
            return list(self._rows.get(table.name, {}).values())
        return self._added.get(table.name, ())
