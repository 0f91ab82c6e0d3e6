"""Figures: how they are told, kept and drawn."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import growth
from tests.bench.__main__ import NAMES
from tests.bench.figure import Figure, Wanted, at_least
from tests.bench.runs import FIGURES, ROOT, Run, keep, kept, put_into, section


def run(name: str, *figures: Figure, scale: float = 1.0) -> Run:
    return Run(name, scale, "2026-07-01 12:00", "abc", "2 cores", 1.5, 60.0, list(figures))


def three(name: str, *values: float) -> list[Run]:
    wanted = Wanted("at most", 200, of_ratio=False)
    return [run(name, Figure("until visible", ours, "ms", wanted=wanted), Figure("spent", 1, "ms")) for ours in values]


def test_a_missed_figure_says_by_how_much_and_why() -> None:
    missed = Figure("relay", 30, "facts/s", 100, "a bare loop", at_least(0.4), bound="The processor bounds it.")
    assert missed.notes() == [
        "relay beside a bare loop: 0.3 x where 0.4 x was wanted, 25% off. The processor bounds it."
    ]


def test_a_figure_that_is_met_keeps_what_bounds_it_to_itself() -> None:
    met = Figure("p99", 90, "ms", wanted=Wanted("at most", 100, of_ratio=False), bound="The processor bounds it.")
    assert met.notes() == []


def test_a_sum_names_its_parts() -> None:
    whole = Figure("resident", 600, "MiB", parts={"kafka": 400.0, "postgres": 200.0})
    assert whole.notes() == ["resident, in MiB: kafka 400, postgres 200."]


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    one = run("relay", Figure("relay", 1.5, "facts/s", 2.0, "bare", at_least(0.4), "Because.", {"a": 1.0}))
    keep([one], tmp_path)
    assert kept("relay", tmp_path) == [one]
    assert kept("append", tmp_path) == []


def test_measuring_one_again_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    keep([run("append", Figure("append", 1, "facts/s"))], tmp_path)
    keep([run("relay", Figure("relay", 2, "facts/s"))], tmp_path)
    keep([run("append", Figure("append", 3, "facts/s"))], tmp_path)
    assert [kept(name, tmp_path)[0].figures[0].ours for name in ("append", "relay")] == [3, 2]


def test_only_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n")
    put_into(readme, r"new \1")
    assert readme.read_text() == "before\n<!-- figures -->\nnew \\1\n<!-- /figures -->\nafter\n"


def test_growth_follows_what_was_asked_for_and_tells_how_much_data_that_is() -> None:
    [line] = growth.lines([three("relay", 10, 20, 40)])
    assert (line.figures[0].name, line.grown) == ("until visible", 4)
    assert "12,500 facts in the outbox | 10 ms | 20 ms | 40 ms | 4.00 |" in growth.section([three("relay", 10, 20, 40)])


def test_every_benchmark_has_a_size_to_grow_from() -> None:
    assert set(growth.SIZES) == set(NAMES)


def test_the_same_figures_are_drawn_as_the_same_file() -> None:
    pytest.importorskip("matplotlib")
    grown = [three("relay", 10, 20, 40), three("visible", 7, 7, 7)]
    drawn = growth.plot(grown)
    assert drawn == growth.plot(grown)
    words = {
        "".join(text.itertext()) for text in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")
    }
    assert {"until visible", "1 x", "4 x", "16 x", "ms"} <= words


def test_the_readme_tells_what_is_kept() -> None:
    told = (ROOT / "README.md").read_text()
    assert section([each for name in NAMES for each in kept(name, FIGURES)]) in told
    if grown := [runs for name in NAMES if (runs := kept(name, growth.KEPT))]:
        assert growth.section(grown) in told
