"""Names that others depend on: codes of refusals, metrics, fact types, migrations."""

import ast
import re
from pathlib import Path

import pytest

import events.codec  # noqa: F401 - the import registers the facts
from events import golden
from events.registry import REGISTRY, Registered
from services.kernel.errors import Kind
from services.kernel.problem import STATUS
from tests.support.tree import ROOT, at, calls, classes, imports, name_of, sources

SOURCES = sources("services/**/*.py", "events/*.py")
SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
METRICS = {"Counter", "Gauge", "Histogram", "Summary", "Info"}
# What a metric counts or measures in: the last word of its name. Base units only, so never milliseconds.
UNITS = {
    "seconds", "bytes", "ratio", "total", "facts", "rows", "connections", "streams", "records", "commands", "accounts",
    "items", "minor", "snapshots",
}  # fmt: skip
# Yes or no, as 1 or 0; and what may be said of a count after its unit: facts_behind.
STATES = {"leader", "ready", "up", "broken"}
OF_UNITS = {"behind", "missing", "parked", "waiting"}
UNBOUNDED = {
    "id",
    "account",
    "account_id",
    "invoice",
    "stream",
    "actor",
    "user",
    "item",
    "number",
    "path",
    "url",
    "key",
}


CLASSES = [(path, node) for path in SOURCES for node in classes(path)]
BASES: dict[str, set[str]] = {}
for _, _node in CLASSES:
    BASES.setdefault(_node.name, set()).update(name_of(base) for base in _node.bases)


def leads_to(name: str, roots: set[str]) -> bool:
    """Whether a class derives from one of `roots`, going by the names of the bases."""
    return any(base in roots or leads_to(base, roots) for base in BASES.get(name, ()) if base != name)


REFUSALS = [(path, node) for path, node in CLASSES if leads_to(node.name, {"Refused", "Unreadable"})]


def code_of(node: ast.ClassDef) -> str | None:
    for statement in node.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        value = getattr(statement, "value", None)
        if isinstance(target, ast.Name) and target.id == "code" and isinstance(value, ast.Constant):
            return str(value.value)
    return None


def test_every_refusal_has_a_code_of_its_own() -> None:
    bases = {base for names in BASES.values() for base in names}
    found = [at(path, node) for path, node in REFUSALS if code_of(node) is None and node.name not in bases]
    assert not found, f"clients switch on `code`; give each of these one: {found}"


def test_no_two_refusals_share_a_code() -> None:
    places: dict[str, list[str]] = {}
    for path, node in REFUSALS:
        if code := code_of(node):
            places.setdefault(code, []).append(at(path, node))
    found = {code: where for code, where in places.items() if len(where) > 1}
    assert not found, f"a code says one thing in the whole project; name who says it, or where: {found}"


def test_codes_are_snake_case() -> None:
    found = [code for _, node in REFUSALS if (code := code_of(node)) and not SNAKE.fullmatch(code)]
    assert not found, found


def test_every_refusal_says_what_it_is() -> None:
    """The first line of its docstring is the title of the problem document."""
    answered = [(path, node) for path, node in REFUSALS if path.is_relative_to(ROOT / "services")]
    found = [at(path, node) for path, node in answered if not ast.get_docstring(node)]
    assert not found, f"a docstring of one line: {found}"


def test_every_kind_of_refusal_has_a_status() -> None:
    assert set(STATUS) == set(Kind)
    assert len(set(STATUS.values())) == len(STATUS)


@pytest.mark.parametrize("known", REGISTRY.all(), ids=lambda known: known.wire)
def test_every_fact_says_what_it_means_and_has_a_sample(known: Registered) -> None:
    assert known.cls.__dict__.get("__doc__"), f"{known.wire}: a docstring says what is true after it"
    assert all(SNAKE.fullmatch(part) for part in known.name.split(".")), known.name
    assert (golden.FOLDER / f"{known.wire}.json").exists(), f"{known.wire}: run `make golden`"


def ends_in_a_unit(name: str) -> bool:
    *_, before, last = name.split("_")
    return last in UNITS | STATES or (last in OF_UNITS and before in UNITS)


def test_metrics_are_named_alike() -> None:
    found: list[str] = []
    for path in sources("services/**/*.py", "deploy/**/*.py"):
        if not any(m.startswith("prometheus_client") for m in _imported(path)):
            continue
        for call, kind in calls(path):
            if kind not in METRICS or not call.args or not isinstance(call.args[0], ast.Constant):
                continue
            name, where = str(call.args[0].value), at(path, call)
            if not name.startswith("openitem_"):
                found.append(f"{where}: {name} does not begin with openitem_")
            if kind == "Counter" and not name.endswith("_total"):
                found.append(f"{where}: {name} is a counter: end it in _total")
            if kind != "Info" and not ends_in_a_unit(name):
                found.append(f"{where}: {name} ends in no unit; known are {sorted(UNITS | STATES)}")
            if unbounded := set(_labels(call)) & UNBOUNDED:
                found.append(f"{where}: {name} has a label without a bound: {unbounded}; log it instead")
    assert not found, "\n".join(found)


def test_every_metric_tells_what_to_do() -> None:
    found = [
        at(path, call)
        for path in sources("services/**/*.py")
        if any(m.startswith("prometheus_client") for m in _imported(path))
        for call, kind in calls(path)
        if kind in METRICS and call.args and len(_help(call)) < 20
    ]
    assert not found, f"the help text is for whoever is woken by it: {found}"


def test_every_migration_has_its_header() -> None:
    found: list[str] = []
    for path in sorted(ROOT.glob("services/*/migrations/*.sql")):
        head = [line for line in path.read_text().splitlines()[:12] if line.startswith("--")]
        text = "\n".join(head)
        if not head or head[0] != f"-- {path.relative_to(ROOT)}":
            found.append(f"{at(path)}: the first line names the file")
        found += [
            f"{at(path)}: the header says {w}"
            for w in ("Why", "Locks", "Time", "Undo")
            if not re.search(rf"\b{w}\b", text)
        ]
        if not re.fullmatch(r"\d{4}_[a-z0-9_]+\.sql", path.name):
            found.append(f"{at(path)}: name it 0001_what_it_is.sql")
    assert not found, "\n".join(found)


def test_migrations_of_a_package_are_numbered_without_holes() -> None:
    for folder in sorted(ROOT.glob("services/*/migrations")):
        numbers = [int(path.name[:4]) for path in sorted(folder.glob("*.sql"))]
        assert numbers == list(range(1, len(numbers) + 1)), f"{at(folder)}: {numbers}"


def _imported(path: Path) -> list[str]:
    return [module for _, module in imports(path)]


def _labels(call: ast.Call) -> list[str]:
    given = [*call.args[2:3], *(k.value for k in call.keywords if k.arg == "labelnames")]
    return [
        str(e.value)
        for g in given
        if isinstance(g, ast.List | ast.Tuple)
        for e in g.elts
        if isinstance(e, ast.Constant)
    ]


def _help(call: ast.Call) -> str:
    given = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "documentation")]
    return "".join(str(g.value) for g in given if isinstance(g, ast.Constant))
