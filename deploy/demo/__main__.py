"""`make demo`: everything on this machine, a ledger in it, three reports, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
from rich.box import SIMPLE
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
# A log or a pipe has no width of its own; the widest table needs this much.
WIDTH_MIN: Final = 110
console: Final = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_MIN)


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


def _whole(amount: str) -> str:
    """An amount for a screen: whole units, grouped. The reports themselves have every cent."""
    return f"{Decimal(amount):,.0f}"


def _aging_rows(aging: dict[str, Any]) -> Rows:
    lines = [(row["branch"], row) for row in aging["rows"]]
    lines += [(f"[bold]total {row['currency']}", row) for row in aging["totals"]]
    return [
        {
            "branch": label,
            **{bucket: _whole(amount) for bucket, amount in row["buckets"].items()},
            **{name: _whole(row[name]) for name in ("retainage", "unapplied", "total")},
        }
        for label, row in lines
    ]


def _cash_rows(cash: dict[str, Any]) -> Rows:
    names = {
        "net": "received",
        "fell_due": "fell due",
        "due": "still due",
        "promised": "promised",
        "forecast": "forecast",
    }
    lines = [(row["on"], row) for row in cash["rows"]]
    lines += [(f"[bold]total {row['currency']}", row) for row in cash["totals"]]
    return [{"week of": label, **{title: _whole(row[name]) for name, title in names.items()}} for label, row in lines]


def _bad_rows(bad: dict[str, Any]) -> Rows:
    rows: Rows = []
    for row in bad["placements"]:
        what = f"{row['placements']} placed with {row['agency']}, {row['phase'].replace('_', ' ')}"
        rows.append({"what": what, "amount": _whole(row["amount"]), "currency": row["currency"]})
    for row in bad["recoveries"]:
        what = f"recovered by {row['agency']}, {row['phase'].replace('_', ' ')}, net of {_whole(row['fee'])} in fees"
        rows.append({"what": what, "amount": _whole(row["net"]), "currency": row["currency"]})
    for currency in sorted({row["currency"] for row in bad["write_offs"]}):
        mine = [row for row in bad["write_offs"] if row["currency"] == currency]
        total = sum((Decimal(row["net"]) for row in mine), Decimal(0))
        what = f"written off in {len(mine)} branches"
        rows.append({"what": what, "amount": _whole(str(total)), "currency": currency})
    for row in bad["allowance"]:
        what = "[bold]allowance required on what is open"
        rows.append({"what": what, "amount": _whole(row["required"]), "currency": row["currency"]})
    return rows


def _table(title: str, report: dict[str, Any], rows: Rows) -> None:
    table = Table(box=SIMPLE, pad_edge=False)
    for at, column in enumerate(rows[0] if rows else ()):
        table.add_column(column, justify="left" if at == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row.values())
    console.print(f"\n[bold]{title} as of {report['as_of']}[/]  {report['url']}", soft_wrap=True)
    console.print(table if rows else "  nothing")


def _farewell(stack: Stack, seconds: float) -> None:
    lines = [f"\nReady with reports after {seconds:.0f} s.\n", "API documentation and metrics:"]
    lines += [f"  {service:<12} {url}/docs   {url}/metrics" for service, url in stack.urls.items()]
    lines += ["Workers' metrics:"]
    lines += [f"  {service:<12} http://127.0.0.1:{port}/metrics" for service, port in stack.worker_ports.items()]
    mint_one = ".venv/bin/openitem token --role admin --branch '*'"
    lines += ["\nAsk for yourself:"]
    lines += [f"  curl -H \"Authorization: Bearer $({mint_one})\" '{stack.urls['reporting']}/aging?by=account'"]
    lines += ["\nCtrl-C stops everything."]
    console.print("\n".join(lines), soft_wrap=True, markup=False)


if __name__ == "__main__":
    sys.exit(main())
