"""`make demo`: everything on this machine, a ledger in it, three reports, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from deploy.demo.ledger import write
from deploy.demo.stack import Stack
from deploy.embedded import AlreadyRunning, PortBusy, ServerFailed
from deploy.embedded.keys import mint
from deploy.embedded.locks import only_instance
from deploy.embedded.supervise import ProgramFailed
from services.cli.importing.command import NotRecognised, open_ledger, run_import
from services.cli.importing.mapping import MappingInvalid
from services.cli.importing.send import NotAllowed, ServiceAway

SEED: Final = 20_260_701
INVOICES: Final = 5_000
CAUGHT_UP_S_MAX: Final = 120.0  # Until the reports show all that was imported.
console: Final = Console(highlight=False)


def main() -> int:
    arguments = _arguments()
    state: Path = arguments.state
    try:
        ledger = open_ledger(arguments.ledger, arguments.mapping) if arguments.ledger else None
        with only_instance(state / "lock"):
            stack = Stack(state, os.environ.get("OPENITEM_KAFKA"), os.environ.get("OPENITEM_POSTGRES"))
            began = time.monotonic()
            console.print("Starting PostgreSQL, Kafka and ten services …")
            with stack.running() as supervisor:
                console.print(f"Ready after {time.monotonic() - began:.1f} s.")
                if ledger is None:
                    path = state / "ledger.ndjson"
                    count = write(path, arguments.seed, date.today(), arguments.invoices)  # noqa: DTZ011 - here
                    console.print(f"A ledger of {count:,} records was made: {path}")
                    ledger = open_ledger(path, None)
                token = mint(state, "demo", ["admin", "integration"], "*")
                rejects = Path(f"{ledger.path.stem.removesuffix('.rejects')}.rejects{ledger.path.suffix}")
                run_import(ledger, stack.urls, lambda: token, console, state / rejects)
                with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
                    _await_caught_up(client, stack.urls["reporting"])
                    _reports(client, stack.urls["reporting"])
                _farewell(stack, time.monotonic() - began)
                supervisor.wait()
                console.print("Stopping …")
        return 0
    except KeyboardInterrupt:
        return 130
    except (AlreadyRunning, PortBusy, ServerFailed, ProgramFailed) as error:
        console.print(f"[bold red]{error}[/]", soft_wrap=True)
    except (OSError, MappingInvalid, NotRecognised, NotAllowed, ServiceAway) as error:
        console.print(f"[bold red]{error}[/]", soft_wrap=True)
    return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--ledger", type=Path, help="import this file instead of a made one")
    parser.add_argument("--mapping", type=Path, help="how its columns become records; known layouts need none")
    parser.add_argument("--state", type=Path, default=Path(os.environ.get("OPENITEM_STATE_DIR", ".openitem")))
    parser.add_argument("--invoices", type=int, default=INVOICES, help="of the ledger that is made")
    parser.add_argument("--seed", type=int, default=SEED, help="of the ledger that is made")
    return parser.parse_args()


def _await_caught_up(client: httpx.Client, url: str) -> None:
    """Wait until every published fact shows, and nothing more arrives: policies answer facts with facts."""
    deadline = time.monotonic() + CAUGHT_UP_S_MAX
    quiet = 0
    with console.status("The reports are catching up …"):
        while quiet < 3 and time.monotonic() < deadline:
            answer = client.get(f"{url}/freshness").json()
            known = answer["topics"] and answer["freshness"]["facts_behind"] == 0
            held = client.get(f"{url}/consistency").json()["holds"]
            quiet = quiet + 1 if known and held else 0
            time.sleep(0.2)


def _reports(client: httpx.Client, url: str) -> None:
    aging = _get(client, f"{url}/aging?by=branch")
    _table("Aging by branch", aging, _aging_rows(aging))
    cash = _get(client, f"{url}/cash-flow?by=week")
    _table("Cash flow, the last and the next four weeks", cash, _cash_rows(cash))
    bad = _get(client, f"{url}/bad-debt")
    _table("Bad debt of the month", bad, _bad_rows(bad))


def _get(client: httpx.Client, url: str) -> dict[str, Any]:
    response = client.get(url)
    response.raise_for_status()
    return {**response.json(), "url": url}


Rows = list[dict[str, str]]


def _aging_rows(aging: dict[str, Any]) -> Rows:
    lines = [(f"{row['branch']} {row['name'] or ''}", row) for row in aging["rows"]]
    lines += [("[bold]total", row) for row in aging["totals"]]
    return [
        {
            "branch": label,
            **row["buckets"],
            "retainage": row["retainage"],
            "unapplied": row["unapplied"],
            "total": f"{row['total']} {row['currency']}",
        }
        for label, row in lines
    ]


def _cash_rows(cash: dict[str, Any]) -> Rows:
    names = ("net", "fell_due", "due", "promised", "forecast")
    rows = [{"week of": row["on"], **{name: row[name] for name in names}} for row in cash["rows"]]
    totals = [{"week of": f"[bold]total {row['currency']}", **{n: row[n] for n in names}} for row in cash["totals"]]
    return rows + totals


def _bad_rows(bad: dict[str, Any]) -> Rows:
    rows: Rows = []
    for row in bad["placements"]:
        what = f"{row['placements']} placed with {row['agency']}, {row['phase']}"
        rows.append({"what": what, "amount": row["amount"], "": row["currency"]})
    for row in bad["recoveries"]:
        what = f"recovered by {row['agency']} ({row['recovered_from']}), net of {row['fee']} fees"
        rows.append({"what": what, "amount": row["net"], "": row["currency"]})
    for row in bad["write_offs"]:
        rows.append({"what": f"written off at {row['branch']}", "amount": row["net"], "": row["currency"]})
    for row in bad["allowance"]:
        rows.append({"what": "[bold]allowance required", "amount": row["required"], "": row["currency"]})
    return rows


def _table(title: str, report: dict[str, Any], rows: Rows) -> None:
    table = Table(title=f"{title} as of {report['as_of']}", caption=report["url"], title_justify="left")
    for at, column in enumerate(rows[0] if rows else ()):
        table.add_column(column, justify="left" if at == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(cell or "" for cell in row.values()))
    console.print()
    console.print(table)


def _farewell(stack: Stack, seconds: float) -> None:
    url = stack.urls["reporting"]
    console.print(f"\nReady with reports after {seconds:.0f} s. API documentation:")
    for service, base in stack.urls.items():
        console.print(f"  {service:<12} {base}/docs   metrics {base}/metrics")
    for service, port in stack.worker_ports.items():
        console.print(f"  {service + ' worker':<18} metrics http://127.0.0.1:{port}/metrics")
    command = "openitem token --role admin --branch '*'"
    console.print(
        f"\nAsk for yourself:\n  curl -H \"Authorization: Bearer $(.venv/bin/{command})\" '{url}/aging?by=account'"
    )
    console.print("Ctrl-C stops everything.", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
