"""A figure and how it is told: ours, the limit it is held against, their ratio, and what was wanted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    """`limit` is None where there is nothing to be held against but `wanted`; `beside` says what the limit is."""

    name: str
    ours: float
    unit: str
    limit: float | None = None
    beside: str = ""
    wanted: Wanted | None = None

    @property
    def ratio(self) -> float | None:
        return None if self.limit is None else self.ours / self.limit

    @property
    def met(self) -> bool | None:
        if self.wanted is None:
            return None
        value = self.ratio if self.wanted.of_ratio else self.ours
        return value is not None and self.wanted.met_by(value)

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
