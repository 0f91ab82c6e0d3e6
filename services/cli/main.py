"""`openitem`: the program itself. Each command lives in the module named for it."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

import typer
from typer.core import TyperGroup

from services.cli import backup, parked, rebuild, republish, schemas, tail, token, topics
from services.cli.importing.command import import_command
from services.cli.screen import EXPECTED, explained, fail
from services.kernel.logs import configure_logs

_HELP: Final = """
Openitem: accounts receivable and collections as facts.

Commands find the system by OPENITEM_POSTGRES and OPENITEM_KAFKA, or, where those are not set, by the file that
`make demo` leaves in .openitem/.

Examples:

  openitem token --role admin --branch '*'

  openitem import ledger.csv --dry-run

  openitem tail --branch CHI
"""


class _Program(TyperGroup):
    """Tells what a user can mend in one line; whatever else goes wrong keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # `openitem tail | head`: nobody listens any more.
            # Python writes what is left of standard output when it ends, and would complain of the pipe again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except EXPECTED as error:
            fail(explained(error))


class _Openitem(typer.Typer):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run as a program: what its parts log goes to standard error, and only what somebody should look at."""
        configure_logs(service="cli", level="WARNING", json=False)
        return super().__call__(*args, **kwargs)


app = _Openitem(
    cls=_Program,
    help=_HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
app.command("token")(token.token)
app.command("import")(import_command)
app.command("tail")(tail.tail)
app.add_typer(topics.app, name="topics")
app.add_typer(parked.app, name="parked")
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("rebuild")(rebuild.rebuild)
app.command("republish")(republish.republish)
app.command("schemas")(schemas.schemas)
