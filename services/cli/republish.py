"""`openitem republish`: a service's whole log once more to its topic, for a Kafka that was lost and rebuilt."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich.progress import TaskID

from events.topics import SERVICES
from services.cli.screen import Stop, bar_of_facts, out, run
from services.cli.where import settings_for
from services.kernel import republish as kernel
from services.kernel.topics import TopicWrong

EVERY: Final = "all"


def republish(
    service: Annotated[str, typer.Argument(help=f"{', '.join(SERVICES)}, or {EVERY}.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Send every fact of a service to its topic again, in order, from its event store.

    The service goes on recording meanwhile; its relay steps aside and then goes on with what is new. Consumers know
    what they have: to them it is repeats. If it is interrupted, run it again.

    Examples:

      openitem topics create && openitem republish all --yes

      openitem republish payment
    """
    if service not in (*SERVICES, EVERY):
        raise typer.BadParameter(f"there is no {service}; there are {', '.join((*SERVICES, EVERY))}")
    wanted = SERVICES if service == EVERY else (service,)
    settings = {name: settings_for(name, "postgres", "kafka") for name in wanted}
    if not yes:
        typer.confirm(f"Send all facts of {', '.join(wanted)} again?", abort=True, err=True)
    with bar_of_facts() as bar:
        tasks: dict[str, TaskID] = {name: bar.add_task(name, total=None) for name in wanted}
        for name in wanted:

            def advance(done: int, total: int, task: TaskID = tasks[name]) -> None:
                bar.update(task, completed=done, total=total)

            try:
                sent = run(kernel.republish(settings[name], advance))
            except TopicWrong as wrong:
                raise Stop(str(wrong)) from None
            bar.update(tasks[name], completed=sent, total=sent)
            out.print(f"{name}: {sent:,} facts sent")
