"""`openitem token`: a bearer token from the embedded stack's own issuer, so that the first request works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from services.cli.screen import Stop, out
from services.cli.where import state_dir
from services.roles import ROLES

_BRANCH: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{0,15}")
_HOURS_MAX: Final = 24 * 365


def token(
    role: Annotated[list[str], typer.Option(help=f"One of {', '.join(ROLES)}. May be given again.")],
    branch: Annotated[list[str], typer.Option(help="A branch code, or '*' for all. May be given again.")],
    sub: Annotated[str, typer.Option(help="Who it is for: stands as the actor in every fact.")] = "operator",
    hours: Annotated[float, typer.Option(min=0.01, max=_HOURS_MAX, help="How long it lasts.")] = 12,
    state: Annotated[Path | None, typer.Option(help="The embedded stack's directory, by default .openitem.")] = None,
) -> None:
    """Print a bearer token, and nothing else.

    It is signed with the embedded stack's own key, which nothing but that stack trusts. Where people sign in elsewhere,
    tokens come from there.

    Examples:

      openitem token --role admin --branch '*'

      openitem token --role collector --branch CHI --branch MKE --sub m.ortiz --hours 1

      curl -H "Authorization: Bearer $(openitem token --role auditor --branch '*')" localhost:8000/aging
    """
    from deploy.embedded.keys import mint  # Not needed by the other commands, nor installed in an image.

    if unknown := sorted(set(role) - set(ROLES)):
        raise typer.BadParameter(f"there is no role {', '.join(unknown)}; there are {', '.join(ROLES)}")
    if wrong := [code for code in branch if code != "*" and not _BRANCH.fullmatch(code)]:
        raise typer.BadParameter(f"{', '.join(wrong)} is no branch code: capitals, digits and dashes")
    directory = state if state is not None else state_dir()
    if not (directory / "jwks.json").exists():
        raise Stop(f"no embedded stack ever ran in {directory}: start one with `make demo`, or name its --state")
    branches = "*" if "*" in branch else branch
    out.print(mint(directory, sub, role, branches, int(hours * 3600)), soft_wrap=True, markup=False)
