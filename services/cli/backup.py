"""`openitem backup` and `openitem restore`: the services' databases to files and back, without a fact lost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import asyncpg
import typer

from events.topics import SERVICES
from services.cli.backups import manifest, put_back
from services.cli.backups.manifest import Dump, Manifest
from services.cli.backups.take import take
from services.cli.screen import Stop, bar_of_facts, out, run
from services.cli.where import settings_for
from services.kernel.recall import NotRecalled, Recalled, recall
from services.kernel.settings import database_url
from services.kernel.topics import TopicWrong

PROJECTIONS: Final = "projections"
_Only = Annotated[list[str] | None, typer.Option("--service", help="Only this one; may be given again.")]


def backup(
    directory: Annotated[Path, typer.Argument(help="Where to; it must be empty or not exist.")],
    service: _Only = None,
    projections: Annotated[
        bool, typer.Option("--projections", help="The read models too. They can be rebuilt, which takes longer.")
    ] = False,
) -> None:
    """Dump the databases of the services as they are at one moment, with a manifest.

    Services go on: commands are taken all the while, and for a second or two nothing is published, so that no service
    knows in the backup what another does not.

    Examples:

      openitem backup /backups/2026-07-01

      openitem backup /backups/2026-07-01 --projections
    """
    wanted = _wanted(service, (*SERVICES, PROJECTIONS))
    if service is None and not projections:
        wanted.remove(PROJECTIONS)
    postgres = settings_for("invoice", "postgres").postgres
    made = run(take({name: database_url(postgres, name) for name in wanted}, directory, _told))
    out.print(f"{directory} holds the books as of {made.taken_at:%Y-%m-%d %H:%M:%S} UTC", markup=False, soft_wrap=True)


def restore(
    directory: Annotated[Path, typer.Argument(help="What `openitem backup` wrote.", exists=True, file_okay=False)],
    service: _Only = None,
    force: Annotated[
        bool, typer.Option("--force", help="Databases that hold something are set aside under another name.")
    ] = False,
    kafka_lost: Annotated[
        bool, typer.Option("--kafka-lost", help="Kafka has lost its topics: what came after the backup is gone.")
    ] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on although facts are named as lost that nobody has.")
    ] = False,
) -> None:
    """Put databases back from a backup, and bring back from Kafka every fact recorded since.

    Stop the services first. Each database is prepared beside its place and swapped in when it is whole: the hashes are
    right, the rows are those of the manifest, and it has every fact that Kafka has, under the same ids, versions and
    sequence. What it replaces is kept under another name.

    Examples:

      openitem restore /backups/2026-07-01 --service payment --force

      openitem topics create && openitem restore /backups/2026-07-01 --force --kafka-lost
    """
    if kafka_lost and service:
        raise Stop("with Kafka lost, all services go back to one moment: otherwise one would know what another lost")
    found = manifest.read(directory)
    wanted = _wanted(service, _restorable(found, kafka_lost=kafka_lost))
    dumps = [dump for dump in found.dumps if dump.service in wanted]
    if not dumps and not kafka_lost:
        raise Stop(f"{directory} has only {', '.join(dump.service for dump in found.dumps)}")
    manifest.verify(directory, dumps)
    out.print(f"{len(dumps)} files are as they were written", markup=False)
    postgres = settings_for("invoice", "postgres").postgres
    urls = {name: database_url(postgres, name) for name in wanted}
    recalled = run(_restore(directory, dumps, urls, force=force, kafka_lost=kafka_lost, accept_loss=accept_loss))
    _say_what_next(recalled, wanted, kafka_lost=kafka_lost)


async def _restore(
    directory: Path, dumps: list[Dump], urls: dict[str, str], *, force: bool, kafka_lost: bool, accept_loss: bool
) -> dict[str, Recalled]:
    """Prepare every database beside its place, and only when all are whole put them there."""
    for url in urls.values():
        await put_back.check_place(url, force=force)
    recalled: dict[str, Recalled] = {}
    try:
        for dump in dumps:
            await put_back.fill(urls[dump.service], dump, directory)
            _told(dump.service, f"{sum(dump.rows.values()):,} rows restored")
            if dump.service in SERVICES:
                recalled[dump.service] = await _recall(
                    dump.service, urls[dump.service], kafka_lost=kafka_lost, accept_loss=accept_loss
                )
        for name in urls.keys() - {dump.service for dump in dumps}:
            await put_back.make_anew(urls[name], name)
            _told(name, "made anew, empty")
        for name, url in urls.items():
            kept = await put_back.swap(url, force=force)
            _told(name, f"in its place{f'; what was there is now {kept}' if kept else ''}")
    finally:
        for url in urls.values():
            await put_back.drop_beside(url)
    return recalled


async def _recall(service: str, url: str, *, kafka_lost: bool, accept_loss: bool) -> Recalled:
    settings = settings_for(service, "postgres", "kafka")
    conn: Any = await asyncpg.connect(put_back.beside(url))
    try:
        before = await conn.fetchval("SELECT coalesce(max(position), 0) FROM events")
        with bar_of_facts() as bar:
            task = bar.add_task(service, total=None)
            came = await recall(
                conn,
                service,
                settings.kafka,
                settings.topic_prefix,
                index=put_back.INDEXES.get(service),
                kafka_lost=kafka_lost,
                accept_loss=accept_loss,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        broken = await put_back.broken_by(conn, service, before)
    except (NotRecalled, TopicWrong) as error:
        raise Stop(f"{service}: {error}") from None
    finally:
        await conn.close()
    _told(
        service, f"{came.facts:,} facts came back from Kafka, {came.queued:,} were in the outbox; now at {came.seq:,}"
    )
    if came.missing:
        _told(service, f"{len(came.missing)} facts are lost: sequence {list(came.missing[:20])}")
    if came.unreadable:
        _told(service, f"{came.unreadable} records of the topic could not be read, and are none of ours")
    for law, stream in broken:
        _told(service, f"{stream} breaks the law {law}: the last decision reached Kafka by half")
    return came


def _say_what_next(recalled: dict[str, Recalled], wanted: list[str], *, kafka_lost: bool) -> None:
    out.print("next:", markup=False)
    steps = []
    again = sorted(name for name, came in recalled.items() if came.unpublished)
    if kafka_lost:
        steps.append("openitem topics create")
    if again or kafka_lost:
        steps += [f"openitem republish {name} --yes" for name in (again or sorted(recalled))]
    if PROJECTIONS in wanted:
        steps.append("openitem rebuild")
    steps += ["start the services", "ask reporting for /consistency?thorough=true: every law holds"]
    for number, step in enumerate(steps, start=1):
        out.print(f"  {number}. {step}", markup=False)


def _restorable(found: Manifest, *, kafka_lost: bool) -> tuple[str, ...]:
    """What the backup has. Where Kafka is lost the read models must not know more than the services: they go too."""
    names = tuple(dump.service for dump in found.dumps)
    return (*names, PROJECTIONS) if kafka_lost and PROJECTIONS not in names else names


def _wanted(given: list[str] | None, known: tuple[str, ...]) -> list[str]:
    strange = sorted(set(given or ()) - set(known))
    if strange:
        raise typer.BadParameter(f"there is no {', '.join(strange)}; there are {', '.join(known)}")
    return [name for name in known if not given or name in given]


def _told(service: str, what: str) -> None:
    out.print(f"{service}: {what}", markup=False, soft_wrap=True)
