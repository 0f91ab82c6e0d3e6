"""Run benchmarks: `python -m tests.bench [NAME...] [SCALE] [--growth] [--out FILE] [--readme]`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from pathlib import Path
from typing import Final

import uvloop

from tests.bench import growth
from tests.bench.bench import Bench, Missing, open_bench
from tests.bench.runs import FIGURES, ROOT, Run, keep, kept, put_into, run_of, section

# Each is a module of this package with `async def measure(bench) -> list[Figure]`.
NAMES: Final = ("append", "imports", "relay", "consume", "project", "rebuild", "aging", "visible")


def main() -> int:
    args = _arguments()
    sizes = [args.scale]
    done: list[list[Run]] = []
    failed = False
    with open_bench() as bench:
        for name in args.names:
            if args.growth:
                sizes = [growth.FIRST * times * args.scale for times in growth.TIMES]
            try:
                done.append([_measured(bench, name, scale) for scale in sizes])
            except Missing as missing:
                _say(f"{name}: {missing}")
                failed = True
    told = growth.section(done) if args.growth else section([run for runs in done for run in runs])
    sys.stdout.write(f"{told}\n")
    if args.out:
        args.out.write_text(f"{told}\n")
    if args.readme:
        for runs in done:
            keep(runs[-1:], FIGURES)  # Of a growth the largest: what the figures are asked for.
            if args.growth:
                keep(runs, growth.KEPT)
        _tell()
    return int(failed)


def _measured(bench: Bench, name: str, scale: float) -> Run:
    _say(f"{name}, scale {scale:g} ...")
    bench.scale = scale
    began = time.perf_counter()
    figures = uvloop.run(importlib.import_module(f"tests.bench.{name}").measure(bench))
    run = run_of(name, scale, time.perf_counter() - began, figures)
    _say(run.told())
    return run


def _tell() -> None:
    """Everything that is kept, whenever it was measured, into README.md and the plot it shows."""
    told = section([run for name in NAMES for run in kept(name, FIGURES)])
    if grown := [runs for name in NAMES if (runs := kept(name, growth.KEPT))]:
        growth.PLOT.write_text(growth.plot(grown))
        told = f"{told}\n\n{growth.section(grown)}"
    put_into(ROOT / "README.md", told)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="NAME or SCALE", help=f"of {', '.join(NAMES)}; 0.1")
    parser.add_argument(
        "--growth", action="store_true", help="measure each at a sixteenth, a quarter and all of its size"
    )
    parser.add_argument("--out", type=Path, help="write the table to this file, too")
    parser.add_argument(
        "--readme", action="store_true", help="keep the figures in docs/figures and tell them in README.md"
    )
    args = parser.parse_args()
    scales = [word for word in args.words if word.replace(".", "", 1).isdigit()]
    args.names = [word for word in args.words if word not in scales] or list(NAMES)
    args.scale = float(scales[-1]) if scales else 1.0
    if unknown := [name for name in args.names if name not in NAMES]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(NAMES)}")
    return args


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
