"""A figure and how it is told: ours, the limit it is held against, their ratio, what was wanted, and what bounds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

Sense = Literal["at least", "at most"]
_SIGNS: Final = {"at least": "≥", "at most": "≤"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: of the ratio of ours to the limit, or of our own value where `of_ratio` is false."""

    sense: Sense
    value: float
    of_ratio: bool = True

    def met_by(self, value: float) -> bool:
        return value >= self.value if self.sense == "at least" else value <= self.value


@dataclass(frozen=True, slots=True)
class Figure:
    """`limit` is None where there is nothing to be held against but `wanted`; `beside` says what the limit is.

    `bound` is a sentence: what keeps the figure from being better. It is told where the figure is missed.
    `parts` is what `ours` is the sum of, in the same unit.
    """

    name: str
    ours: float
    unit: str
    limit: float | None = None
    beside: str = ""
    wanted: Wanted | None = None
    bound: str = ""
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return None if self.limit is None else self.ours / self.limit

    @property
    def judged(self) -> float | None:
        """What `wanted` is about."""
        return self.ratio if self.wanted is not None and self.wanted.of_ratio else self.ours

    @property
    def met(self) -> bool | None:
        if self.wanted is None or self.judged is None:
            return None
        return self.wanted.met_by(self.judged)

    def cells(self) -> list[str]:
        """The figure as a row of the table: name, ours, limit, ratio, wanted, met."""
        limit, ratio, wanted = "", "", ""
        if self.limit is not None:
            limit = f"{number(self.limit)} {self.unit}" + (f", {self.beside}" if self.beside else "")
        if self.ratio is not None:
            ratio = f"{self.ratio:.2f}"
        if self.wanted is not None:
            value = f"{self.wanted.value:g} x" if self.wanted.of_ratio else f"{number(self.wanted.value)} {self.unit}"
            wanted = f"{_SIGNS[self.wanted.sense]} {value}"
        met = {None: "", True: "yes", False: "**no**"}[self.met]
        return [self.name, f"{number(self.ours)} {self.unit}", limit, ratio, wanted, met]

    def notes(self) -> list[str]:
        """Sentences below the table: by how much the figure is missed and what bounds it; its parts."""
        told = []
        if self.wanted is not None and self.judged is not None and self.met is False:
            value, wanted = self.judged, self.wanted.value
            what = f"{self.name} beside {self.beside}" if self.beside else self.name
            unit = "x" if self.wanted.of_ratio else self.unit
            missed = f"{number(value)} {unit} where {number(wanted)} {unit} was wanted"
            told.append(f"{what}: {missed}, {abs(value / wanted - 1):.0%} off. {self.bound}".rstrip())
        if self.parts:
            parts = ", ".join(f"{name} {number(value)}" for name, value in self.parts.items())
            told.append(f"{self.name}, in {self.unit}: {parts}.")
        return told


def at_least(value: float) -> Wanted:
    """So many times the limit, or more."""
    return Wanted("at least", value)


def at_most(value: float) -> Wanted:
    """So many times the limit, or less."""
    return Wanted("at most", value)


def number(value: float) -> str:
    """Three digits that count, thousands grouped."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def table(rows: Iterable[list[str]], head: list[str]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


HEAD: Final = ["what", "ours", "limit", "ratio", "wanted", "met"]
