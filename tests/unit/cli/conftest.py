"""The program in a directory where nothing runs."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result


class Program:
    """`openitem`, as from a terminal in `directory`."""

    def __init__(self, directory: Path) -> None:
        from services.cli.main import (
            app,
        )  # Not at the top: pytest reads this file before it knows which warnings to pass.

        self.directory = directory
        self._app = app
        self._runner = CliRunner()

    def __call__(self, *arguments: str) -> Result:
        return self._runner.invoke(self._app, list(arguments), env={"COLUMNS": "200"}, prog_name="openitem")


@pytest.fixture
def openitem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.chdir(tmp_path)
    for variable in ("POSTGRES", "KAFKA", "JWKS", "ISSUER", "STATE_DIR"):
        monkeypatch.delenv(f"OPENITEM_{variable}", raising=False)
    return Program(tmp_path)
