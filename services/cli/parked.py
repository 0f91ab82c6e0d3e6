"""`openitem parked`: facts that a consumer could not apply, tried again or dropped once somebody mended the cause."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Final, TypeVar

import asyncpg
import httpx
import msgspec
import typer
from rich.table import Table

from events.topics import SERVICES, service_of
from services.cli.screen import Stop, out, run
from services.cli.where import own_token, service_urls, settings_for
from services.kernel.mend import mend
from services.kernel.parking import Parked, ask_retry, drop, parked_list
from services.kernel.sift import HOLE
from services.kernel.store import Conn

T = TypeVar("T")
CONSUMING: Final = (*SERVICES, "projections")
_OWNER_S_MAX: Final = 30.0  # For one page of the owner's log.
app: Final = typer.Typer(help="List, retry, mend or drop facts that could not be applied.", no_args_is_help=True)
_Service = Annotated[str | None, typer.Option(help=f"Whose consumers: {', '.join(CONSUMING)}; by default all.")]


@app.command("list")
def list_(
    service: _Service = None,
    stream: Annotated[str | None, typer.Option(help="One stream only.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the streams that are held back, why, and how many facts wait in each.

    Status 1 when anything is parked, so that a scheduled job can watch it.

    Examples:

      openitem parked list

      openitem parked list --service projections --json
    """
    found = [
        (name, row) for name in _services(service) for row in run(_in(name, lambda c: parked_list(c, None, stream)))
    ]
    if as_json:
        for name, row in found:
            out.print(
                msgspec.json.encode({"service": name, **msgspec.to_builtins(row)}).decode(),
                soft_wrap=True,
                markup=False,
            )
    elif found:
        out.print(_table(found))
    else:
        out.print("nothing is parked")
    if found:
        raise typer.Exit(1)


@app.command()
def retry(
    service: Annotated[str, typer.Option(help=f"Whose consumer: {', '.join(CONSUMING)}.")],
    stream: Annotated[str | None, typer.Option(help="One stream; by default all that are held back.")] = None,
    consumer: Annotated[str | None, typer.Option(help="One consumer; by default all of the service.")] = None,
) -> None:
    """Have the service's worker try again, from the first parked fact of each stream on. It begins within a second.

    Examples:

      openitem parked retry --service projections

      openitem parked retry --service payment --stream invoice-7d0c0f5e-6a0b-4b1e-9a55-0c7d1f1e2a33
    """
    [name] = _services(service)

    async def ask(conn: Conn) -> list[str]:
        consumers = {row.consumer for row in await parked_list(conn, consumer, stream)}
        return [asked for each in sorted(consumers) for asked in await ask_retry(conn, each, stream)]

    asked = run(_in(name, ask))
    for each in asked:
        out.print(f"asked for {each}", markup=False)
    if not asked:
        raise Stop("nothing of that is parked")


@app.command("mend")
def mend_(
    service: Annotated[str, typer.Option(help=f"Whose consumer: {', '.join(CONSUMING)}.")],
    stream: Annotated[str | None, typer.Option(help="One stream; by default all that have a hole.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="OPENITEM_TOKEN", help="A token that may read the owner's log.")
    ] = None,
) -> None:
    """Fill holes: fetch the facts that never came from the log of the service that published them.

    The worker then applies them, and what waited behind them, in order. It begins within a second.

    Examples:

      openitem parked mend --service projections

      openitem parked mend --service payment --stream invoice-7d0c0f5e-6a0b-4b1e-9a55-0c7d1f1e2a33
    """
    [name] = _services(service)
    bearer = {"Authorization": f"Bearer {token or own_token('operator', 'admin')}"}

    async def fill(conn: Conn) -> list[tuple[str, int]]:
        filled = []
        for parked in await parked_list(conn, None, stream):
            if parked.code == HOLE:
                owner = service_urls()[service_of(parked.topic)]
                async with httpx.AsyncClient(base_url=owner, headers=bearer, timeout=_OWNER_S_MAX) as client:
                    filled.append((parked.stream, await mend(conn, parked, client)))
        return filled

    try:
        filled = run(_in(name, fill))
    except httpx.HTTPError as error:
        raise Stop(f"the owner's log cannot be read: {error}") from None
    for each, facts in filled:
        out.print(f"fetched {facts} facts of {each}", markup=False)
    if not filled:
        raise Stop("nothing of that has a hole")


@app.command("drop")
def drop_(
    service: Annotated[str, typer.Option(help=f"Whose consumer: {', '.join(CONSUMING)}.")],
    consumer: Annotated[str, typer.Option(help="The consumer, as `parked list` shows it.")],
    stream: Annotated[str, typer.Option(help="The stream.")],
    version: Annotated[int, typer.Option(min=1, help="The version within the stream.")],
    why: Annotated[str, typer.Option(help="Kept with what is dropped.")],
    by: Annotated[str | None, typer.Option(help="Who decides it; by default who is logged in here.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Decide that a parked fact is never applied here. Those behind it are tried next.

    The fact itself stays in the log and in Kafka; the record of what was dropped, by whom and why is kept for ever.

    Examples:

      openitem parked drop --service projections --consumer projections --stream item-5f1c --version 4 --why "..."
    """
    [name] = _services(service)
    if not why.strip():
        raise typer.BadParameter("say why: it is kept with what is dropped")
    if not yes:
        typer.confirm(f"Never apply version {version} of {stream} in {name}?", abort=True, err=True)
    decider = by or getpass.getuser()
    gone = run(_in(name, lambda c: drop(c, consumer, stream, version, by=decider, why=why.strip())))
    if not gone:
        raise Stop(f"version {version} of {stream} is not parked by {consumer}")
    out.print(f"dropped version {version} of {stream}", markup=False)


def _services(service: str | None) -> list[str]:
    if service is None:
        return list(CONSUMING)
    if service not in CONSUMING:
        raise typer.BadParameter(f"there is no {service}; there are {', '.join(CONSUMING)}")
    return [service]


async def _in(service: str, work: Callable[[Conn], Awaitable[T]]) -> T:
    """Do something on a connection to the service's database, as its owner."""
    conn = await asyncpg.connect(settings_for(service, "postgres").database_url)
    try:
        return await work(conn)
    finally:
        await conn.close()


def _table(found: list[tuple[str, Parked]]) -> Table:
    table = Table("service", "consumer", "stream", "version", "facts", "code", "reason", "since", "tried", "next try")
    for service, row in found:
        table.add_row(
            service,
            row.consumer,
            row.stream,
            str(row.stream_version),
            str(row.facts),
            row.code,
            row.reason,
            _moment(row.parked_at),
            str(row.attempts),
            _moment(row.retry_at) if row.retry_at else "when asked",
        )
    return table


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
