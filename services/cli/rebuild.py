"""`openitem rebuild`: all read models anew from the event stores, beside the live ones, then in their place."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.progress import TaskID

from events.topics import SERVICES
from services.cli.screen import Stop, bar_of_facts, out, run
from services.cli.where import settings_for
from services.projections import rebuild as projections
from services.projections.parts import PartEnded
from services.projections.replay import CannotFold
from services.projections.turns import RebuildRunning


def rebuild(
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many work on it; by default one for each core, up to four, or one while reports are asked for.",
        ),
    ] = None,
) -> None:
    """Build all read models anew from the event stores, and swap them with the live ones in one transaction.

    Reports go on being answered from the live ones, and facts go on coming in. If it is interrupted, nothing has
    changed. It is needed after a change of the read models' definition.

    Examples:

      openitem rebuild

      openitem rebuild --quiet

      openitem rebuild --processes 8
    """
    settings = settings_for("projections", "postgres")
    with bar_of_facts(shown=not quiet) as bar:
        tasks: dict[str, TaskID] = {service: bar.add_task(service, total=None) for service in SERVICES}

        def advance(service: str, done: int, total: int) -> None:
            bar.update(tasks[service], completed=done, total=total)

        projections.step_back()
        try:
            folded = run(projections.rebuild(settings, advance, processes))
        except (RebuildRunning, PartEnded, CannotFold) as error:
            raise Stop(str(error)) from None
    out.print(f"rebuilt from {sum(folded.values()):,} facts; the new read models are live")
