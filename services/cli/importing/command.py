"""`openitem import`: what the user sees of an import."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from services.cli.importing.ledger import KINDS, Ledger, Problem, SourceRow, header_of
from services.cli.importing.mapping import LedgerMapping, MappingInvalid, Record, layouts, read_mapping, recognise
from services.cli.importing.send import NotAllowed, Report, ServiceAway, send
from services.cli.importing.trial import Trial
from services.cli.screen import Stop, err, out
from services.cli.where import own_token, service_urls

SHOWN_ROWS: Final = 3  # Of each kind, in a dry run.
SHOWN_PROBLEMS: Final = 20  # On the screen; the reject file has them all.
_ADDED: Final = ("reject_line", "reject_record", "reject_field", "reject_code", "reject_message")


class NotRecognised(Exception):
    """No mapping was given, and the file's header fits no layout we know."""


def import_command(
    ledger: Annotated[Path, typer.Argument(help="A CSV file, or NDJSON with a `kind` in every line.", dir_okay=False)],
    mapping: Annotated[Path | None, typer.Option(help="How its columns become records (TOML).", dir_okay=False)] = None,
    dry_run_: Annotated[bool, typer.Option("--dry-run", help="Send nothing: show first rows and problems.")] = False,
    rejects: Annotated[Path | None, typer.Option(help="Where refused rows go; by default beside the ledger.")] = None,
    token: Annotated[str | None, typer.Option(envvar="OPENITEM_TOKEN", help="A bearer token that may import.")] = None,
) -> None:
    """Bring a ledger in: accounts, invoices, receipts, disputes and more, on their real dates.

    A file that was imported before adds nothing. Refused rows are written to a file with the reasons: correct them
    there and import that file. Common layouts are recognised by their header; any other takes a mapping file
    (docs/importing.md).

    Examples:

      openitem import open-items.csv --dry-run

      openitem import open-items.csv --mapping coins.toml

      openitem import open-items.rejects.csv --mapping coins.toml
    """
    try:
        opened = open_ledger(ledger, mapping)
        if dry_run_:
            raise typer.Exit(1 if dry_run(opened, out) else 0)
        where = rejects or ledger.with_name(f"{ledger.stem.removesuffix('.rejects')}.rejects{ledger.suffix}")
        report = run_import(
            opened, service_urls(), lambda: token or own_token("importer", "integration", "controller"), err, where
        )
    except (OSError, MappingInvalid, NotRecognised, NotAllowed, ServiceAway) as error:
        raise Stop(str(error)) from None
    raise typer.Exit(1 if report.problems else 0)


def open_ledger(path: Path, mapping_path: Path | None) -> Ledger:
    """The ledger at `path`, with the mapping named or the one its header calls for.

    Errors   FileNotFoundError; MappingInvalid; NotRecognised, listing the columns found and the layouts known.
    """
    if mapping_path is not None:
        return Ledger(path, _with_columns(path, read_mapping(mapping_path)))
    with path.open("rb") as file:
        if file.read(1) == b"{":
            return Ledger(path, None)
    found = recognise(header_of(path), layouts())
    if found is None:
        known = ", ".join(layout.name for layout in layouts())
        columns = ", ".join(header_of(path)) or "none"
        raise NotRecognised(f"{path}: no layout fits its columns ({columns}). Known: {known}. Give a mapping file.")
    return Ledger(path, found)


def _with_columns(path: Path, mapping: LedgerMapping) -> LedgerMapping:
    missing = mapping.columns() - set(header_of(path, mapping.file))
    if missing:
        raise NotRecognised(f"{path}: the mapping reads columns it does not have: {', '.join(sorted(missing))}")
    return mapping


def run_import(
    ledger: Ledger, urls: Mapping[str, str], token: Callable[[], str], console: Console, rejects: Path
) -> Report:
    """Send the ledger with a progress bar, print what landed, write what did not to `rejects`.

    Errors   NotAllowed; ServiceAway.
    """
    totals = ledger.counts()
    columns = (
        TextColumn("{task.description:>20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>9}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        tasks = {kind: bar.add_task(kind, total=totals.get(kind), rate="", start=False) for kind in ledger.kinds()}

        def advance(kind: str, more: int) -> None:
            task = tasks[kind]
            bar.start_task(task)
            bar.advance(task, more)
            speed = bar.tasks[task].speed
            bar.update(task, rate=f"{speed:,.0f}/s" if speed else "")

        report = send(ledger, urls, token, advance)
        for task in tasks.values():
            bar.update(task, total=bar.tasks[task].completed)
    console.print(totals_table(report))
    if report.problems:
        part = rejects.with_name(f".{rejects.name}.part")
        write_rejects(ledger, report.problems, part)
        part.replace(rejects)  # Only now: the ledger that was read may be the very file, rejected once before.
        console.print(problems_table(report.problems))
        console.print(
            f"{len(report.problems):,} rows did not land. They are in {rejects}: correct and import that file."
        )
    return report


def dry_run(ledger: Ledger, console: Console) -> list[Problem]:
    """Show the first records of each kind as they would land, and every problem that can be seen without sending.

    Invoices and receipts are decided by the services' own rules on empty books; what the real books hold already, and
    what contact and escalation look up, shows when sending.
    """
    problems = list(ledger.unmatched())
    trial = Trial()
    for kind in ledger.kinds():
        good = 0
        shown: list[tuple[SourceRow, Record]] = []
        for row, found in ledger.records(kind):
            problem = found if isinstance(found, Problem) else trial.check(kind, row.line, found)
            if problem is not None:
                problems.append(problem)
            elif not isinstance(found, Problem):
                good += 1
                if len(shown) < SHOWN_ROWS:
                    shown.append((row, found))
        console.print(f"\n[bold]{kind}[/bold] to {KINDS[kind]}: {good:,} records")
        if shown:
            console.print(_records_table(shown))
    console.print(problems_table(problems) if problems else "\nNo problems found.")
    return problems


def totals_table(report: Report) -> Table:
    table = Table("record", title="Import")
    for heading in ("rows", "landed", "on record", "rejected", "facts", "rows/s"):
        table.add_column(heading, justify="right")
    for kind, tally in report.tallies.items():
        rate = f"{tally.rows / tally.seconds:,.0f}" if tally.seconds else ""
        counts = (tally.rows, tally.landed, tally.on_record, tally.rejected, tally.facts)
        table.add_row(kind, *(f"{count:,}" for count in counts), rate)
    return table


def problems_table(problems: list[Problem]) -> Table:
    counts = Counter((problem.kind, problem.code) for problem in problems)
    summary = ", ".join(f"{count:,} {kind} {code}" for (kind, code), count in counts.most_common(6))
    table = Table("line", "record", "field", "code", "what is wrong", title=f"Problems: {summary}")
    for problem in islice(problems, SHOWN_PROBLEMS):
        table.add_row(str(problem.line), problem.kind, problem.field or "", problem.code, problem.message)
    return table


def _records_table(shown: Iterable[tuple[SourceRow, Record]]) -> Table:
    rows = list(shown)
    names = list(dict.fromkeys(name for _, record in rows for name in record))
    table = Table("line", *names)
    for row, record in rows:
        table.add_row(str(row.line), *(record.get(name, "") for name in names))
    return table


def write_rejects(ledger: Ledger, problems: list[Problem], path: Path) -> None:
    """The refused rows as the file had them, each with its line, record, field, code and message added."""
    by_line = {problem.line: problem for problem in problems}
    if ledger.mapping is None:
        _write_lines(ledger.path, by_line, path)
        return
    names = header_of(ledger.path, ledger.mapping.file)
    names = [name for name in names if name not in _ADDED]  # A reject file that is sent again has them already.
    spec = ledger.mapping.file
    with path.open("w", encoding=spec.encoding, errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, delimiter=spec.delimiter)
        for _ in range(spec.header_rows):
            writer.writerow([*names, *_ADDED])
        for row in ledger.rows():
            if problem := by_line.get(row.line):
                reason = (problem.line, problem.kind, problem.field or "", problem.code, problem.message)
                writer.writerow([*(row.values.get(name, "") for name in names), *reason])


def _write_lines(source: Path, by_line: Mapping[int, Problem], path: Path) -> None:
    """NDJSON keeps each line as it was; the reasons stand beside it, in a file of their own."""
    reasons = source.with_name(f"{source.stem.removesuffix('.rejects')}.rejects.reasons.csv")
    with source.open("rb") as lines, path.open("wb") as kept, reasons.open("w", newline="") as why:
        writer = csv.writer(why)
        writer.writerow(_ADDED)
        for number, line in enumerate(lines, start=1):
            if problem := by_line.get(number):
                kept.write(line)
                writer.writerow([number, problem.kind, problem.field or "", problem.code, problem.message])
