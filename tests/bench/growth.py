"""What each costs as the data grows: a table and a plot. `python -m tests.bench growth [SCALE]`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final

from tests.bench.bench import Bench, Missing
from tests.bench.figure import Figure, number, table

TIMES: Final = (1, 4, 16)
PLOT: Final = Path(__file__).parents[2] / "docs" / "growth.svg"
# 16 times this share is 0.8 of what the figures are asked for: aging needs 40 GB of disk for the whole of it.
_FIRST: Final = 0.05
_NAMES: Final = ("append", "imports", "relay", "consume", "project", "rebuild", "aging")


async def report(bench: Bench) -> str:
    """Every figure at each size, and how the largest compares to the smallest. Writes the plot. Errors: Missing."""
    whole, found = bench.scale, dict[str, dict[int, Figure]]()
    for times in TIMES:
        bench.scale = whole * _FIRST * times
        for name in _NAMES:
            for figure in await importlib.import_module(f"tests.bench.{name}").measure(bench):
                # The same figure beside several limits is one line here.
                found.setdefault(figure.name, {}).setdefault(times, figure)
    bench.scale = whole
    PLOT.write_text(plot(found))
    rows = [
        [name, *(f"{number(by[t].ours)} {by[t].unit}" for t in TIMES), f"{by[TIMES[-1]].ours / by[TIMES[0]].ours:.2f}"]
        for name, by in found.items()
    ]
    head = ["as data grows", *(f"{times} x" for times in TIMES), f"{TIMES[-1]} x beside {TIMES[0]} x"]
    return f"{table(rows, head)}\n\n![Figures as data grows]({PLOT.relative_to(Path(__file__).parents[2])})"


def plot(found: dict[str, dict[int, Figure]]) -> str:
    """The figures relative to their first, as SVG: rates in one panel, times in the other. Errors: Missing."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise Missing("matplotlib is not installed: make lock, make setup") from None
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "openitem"  # The same figures give the same file.
    from io import StringIO

    from matplotlib import pyplot as plt

    panels, axes = plt.subplots(1, 2, figsize=(11, 5), sharex=True)
    for axis, title in zip(axes, ("rate, the first is 1 (more is better)", "time, the first is 1"), strict=True):
        axis.set(title=title, xscale="log", xlabel="data", yscale="log")
        axis.set_xticks(TIMES, [f"{times} x" for times in TIMES])
        axis.grid(visible=True, which="both", alpha=0.3)
    for name, by in found.items():
        first = by[TIMES[0]]
        axis = axes[0] if first.unit.endswith("/s") else axes[1]
        axis.plot(TIMES, [by[times].ours / first.ours for times in TIMES], marker="o", label=name)
    for axis in axes:
        axis.legend(fontsize=6)
    panels.tight_layout()
    drawn = StringIO()
    panels.savefig(drawn, format="svg", metadata={"Date": None})
    plt.close(panels)
    return drawn.getvalue()
