"""What may change in a published schema: optional fields may be added and words reworded. Nothing else.

Source   house rule: only additive changes within a version, so that every reader of a version reads every fact of it.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]
# What a schema says to people: no reader of facts depends on it.
_WORDS: Final = frozenset({"title", "description", "examples", "$id", "$schema"})
_COMPARED_BY_FIELD: Final = frozenset({"properties", "required", "$defs"})


def breaks(published: Schema, proposed: Schema) -> list[str]:
    """Every way in which `proposed` breaks readers of `published`, or data written under it. Empty: it is additive.

    A default that changes is a break, because old facts would come to mean something else. So is a new value of an
    enumeration: who knows the old list cannot decode it, and would park the fact.

    Shapes   JSON Schemas of one fact type as `events.schemas` makes them: a `$ref` points into the document's `$defs`.
    """
    return _Comparison(published, proposed).of_schemas(published, proposed, "")


class _Comparison:
    """Two documents; each side's references are resolved within its own."""

    def __init__(self, published: Schema, proposed: Schema) -> None:
        self._published = published
        self._proposed = proposed

    def of_schemas(self, old: Schema, new: Schema, path: str) -> list[str]:
        old, new = _resolve(old, self._published), _resolve(new, self._proposed)
        if old.get("type") != new.get("type"):
            return [f"{path or '/'}: was {_kind(old)}, would be {_kind(new)}"]
        found = self._of_fields(old, new, path)
        for key in sorted((old.keys() | new.keys()) - _WORDS - _COMPARED_BY_FIELD):
            found += self._of_rules(key, old.get(key), new.get(key), path)
        return found

    def _of_fields(self, old: Schema, new: Schema, path: str) -> list[str]:
        was, now = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        found: list[str] = []
        for name, schema in was.items():
            where = f"{path}/{name}"
            if name not in now:
                found.append(f"{where}: removed or renamed")
                continue
            if name in needed - needs:
                found.append(f"{where}: was always there, could now be absent")
            if name in needs - needed:
                found.append(f"{where}: could be absent, would now be required")
            found += self.of_schemas(schema, now[name], where)
        return found + [f"{path}/{name}: added without a default" for name in now if name in needs - was.keys()]

    def _of_rules(self, key: str, old: Any, new: Any, path: str) -> list[str]:
        """Compare one keyword, such as `items`, `enum`, `pattern` or `default`."""
        if key == "items" and isinstance(old, dict) and isinstance(new, dict):
            return self.of_schemas(old, new, f"{path}[]")
        if key in ("anyOf", "prefixItems") and old and new and len(old) == len(new):
            return [line for a, b in zip(old, new, strict=True) for line in self.of_schemas(a, b, path)]
        return [] if old == new else [f"{path or '/'}: {key} was {old!r}, would be {new!r}"]


def _resolve(schema: Schema, document: Schema) -> Schema:
    """The schema that a `$ref` into `document` means, with what stands beside the reference: a default does."""
    while "$ref" in schema:
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**document["$defs"][schema["$ref"].removeprefix("#/$defs/")], **beside}
    return schema


def _kind(schema: Schema) -> str:
    return str(schema.get("type") or " or ".join(_kind(s) for s in schema.get("anyOf", ())) or "an enumeration")
