"""The project's source as syntax trees, each read once, for tests about the code itself."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def sources(*patterns: str) -> tuple[Path, ...]:
    """Python files of the project by glob patterns, sorted."""
    return tuple(sorted({path for pattern in patterns for path in ROOT.glob(pattern) if path.suffix == ".py"}))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree_of(path)))


def at(path: Path, node: ast.AST | None = None) -> str:
    """`services/payment/domain.py:17`."""
    line = f":{node.lineno}" if isinstance(node, ast.expr | ast.stmt) else ""
    return f"{path.relative_to(ROOT)}{line}"


def name_of(node: ast.expr) -> str:
    """The last name of an expression: `now` for `datetime.now`."""
    return getattr(node, "attr", getattr(node, "id", ""))


def calls(path: Path) -> Iterator[tuple[ast.Call, str]]:
    """Every call of a file with the name that is called."""
    for node in nodes_of(path):
        if isinstance(node, ast.Call):
            yield node, name_of(node.func)


def imports(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """Every module that a file imports, with the statement that does."""
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module


def classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in nodes_of(path) if isinstance(node, ast.ClassDef))


@cache
def tracked() -> tuple[Path, ...]:
    """Every file under version control that is there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return tuple(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())
