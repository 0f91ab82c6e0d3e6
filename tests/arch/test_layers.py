"""Pure in the middle, effects at the rim; the contract needs no driver."""

import ast
import sys

import pytest

from tests.support.tree import ROOT, at, calls, imports, nodes_of, sources

DOMAINS = sources(
    "services/*/domain.py", "services/*/domain/**/*.py", "services/*/policy.py", "services/*/policy/**/*.py"
)
PURE = [path for path in DOMAINS if path.parent.name != "kernel"]
IMPURE = {
    **dict.fromkeys(("now", "today", "utcnow", "time", "monotonic"), "the moment arrives in the command"),
    **dict.fromkeys(("uuid1", "uuid4", "uuid7", "urandom", "token_hex", "token_urlsafe"), "ids arrive in the command"),
    **dict.fromkeys(("random", "randint", "randrange", "choice", "shuffle"), "chance arrives in the command"),
    **dict.fromkeys(("open", "print", "input", "getenv", "read_text", "write_text"), "effects belong to the rim"),
}
DRIVERS = {
    "asyncio", "asyncpg", "aiokafka", "kafka", "faust", "mode", "fastapi", "starlette", "pydantic", "pydantic_settings",
    "httpx", "uvicorn", "structlog", "logging", "prometheus_client", "os", "random", "secrets", "socket", "sqlite3",
    "subprocess", "threading", "time",
}  # fmt: skip
ASYNC = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)


def test_there_are_domains_to_look_at() -> None:
    assert DOMAINS


def test_a_domain_awaits_nothing() -> None:
    found = [at(path, node) for path in PURE for node in nodes_of(path) if isinstance(node, ASYNC)]
    assert not found, f"a domain is pure: await in handlers.py instead: {found}"


def test_a_domain_reads_no_clock_no_chance_and_no_file() -> None:
    found = [
        f"{at(path, call)}: {name}(); {IMPURE[name]}"
        for path in PURE
        for call, name in calls(path)
        if name in IMPURE and not _is_ours(call)
    ]
    assert not found, "\n".join(found)


def test_a_domain_imports_no_driver() -> None:
    found = [
        f"{at(path, node)}: {module}"
        for path in PURE
        for node, module in imports(path)
        if module.partition(".")[0] in DRIVERS
    ]
    assert not found, f"a domain imports events, kernel errors and values only: {found}"


def test_the_contract_imports_msgspec_and_the_standard_library_only() -> None:
    allowed = {*sys.stdlib_module_names, "msgspec", "events"}
    found = [
        f"{at(path, node)}: {module}"
        for path in sources("events/**/*.py")
        for node, module in imports(path)
        if module.partition(".")[0] not in allowed
    ]
    assert not found, f"anyone reads the contract without installing anything else: {found}"


@pytest.mark.parametrize(
    "name", ["utils", "util", "helpers", "common", "misc", "service", "services", "manager", "flows"]
)
def test_no_module_is_a_drawer(name: str) -> None:
    found = [at(p) for p in sources("events/**/*.py", "services/*/**/*.py", "deploy/**/*.py") if p.stem == name]
    assert not found, f"name it for the noun it is about: {found}"


def _is_ours(call: ast.Call) -> bool:
    """A method of a value that arrived (`command.now`), not of a module or class that has the effect."""
    return (
        isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) and call.func.value.id == "self"
    )


def test_every_service_has_the_same_shape() -> None:
    """A reader always knows the next file."""
    found = [
        f"services/{name}/{part}"
        for name in ("invoice", "payment", "contact", "escalation")
        for part in ("domain", "handlers", "app", "worker", "README.md")
        if not any((ROOT / "services" / name / named).exists() for named in (part, f"{part}.py"))
    ]
    assert not found, f"missing: {found}"
