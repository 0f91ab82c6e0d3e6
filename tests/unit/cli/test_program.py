"""The program finds the system, says what is missing, and explains every command with examples."""

import json
from pathlib import Path

import jwt
import pytest
from typer.main import get_command

from events import schemas as contract
from services.cli.main import app
from services.cli.screen import Stop
from services.cli.where import service_urls, settings_for

from .conftest import Program

STACK = {
    "postgres": "postgresql://openitem@127.0.0.1:5001/postgres",
    "kafka": "127.0.0.1:5002",
    "jwks": "keys.json",
    "issuer": "urn:openitem:embedded",
    "urls": {"reporting": "http://127.0.0.1:9000"},
}


def commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [(name, below) for below in inner] if inner else [(name,)]
    return found


def leave_word(directory: Path, **changes: str) -> None:
    state = directory / ".openitem"
    state.mkdir()
    (state / "stack.json").write_text(json.dumps({**STACK, **changes}))


class TestHelp:
    @pytest.mark.parametrize("command", commands(), ids=" ".join)
    def test_every_command_shows_examples(self, openitem: Program, command: tuple[str, ...]) -> None:
        result = openitem(*command, "--help")
        assert result.exit_code == 0
        assert "Examples:" in result.output
        assert f"openitem {' '.join(command)}" in result.output

    def test_every_duty_has_a_command(self) -> None:
        named = {command[0] for command in commands()}
        assert named >= {"import", "token", "topics", "parked", "rebuild", "republish", "schemas", "tail"}


class TestWhere:
    def test_variables_say_where(self, openitem: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENITEM_POSTGRES", "postgresql://me@db:5432/postgres")
        monkeypatch.setenv("OPENITEM_KAFKA", "broker:9092")
        settings = settings_for("payment", "postgres", "kafka")
        assert settings.database_url == "postgresql://me@db:5432/openitem_payment"
        assert settings.kafka == "broker:9092"

    def test_the_stack_says_where(self, openitem: Program) -> None:
        leave_word(openitem.directory)
        settings = settings_for("payment", "postgres", "kafka", "jwks", "issuer")
        assert settings.kafka == "127.0.0.1:5002"
        assert settings.database_url == "postgresql://openitem@127.0.0.1:5001/openitem_payment"
        assert service_urls()["reporting"] == "http://127.0.0.1:9000"
        assert service_urls()["invoice"] == "http://127.0.0.1:8001"

    def test_a_variable_wins_over_the_stack(self, openitem: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        leave_word(openitem.directory)
        monkeypatch.setenv("OPENITEM_KAFKA", "broker:9092")
        monkeypatch.setenv("OPENITEM_INVOICE_URL", "https://invoice.example")
        assert settings_for("payment", "kafka").kafka == "broker:9092"
        assert service_urls()["invoice"] == "https://invoice.example"

    def test_the_stack_may_keep_its_files_elsewhere(self, openitem: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        leave_word(openitem.directory)
        (openitem.directory / ".openitem").rename(openitem.directory / "elsewhere")
        monkeypatch.setenv("OPENITEM_STATE_DIR", "elsewhere")
        assert settings_for("payment", "kafka").kafka == "127.0.0.1:5002"

    def test_what_is_missing_is_named_with_the_variable_to_set(self, openitem: Program) -> None:
        with pytest.raises(Stop, match=r"PostgreSQL \(set OPENITEM_POSTGRES\) and Kafka \(set OPENITEM_KAFKA\)"):
            settings_for("payment", "postgres", "kafka")

    def test_a_command_asks_only_for_what_it_needs(self, openitem: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENITEM_KAFKA", "broker:9092")
        assert settings_for("payment", "kafka").kafka == "broker:9092"

    def test_a_file_that_cannot_be_read_is_named(self, openitem: Program) -> None:
        leave_word(openitem.directory)
        (openitem.directory / ".openitem" / "stack.json").write_text("{")
        result = openitem("tail")
        assert result.exit_code == 1
        assert "stack.json cannot be read" in result.stderr

    @pytest.mark.parametrize("command", [("tail",), ("topics", "verify"), ("topics", "describe"), ("parked", "list")])
    def test_without_a_system_the_program_says_how_to_get_one(
        self, openitem: Program, command: tuple[str, ...]
    ) -> None:
        result = openitem(*command)
        assert result.exit_code == 1
        assert "make demo" in result.stderr
        assert "Traceback" not in result.output

    def test_a_server_that_is_away_is_told_in_one_line(
        self, openitem: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENITEM_POSTGRES", "postgresql://nobody@127.0.0.1:1/none")
        result = openitem("parked", "list")
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
        assert "Traceback" not in result.output


class TestToken:
    @pytest.fixture(autouse=True)
    def stack(self, openitem: Program) -> None:
        from deploy.embedded.keys import ensure_keys

        ensure_keys(openitem.directory / ".openitem")

    def test_it_prints_a_token_and_nothing_else(self, openitem: Program) -> None:
        result = openitem("token", "--role", "admin", "--branch", "*", "--sub", "me", "--hours", "1")
        assert (result.exit_code, result.stderr) == (0, "")
        claims = jwt.decode(result.stdout.strip(), options={"verify_signature": False})
        assert (claims["sub"], claims["roles"], claims["branches"]) == ("me", ["admin"], "*")
        assert claims["exp"] - claims["iat"] == 3600

    def test_the_stacks_own_key_set_verifies_it(self, openitem: Program) -> None:
        text = openitem("token", "--role", "billing", "--branch", "CHI", "--branch", "MKE").stdout.strip()
        keys = jwt.PyJWKSet.from_json((openitem.directory / ".openitem" / "jwks.json").read_text())
        key = keys[jwt.get_unverified_header(text)["kid"]]
        claims = jwt.decode(text, key, algorithms=["ES256"], audience="openitem", issuer="urn:openitem:embedded")
        assert claims["branches"] == ["CHI", "MKE"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--role", "king", "--branch", "*"], "there is no role king"),
            (["--role", "admin", "--branch", "chi cago"], "no branch code"),
            (["--role", "admin"], "Missing option '--branch'"),
            (["--branch", "*"], "Missing option '--role'"),
        ],
    )
    def test_what_cannot_be_is_refused(self, openitem: Program, arguments: list[str], said: str) -> None:
        result = openitem("token", *arguments)
        assert result.exit_code == 2
        assert said in result.stderr

    def test_without_a_stack_there_is_no_key_to_sign_with(self, openitem: Program) -> None:
        result = openitem("token", "--role", "admin", "--branch", "*", "--state", "elsewhere")
        assert result.exit_code == 1
        assert "no embedded stack ever ran in elsewhere" in result.stderr
        assert not (openitem.directory / "elsewhere").exists()


class TestSchemas:
    def test_the_checked_in_files_pass(self, openitem: Program) -> None:
        result = openitem("schemas", "--check")
        assert (result.exit_code, result.stderr) == (0, "")

    def test_one_schema_is_shown_as_it_is(self, openitem: Program) -> None:
        shown = openitem("schemas", "--show", "openitem.payment.received.v1").stdout
        assert shown.encode() == contract.path_of("openitem.payment.received.v1").read_bytes()

    def test_a_fact_that_is_not_is_refused(self, openitem: Program) -> None:
        result = openitem("schemas", "--show", "openitem.payment.lost.v1")
        assert result.exit_code == 2
        assert "there is no openitem.payment.lost.v1" in result.stderr

    def test_a_problem_is_said_and_fails(self, openitem: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(contract, "run", lambda *, check: (["invoice.issued /total: removed or renamed"], []))
        result = openitem("schemas", "--check")
        assert result.exit_code == 1
        assert "/total: removed or renamed" in result.stderr


class TestRefusedBeforeAnythingIsDone:
    @pytest.mark.parametrize(
        ("command", "said"),
        [
            (["tail", "--service", "finance"], "there is no finance"),
            (["parked", "list", "--service", "reporting"], "there is no reporting"),
            (["parked", "retry", "--service", "reporting"], "there is no reporting"),
        ],
    )
    def test_a_service_that_is_not(self, openitem: Program, command: list[str], said: str) -> None:
        leave_word(openitem.directory)
        result = openitem(*command)
        assert result.exit_code == 2
        assert said in result.stderr

    def test_dropping_needs_a_reason_and_a_yes(self, openitem: Program) -> None:
        leave_word(openitem.directory)
        which = ["--service", "projections", "--consumer", "p", "--stream", "item-1", "--version", "1"]
        assert "say why" in openitem("parked", "drop", *which, "--why", " ").stderr
        result = openitem("parked", "drop", *which, "--why", "sent by mistake")
        assert result.exit_code == 1
        assert "Never apply version 1 of item-1" in result.stderr
