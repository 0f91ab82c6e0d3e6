"""Habits of the code: sizes, clocks, output, settings, and nothing of anybody's machine."""

import ast
import re
from pathlib import Path

from tests.support.tree import ROOT, at, calls, classes, name_of, nodes_of, sources, tracked, tree_of

CODE = sources("events/**/*.py", "services/**/*.py", "deploy/**/*.py")
LINES_MAX = 400  # A module that passes 300 is split by noun; the rest is grace for tables of data.
# A home of somebody's files. Written so that this file does not name one itself.
MACHINE = re.compile(r"(?<![\w.~$}/-])/(?:" + "|".join(("wor" + "k", "ro" + "ot", "ho" + "me", "Us" + "ers")) + r")/\w")
INDEX = re.compile(
    r"https?://[\w.-]*(?:"
    + "|".join(("py" + "pi", "python" + "hosted", "artifact" + "ory", "nex" + "us", "npm" + "js"))
    + ")"
)
BINARY = {".png", ".jpg", ".ico", ".woff2", ".xlsx", ".pdf"}


def test_a_module_is_read_in_one_sitting() -> None:
    found = {at(path): n for path in CODE if (n := len(path.read_text().splitlines())) > LINES_MAX}
    assert not found, f"split by noun, as domain/allocation.py: {found}"


def test_every_module_says_what_it_owns() -> None:
    found = [at(path) for path in CODE if path.read_text().strip() and not ast.get_docstring(tree_of(path))]
    assert not found, f"one or two sentences at the top: {found}"


def test_no_moment_is_without_a_zone() -> None:
    found = [
        f"{at(path, call)}: {name}()"
        for path in CODE
        for call, name in calls(path)
        if _is_naive(call, name) and "noqa: DTZ" not in path.read_text().splitlines()[call.lineno - 1]
    ]
    assert not found, f"datetime.now(UTC), and a branch's own zone for its today: {found}"


def test_no_column_is_without_a_zone() -> None:
    found = [
        f"{at(path)}:{number}"
        for path in sorted(ROOT.glob("services/*/migrations/*.sql"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(r"\btimestamp\b(?! with time zone)", line.partition("--")[0], re.IGNORECASE)
    ]
    assert not found, f"timestamptz: {found}"


def test_no_column_holds_money_as_a_float() -> None:
    found = [
        f"{at(path)}:{number}"
        for path in sorted(ROOT.glob("services/*/migrations/*.sql"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(
            r"\bmoney\b|(minor|amount)\w*\s+(real|float|double|numeric)", line.partition("--")[0], re.IGNORECASE
        )
    ]
    assert not found, f"bigint of minor units beside a currency: {found}"


def test_only_the_command_line_prints() -> None:
    found = [
        at(path, call)
        for path in CODE
        for call, name in calls(path)
        if name == "print" and isinstance(call.func, ast.Name) and "cli" not in path.relative_to(ROOT).parts
    ]
    assert not found, f"log it: {found}"


def test_settings_do_not_change() -> None:
    found: list[str] = []
    for path in CODE:
        for node in classes(path):
            bases = {name_of(base) for base in node.bases}
            config = [
                statement.value
                for statement in node.body
                if isinstance(statement, ast.Assign) and name_of(statement.targets[0]) == "model_config"
            ]
            if "BaseSettings" in bases and not config:
                found.append(at(path, node))
            if any(base.endswith("Settings") for base in bases):
                found += [at(path, node) for value in config if not _is_frozen(value)]
    assert not found, f"model_config = SettingsConfigDict(frozen=True, ...): {found}"


def test_every_exception_that_is_swallowed_is_named() -> None:
    found = [
        at(path, node)
        for path in CODE
        for node in nodes_of(path)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert not found, f"name what can be mended there: {found}"


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    found = [line for path in tracked() for line in _lines_with(path, MACHINE)]
    assert not found, f"say it relative to the project, or as a setting: {found}"


def test_no_file_names_a_package_index() -> None:
    found = [line for path in tracked() for line in _lines_with(path, INDEX)]
    assert not found, f"where packages come from is the user's own setting: {found}"


def _lines_with(path: Path, pattern: re.Pattern[str]) -> list[str]:
    if path.suffix in BINARY:
        return []
    text = path.read_text(errors="replace")
    if not pattern.search(text):
        return []
    return [f"{at(path)}:{n}" for n, line in enumerate(text.splitlines(), start=1) if pattern.search(line)]


def _is_naive(call: ast.Call, name: str) -> bool:
    return (
        name in ("utcnow", "utcfromtimestamp")
        or (name in ("now", "fromtimestamp") and _of(call) == "datetime" and not _zone(call))
        or (name == "today" and _of(call) in ("date", "datetime"))
    )


def _of(call: ast.Call) -> str:
    return name_of(call.func.value) if isinstance(call.func, ast.Attribute) else ""


def _zone(call: ast.Call) -> bool:
    wanted = 1 if name_of(call.func) == "now" else 2
    return len(call.args) >= wanted or any(keyword.arg in ("tz", "tzinfo") for keyword in call.keywords)


def _is_frozen(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and any(
        k.arg == "frozen" and isinstance(k.value, ast.Constant) and k.value.value is True for k in value.keywords
    )
