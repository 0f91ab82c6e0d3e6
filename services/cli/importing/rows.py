"""Hold a record against the row that its service takes, without sending it: what a dry run can tell."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, Final

from events.topics import SERVICES
from services.cli.importing.ledger import Problem
from services.cli.importing.mapping import Record
from services.kernel.bulk import BulkKind
from services.kernel.errors import Refused
from services.kernel.rows import Rejected, Row, typed

_NOBODY: Final = "dry-run"


@cache
def _kinds() -> dict[str, BulkKind[Any, Any]]:
    # Imported only when asked: the services' modules are many, and the program's other commands need none of them.
    modules = [import_module(f"services.{service}.imports") for service in SERVICES]
    return {kind.name: kind for module in modules for kind in module.KINDS}


def checked(kind: str, line: int, record: Record) -> Problem | None:
    """What is wrong with a record in itself, or None: its fields, their shapes, and the amounts in them."""
    bulk = _kinds()[kind]
    for name in record:
        if name not in bulk.row.__struct_fields__:
            return Problem(line, kind, name, "row_field_invalid", "there is no such field")
    row = typed(Row(line, dict(record)), bulk.row)
    if isinstance(row, Rejected):
        return Problem(line, kind, row.field, row.code, row.message)
    try:
        bulk.command_of(row, _NOBODY)
    except Refused as refused:
        return Problem(line, kind, refused.field, refused.code, refused.message)
    return None
