"""Runs that are kept: one small file per benchmark under docs/figures, from which the section of README.md is made.

So a long measurement can be made in pieces, and what was measured before stays until it is measured again.
"""

from __future__ import annotations

import platform
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import psutil

from tests.bench.figure import HEAD, Figure, table

ROOT: Final = Path(__file__).parents[2]
FIGURES: Final = ROOT / "docs" / "figures"
_SECTION: Final = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Run:
    """One benchmark, measured once: where, when and of what. `scale` is the amount of data; 1 is what is asked for."""

    name: str
    scale: float
    at: str
    commit: str
    machine: str
    load: float  # How busy the machine was when it ended, the run itself included.
    took_s: float
    figures: list[Figure]

    def told(self) -> str:
        """The figures as a table, and the sentences that belong to them."""
        return f"{table([figure.cells() for figure in self.figures], HEAD)}\n\n{self.line()}\n"

    def line(self) -> str:
        return (
            f"{self.name}: scale {self.scale:g}, {self.at} UTC, commit {self.commit}, {self.took_s:.0f} s, load"
            f" {self.load:.1f} at the end"
        )


def run_of(name: str, scale: float, took_s: float, figures: list[Figure]) -> Run:
    """What was just measured, here and now."""
    return Run(
        name=name,
        scale=scale,
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        commit=_answer("git", "describe", "--always", "--dirty") or "no git",
        machine=_machine(),
        load=round(psutil.getloadavg()[0], 1),
        took_s=round(took_s, 1),
        figures=figures,
    )


def keep(runs: list[Run], directory: Path) -> None:
    """Put the runs of one benchmark where those before them were."""
    directory.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(runs), indent=1)
    (directory / f"{runs[0].name}.json").write_bytes(text + b"\n")


def kept(name: str, directory: Path) -> list[Run]:
    """The runs of one benchmark that were kept last; none if it never was."""
    path = directory / f"{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=list[Run]) if path.exists() else []


def section(runs: list[Run]) -> str:
    """What README.md says: one table of all figures, the sentences about them, and where and when each was measured."""
    figures = [figure for run in runs for figure in run.figures]
    if not figures:
        return ""
    notes = [f"- {note}" for figure in figures for note in figure.notes()]
    parts = [table([figure.cells() for figure in figures], HEAD), "\n".join(notes)]
    for machine in dict.fromkeys(run.machine for run in runs):
        lines = [f"- `{run.line()}`" for run in runs if run.machine == machine]
        parts.append("\n".join([f"Measured on {machine}:\n", *lines]))
    return "\n\n".join(part for part in parts if part)


def put_into(readme: Path, told: str) -> None:
    """Replace what stands between the markers."""
    before = readme.read_text()
    after = _SECTION.sub(lambda found: f"{found[1]}{told}\n{found[2]}", before)
    assert _SECTION.search(before), f"{readme} has no markers for figures"
    readme.write_text(after)


def _machine() -> str:
    cpu = re.search(r"model name\s*:\s*(.+)", _read("/proc/cpuinfo"))
    memory = psutil.virtual_memory().total / 1024**3
    return (
        f"{psutil.cpu_count()} cores ({cpu[1] if cpu else platform.machine()}), {memory:.0f} GB,"
        f" {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def _answer(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return done.stdout.strip()


def _read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""
