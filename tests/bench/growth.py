"""What each figure costs as the data grows: the same benchmarks at three sizes, a table and a plot."""

from __future__ import annotations

from io import StringIO
from typing import Any, Final, NamedTuple

from tests.bench import aging, append, consume, imports, project, relay, visible
from tests.bench.bench import Missing
from tests.bench.figure import Figure, number, table
from tests.bench.runs import FIGURES, ROOT, Run

TIMES: Final = (1, 4, 16)
KEPT: Final = FIGURES / "growth"
PLOT: Final = ROOT / "docs" / "growth.svg"
_COLUMNS: Final = 4
_INK: Final = "#1f2937"
_LINE: Final = "#1d4ed8"
_WANTED: Final = "#b45309"


FIRST: Final = 1 / TIMES[-1]  # The scale of the smallest run: the largest is what the figures are asked for.


class Size(NamedTuple):
    """How much data there is at scale 1, and of what."""

    whole: int
    what: str

    def __str__(self) -> str:
        """The smallest of the three."""
        return f"{round(FIRST * self.whole):,} {self.what}"


SIZES: Final = {
    "append": Size(append.PAST, "facts in the store"),
    "imports": Size(imports.INVOICES, "invoices in the file"),
    "relay": Size(relay.FACTS, "facts in the outbox"),
    "consume": Size(consume.FACTS, "facts in the topic"),
    "project": Size(project.INVOICES, "invoices, 5.5 facts each"),
    "rebuild": Size(project.INVOICES, "invoices, 5.5 facts each"),
    "aging": Size(aging.SETTLED, "past invoices, a tenth as many open"),
    "visible": Size(visible.INVOICES, "invoices in the books"),
}


class Line(NamedTuple):
    """One figure at each of `TIMES`."""

    data: str
    figures: list[Figure]

    @property
    def grown(self) -> float:
        """The largest beside the smallest."""
        return self.figures[-1].ours / self.figures[0].ours


def lines(grown: list[list[Run]]) -> list[Line]:
    """What was asked for, by name, of every benchmark that was run at each size, in the order of `TIMES`."""
    found: list[Line] = []
    for runs in grown:
        # The same figure beside several limits is one line here.
        sizes = [{figure.name: figure for figure in reversed(run.figures) if _asked(figure)} for run in runs]
        names = [figure.name for figure in runs[0].figures if _asked(figure)]
        found += [Line(str(SIZES[runs[0].name]), [by[name] for by in sizes]) for name in dict.fromkeys(names)]
    return found


def _asked(figure: Figure) -> bool:
    """Whether something was asked of it, or it is held against a limit."""
    return figure.wanted is not None or figure.limit is not None


def section(grown: list[list[Run]]) -> str:
    """The table, and where and when each row was measured."""
    rows = [
        [line.figures[0].name, line.data, *(f"{number(f.ours)} {f.unit}" for f in line.figures), f"{line.grown:.2f}"]
        for line in lines(grown)
    ]
    head = ["as data grows", "1 x is", *(f"{times} x" for times in TIMES), f"{TIMES[-1]} x beside {TIMES[0]} x"]
    measured = [
        f"- `{runs[0].name}: {runs[0].at} UTC, commit {runs[0].commit}, {sum(run.took_s for run in runs):.0f} s`"
        for runs in grown
    ]
    image = f"![What each costs as data grows]({PLOT.relative_to(ROOT)})"
    legend = "Each panel begins at nothing; dashed is what was asked for, where that is not a ratio."
    return "\n\n".join([image, legend, table(rows, head), "\n".join(measured)])


def plot(grown: list[list[Run]]) -> str:
    """A small panel for each figure, as SVG; the same figures give the same file. Errors: Missing."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise Missing("matplotlib is not installed: make lock, make setup") from None
    mpl.use("svg")
    ink = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK)
    # Text stays text; the ground is its own, so that it reads the same on a dark page.
    style: dict[Any, Any] = {"svg.hashsalt": "openitem", "svg.fonttype": "none", "font.size": 8, **ink}
    with mpl.rc_context(style | {"figure.facecolor": "#ffffff", "axes.facecolor": "#ffffff"}):
        return _drawn(lines(grown))


def _drawn(found: list[Line]) -> str:
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter, NullLocator

    height = -(-len(found) // _COLUMNS)
    whole, axes = plt.subplots(height, _COLUMNS, figsize=(12, 2.1 * height), squeeze=False)
    for axis, line in zip(axes.flat, found, strict=False):
        first = line.figures[0]
        values = [figure.ours for figure in line.figures]
        axis.plot(TIMES, values, marker="o", color=_LINE)
        axis.set_xscale("log")
        axis.set_xticks(TIMES, [f"{times} x" for times in TIMES])
        axis.xaxis.set_minor_locator(NullLocator())
        wanted = first.wanted
        if wanted is not None and not wanted.of_ratio:
            axis.axhline(wanted.value, color=_WANTED, linestyle="--", linewidth=1)
            values.append(wanted.value)
        axis.set_ylim(0, max(values) * 1.15)  # From nothing, so that a small change looks small.
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value) if value else "0"))
        axis.set_title(_folded(first.name), fontsize=8, loc="left")
        axis.set_ylabel(first.unit)
        axis.grid(visible=True, alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in list(axes.flat)[len(found) :]:
        axis.set_visible(False)
    whole.tight_layout()
    drawn = StringIO()
    whole.savefig(drawn, format="svg", metadata={"Date": None})
    plt.close(whole)
    return drawn.getvalue()


def _folded(title: str, width: int = 38) -> str:
    """A long title over two lines."""
    if len(title) <= width:
        return title
    at = title.rfind(" ", 0, width)
    return f"{title[:at]}\n{title[at + 1 :]}"
