"""`openitem schemas`: the checked-in JSON Schemas and the AsyncAPI document, written or checked."""

from __future__ import annotations

from typing import Annotated

import typer

from events import schemas as contract
from services.cli.screen import err, out


def schemas(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail where a file is not what the code says.")
    ] = False,
    show: Annotated[
        str | None, typer.Option(help="Print the schema of one fact, as openitem.invoice.issued.v1.")
    ] = None,
) -> None:
    """Bring events/schemas and events/asyncapi.json up to date with the facts as the code declares them.

    Additive changes are written. Anything else is refused and told: it needs a new version of the fact.

    Examples:

      openitem schemas

      openitem schemas --check

      openitem schemas --show openitem.payment.received.v1
    """
    if show is not None:
        published = contract.published()
        if show not in published:
            raise typer.BadParameter(f"there is no {show}; there are {', '.join(published)}")
        out.print(contract.text_of(published[show]).decode(), end="", soft_wrap=True, markup=False)
        return
    problems, written = contract.run(check=check)
    for name in written:
        out.print(f"wrote {name}", markup=False)
    for line in problems:
        err.print(line, style="red", markup=False, soft_wrap=True)
    if problems:
        raise typer.Exit(1)
    if not written:
        out.print(f"{len(contract.published())} schemas and {contract.ASYNCAPI.name} are what the code says")
