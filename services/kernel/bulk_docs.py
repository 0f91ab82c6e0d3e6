"""How an import is described in the OpenAPI document: its columns, an example of a row, the lines of its answer."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec
from msgspec import inspect

CSV: Final = "text/csv"
NDJSON: Final = "application/x-ndjson"
ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "What became of the rows, a JSON object per line.",
        "content": {
            NDJSON: {
                "schema": {"type": "string"},
                "example": (
                    '{"line":"rejected","row":7,"field":"amount","code":"amount_invalid","message":"write it as ..."}\n'
                    '{"line":"progress","rows":500,"landed":499,"on_record":0,"rejected":1,"facts":499}\n'
                    '{"line":"summary","rows":612,"landed":611,"on_record":0,"rejected":1,"facts":611}\n'
                ),
            }
        },
    },
    415: {"description": f"The body is neither {CSV} nor {NDJSON}."},
}
_ID: Final = "3f0c5a0e-7a53-4f37-9d3c-8d6b3c1f8a11"
# Values that the patterns of the contract take; a field whose type says nothing shows its own name.
_TEXTS: Final = ("B010", "USD", "1204.50")


def describe(row: type[msgspec.Struct]) -> str:
    """The columns, and what is answered, in words."""
    fields = msgspec.structs.fields(row)
    needed = ", ".join(f"`{f.encode_name}`" for f in fields if f.required)
    other = ", ".join(f"`{f.encode_name}`" for f in fields if not f.required)
    return (
        f"CSV with a header line, or NDJSON. Needed: {needed or 'none'}. Optional: {other or 'none'}.\n\n"
        "Answers NDJSON: a line `rejected` for each row that did not land (`arriving`: it names what another service"
        " may yet make known, so that it may land later), `progress` after each batch, `summary`"
        " at the end, and after it `failed` where the import ended early. A second run of the same file adds nothing."
    )


def request_body(row: type[msgspec.Struct]) -> dict[str, Any]:
    """The request body, with a row of the columns that are needed."""
    example = example_of(row)
    line = ",".join(str(value) for value in example.values())
    return {
        "required": True,
        "content": {
            CSV: {"schema": {"type": "string"}, "example": f"{','.join(example)}\n{line}\n"},
            NDJSON: {"schema": {"type": "string"}, "example": json.dumps(example) + "\n"},
        },
    }


def example_of(row: type[msgspec.Struct]) -> dict[str, Any]:
    """A row with the columns that are needed, each with a value its type takes."""
    shape = inspect.type_info(row)
    assert isinstance(shape, inspect.StructType)
    return {field.encode_name: _value(field.type, field.encode_name) for field in shape.fields if field.required}


def _value(kind: inspect.Type, name: str) -> Any:
    match kind:
        case inspect.Metadata(type=inner, extra_json_schema=extra):
            examples = (extra or {}).get("examples")
            return examples[0] if examples else _value(inner, name)
        case inspect.UnionType(types=types):
            return _value(next(t for t in types if not isinstance(t, inspect.NoneType)), name)
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.UUIDType():
            return _ID
        case inspect.DateType():
            return "2024-01-31"
        case inspect.DateTimeType():
            return "2024-01-31T09:30:00Z"
        case inspect.BoolType():
            return True
        case inspect.IntType(ge=least):
            return max(least or 1, 1)
        case inspect.StrType(pattern=str(pattern)):
            return next((text for text in _TEXTS if re.search(pattern, text)), name)
        case _:
            return _named(name)


def _named(name: str) -> str:
    """A value for a text of which only the name says what it is."""
    if name.endswith(("amount", "total")):
        return "1204.50"
    return _ID if name.endswith(("_id", "_ids")) else name.upper()
