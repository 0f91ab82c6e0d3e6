"""What is published stays readable: a changed schema without a new version fails here."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from events import codec, schemas
from events.envelope import Fact
from events.registry import REGISTRY, Registered, Registry
from tests.support.strategies import facts_of

EACH_FACT = pytest.mark.parametrize("known", REGISTRY.all(), ids=lambda known: known.wire)


def test_no_published_schema_is_broken() -> None:
    assert schemas.broken() == []


def test_the_checked_in_files_are_what_the_code_says() -> None:
    problems, written = schemas.run(check=True)
    assert (problems, written) == ([], [])


@EACH_FACT
def test_a_schema_is_a_schema_and_names_itself(known: Registered) -> None:
    schema = schemas.published()[known.wire]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:openitem:fact:{known.name}:v{known.version}"
    assert schema["description"]


@EACH_FACT
def test_any_fact_is_valid_by_its_schema(known: Registered) -> None:
    validator = Draft202012Validator(
        schemas.published()[known.wire], format_checker=Draft202012Validator.FORMAT_CHECKER
    )

    @settings(max_examples=5)
    @given(facts_of(known))
    def valid(fact: Fact) -> None:
        validator.validate(msgspec.json.decode(codec.encode(fact)))

    valid()


class Dug(Fact, frozen=True, kw_only=True):
    """A trench was dug."""

    metres: int


class DugWithWidth(Fact, frozen=True, kw_only=True):
    """A trench was dug, so wide."""

    metres: int
    width: int | None = None


class DugInFeet(Fact, frozen=True, kw_only=True):
    """A trench was dug."""

    feet: int


def contract(cls: type[Fact], version: int = 1) -> Registry:
    made = Registry()
    made.event("trench.dug", version=version)(cls)
    return made


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder in which version 1 of one fact is published."""
    schemas.write(contract(Dug), tmp_path)
    return tmp_path


def test_an_added_optional_field_passes_and_is_written(published: Path) -> None:
    changed = contract(DugWithWidth)
    assert schemas.broken(changed, published) == []
    assert schemas.differing(changed, published) == ["openitem.trench.dug.v1"]
    assert schemas.write(changed, published) == ["openitem.trench.dug.v1"]
    assert schemas.differing(changed, published) == []


def test_a_field_that_is_taken_back_is_a_break(published: Path) -> None:
    schemas.write(contract(DugWithWidth), published)
    [line] = schemas.broken(contract(Dug), published)
    assert line.startswith("openitem.trench.dug.v1 /width: removed or renamed")


def test_a_changed_field_without_a_new_version_says_what_to_do(published: Path) -> None:
    lines = schemas.broken(contract(DugInFeet), published)
    assert [line.partition(";")[0] for line in lines] == [
        "openitem.trench.dug.v1 /metres: removed or renamed",
        "openitem.trench.dug.v1 /feet: added without a default",
    ]
    assert all("next version number" in line and "@upcast" in line for line in lines)


def test_a_new_version_needs_a_step_from_the_old_one(published: Path) -> None:
    second = contract(DugInFeet, version=2)
    assert schemas.broken(second, published) == [
        "openitem.trench.dug.v1: published, and the code cannot read it; facts are for ever, so give it an @upcast"
    ]

    @second.upcast("trench.dug", frm=1)
    def to_feet(data: dict[str, Any]) -> dict[str, Any]:
        return {**{k: v for k, v in data.items() if k != "metres"}, "feet": round(data["metres"] / 0.3048)}

    assert schemas.broken(second, published) == []
    assert schemas.write(second, published) == ["openitem.trench.dug.v2"]
    assert sorted(schemas.published(published)) == ["openitem.trench.dug.v1", "openitem.trench.dug.v2"]
    old = b'{"branch":"CHI","effective_on":"2026-03-02","metres":30}'
    assert second.decode("openitem.trench.dug.v1", old) == DugInFeet(
        branch="CHI", effective_on=date(2026, 3, 2), feet=98
    )


def test_a_fact_that_is_gone_is_a_break(published: Path) -> None:
    assert "cannot read it" in schemas.broken(Registry(), published)[0]


def test_the_command_writes_nothing_when_something_is_broken(
    published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(schemas.FOLDER, published, dirs_exist_ok=True)  # The trench is published, and nobody reads it.
    before = {path: path.read_bytes() for path in published.iterdir()}
    monkeypatch.setattr(schemas.broken, "__defaults__", (REGISTRY, published))
    assert schemas.main([]) == 1
    assert "openitem.trench.dug.v1: published, and the code cannot read it" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in published.iterdir()} == before
