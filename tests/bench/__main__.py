"""Run benchmarks: `python -m tests.bench [NAME...] [SCALE] [--out FILE] [--readme]`."""

from __future__ import annotations

import argparse
import importlib
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
import uvloop

from tests.bench.bench import Missing, open_bench
from tests.bench.figure import HEAD, Figure, table

# Each is a module of this package with `async def measure(bench) -> list[Figure]`, or `report(bench)` for a text.
NAMES: Final = ("append", "imports", "relay", "consume", "project", "rebuild", "aging", "visible")
EXTRA: Final = ("growth",)  # Takes as long as all others twenty times over: only when named.
README: Final = Path(__file__).parents[2] / "README.md"
_SECTION: Final = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)


def main() -> int:
    args = _arguments()
    texts: list[str] = []
    figures: list[Figure] = []
    failed = False
    with open_bench(args.scale) as bench:
        for name in args.names:
            module = importlib.import_module(f"tests.bench.{name}")
            began = time.perf_counter()
            _say(f"{name} ...")
            try:
                if hasattr(module, "report"):
                    texts.append(uvloop.run(module.report(bench)))
                else:
                    found = uvloop.run(module.measure(bench))
                    figures += found
                    _say(table([figure.cells() for figure in found], HEAD))
            except Missing as missing:
                _say(f"{name}: {missing}")
                failed = True
            _say(f"{name}: {time.perf_counter() - began:.0f} s")
    told = "\n\n".join([_machine(args), table([f.cells() for f in figures], HEAD), *texts]) + "\n"
    sys.stdout.write(told)
    if args.out:
        args.out.write_text(told)
    if args.readme:
        README.write_text(_SECTION.sub(lambda found: f"{found[1]}{told}{found[2]}", README.read_text()))
    return int(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="NAME or SCALE", help=f"of {', '.join([*NAMES, *EXTRA])}; 0.1")
    parser.add_argument("--out", type=Path, help="write the table to this file, too")
    parser.add_argument("--readme", action="store_true", help="put the table between the markers in README.md")
    args = parser.parse_args()
    scales = [word for word in args.words if word.replace(".", "", 1).isdigit()]
    args.names = [word for word in args.words if word not in scales] or list(NAMES)
    args.scale = float(scales[-1]) if scales else 1.0
    if unknown := [name for name in args.names if name not in (*NAMES, *EXTRA)]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join([*NAMES, *EXTRA])}")
    return args


def _machine(args: argparse.Namespace) -> str:
    """Where, when and of what: a figure without these says nothing."""
    commit = _answer("git", "describe", "--always", "--dirty") or "no git"
    cpu = re.search(r"model name\s*:\s*(.+)", _read("/proc/cpuinfo"))
    memory = psutil.virtual_memory().total / 1024**3
    return (
        f"`make bench` ({' '.join(args.names)}; scale {args.scale:g}) on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit"
        f" {commit}: {psutil.cpu_count()} cores ({cpu[1] if cpu else platform.machine()}), {memory:.0f} GB,"
        f" {platform.system()} {platform.release()}, Python {platform.python_version()}; "
        f" load {psutil.getloadavg()[0]:.1f} at the end."
    )


def _answer(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=README.parent)
    return done.stdout.strip()


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
