"""The JSON Schemas of all facts and the AsyncAPI document, as they are checked in beside this file.

`python -m events.schemas` writes what is missing or changed additively and refuses anything else; `--check` writes
nothing and fails where a file is not what the code says.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

import events.codec  # noqa: F401 - the import registers the facts
from events.asyncapi import document
from events.compatibility import Schema, breaks
from events.registry import PREFIX, REGISTRY, Registered, Registry

FOLDER: Final = Path(__file__).with_name("schemas")
ASYNCAPI: Final = Path(__file__).with_name("asyncapi.json")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_ADVICE: Final = (
    "a published version may only gain optional fields. Register the fact with the next version number, write an"
    " @upcast step from this one, and run `make golden schemas`"
)


def schema_of(known: Registered) -> Schema:
    """The JSON Schema of one fact type. The struct itself is the root; what it contains stands under `$defs`."""
    [root], components = msgspec.json.schema_components([known.cls], ref_template="#/$defs/{name}")
    own = components.pop(root["$ref"].removeprefix("#/$defs/"))
    schema: Schema = {"$schema": DIALECT, "$id": f"urn:{PREFIX}:fact:{known.name}:v{known.version}", **own}
    if components:
        schema["$defs"] = components
    tidy: Schema = _tidy(msgspec.json.decode(msgspec.json.encode(schema)))  # As it is read back: lists, not tuples.
    return tidy


def path_of(wire: str, folder: Path = FOLDER) -> Path:
    """Where the schema of `openitem.invoice.issued.v1` is checked in."""
    return folder / f"{wire}.json"


def published(folder: Path = FOLDER) -> dict[str, Schema]:
    """Every schema that is checked in, by wire name: those of today's versions and those of all earlier ones."""
    return {path.stem: msgspec.json.decode(path.read_bytes()) for path in sorted(folder.glob("*.json"))}


def text_of(value: object) -> bytes:
    """JSON as it is checked in."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def broken(registry: Registry = REGISTRY, folder: Path = FOLDER) -> list[str]:
    """What the code would break of what is published; a line for each, saying what to do.

    Shapes   fields removed, renamed, retyped or required; facts that are gone; versions without a step to the next.
    """
    current = {known.wire: known for known in registry.all()}
    found: list[str] = []
    for wire, schema in published(folder).items():
        if wire in current:
            found += [f"{wire} {line}; {_ADVICE}" for line in breaks(schema, schema_of(current[wire]))]
        elif not registry.reads(wire):
            found.append(f"{wire}: published, and the code cannot read it; facts are for ever, so give it an @upcast")
    return found


def differing(registry: Registry = REGISTRY, folder: Path = FOLDER) -> list[str]:
    """The wire names whose checked-in schema is missing or not what the code says."""
    on_disk = {path.stem: path.read_bytes() for path in folder.glob("*.json")}
    return [known.wire for known in registry.all() if on_disk.get(known.wire) != text_of(schema_of(known))]


def write(registry: Registry = REGISTRY, folder: Path = FOLDER) -> list[str]:
    """Write what differs; answers the wire names. Only to be called when nothing is `broken`."""
    folder.mkdir(exist_ok=True)
    stale = differing(registry, folder)
    for known in registry.all():
        if known.wire in stale:
            path_of(known.wire, folder).write_bytes(text_of(schema_of(known)))
    return stale


def asyncapi_text() -> bytes:
    """The AsyncAPI document over everything that is published."""
    return text_of(document(published()))


def run(*, check: bool) -> tuple[list[str], list[str]]:
    """Check the checked-in files, or bring them up to date: (what is wrong, what was written).

    Holds    nothing is written when something is wrong.
    """
    if problems := broken():
        return problems, []
    if check:
        stale = [f"{wire}: the checked-in schema differs; run `make schemas`" for wire in differing()]
        if not ASYNCAPI.exists() or ASYNCAPI.read_bytes() != asyncapi_text():
            stale.append(f"{ASYNCAPI.name} differs; run `make schemas`")
        return stale, []
    written = write()
    if not ASYNCAPI.exists() or ASYNCAPI.read_bytes() != asyncapi_text():
        ASYNCAPI.write_bytes(asyncapi_text())
        written.append(ASYNCAPI.name)
    return [], written


def _tidy(value: Any) -> Any:
    """Docstrings without their indentation."""
    if isinstance(value, dict):
        return {
            k: inspect.cleandoc(v) if k == "description" and isinstance(v, str) else _tidy(v) for k, v in value.items()
        }
    return [_tidy(v) for v in value] if isinstance(value, list) else value


def main(arguments: list[str]) -> int:
    """The command: exits 0, or 1 after saying what is wrong."""
    problems, written = run(check="--check" in arguments)
    for line in problems:
        sys.stderr.write(f"{line}\n")
    sys.stdout.write("".join(f"wrote {name}\n" for name in written))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
