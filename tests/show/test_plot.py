"""Plots: names don't lie on one another, rows are in the table's order."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from vtlab.show import plot
from vtlab.show.board import Board
from vtlab.show.figure import Curves, Panel, Timeline, charts, figure


def test_names_of_points_at_one_place_do_not_overlap():
    ax = plot.new_axes(6, 4)
    names = [f"a tracker, variant {i}" for i in range(6)]
    plot.pareto(ax, [1.0, 1.01, 1.02, 1.0, 1.03, 20.0], [0.5, 0.5, 0.501, 0.499, 0.5, 0.7], names)
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(t) for t in ax.texts]  # without the line to the point
    assert len(boxes) == 6
    for a, b in itertools.combinations(boxes, 2):
        assert not a.overlaps(b)


def test_bars_are_in_the_order_given():
    ax = plot.new_axes()
    plot.bars(ax, {"a": 0.2, "b": np.nan, "c": 0.9})
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first one on top
    ax = plot.bars(plot.new_axes(), {"a": 0.0, "b": 0.0})
    assert ax.get_xlim() == (0, 1)


def words(sheet, monkeypatch) -> list:
    """All texts of a figure that are drawn, with their extents."""
    drawn, draw = {}, Text.draw

    def noted(text, renderer):
        if text.get_visible() and text.get_text().strip():
            drawn[text] = text.get_text(), Text.get_window_extent(text, renderer)
        draw(text, renderer)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", noted)
        sheet.draw_without_rendering()
    return list(drawn.values())


@pytest.mark.parametrize(("n", "decades", "budget"), [(2, 0.1, None), (6, 2.0, 40.0), (25, 6.0, 1e-3)])
def test_no_two_words_of_a_plot_lie_on_one_another(n, decades, budget, monkeypatch):
    rng = np.random.default_rng(n)
    names = [
        f"a tracker with a name that goes on, variant {i}" if i % 5 == 4 else f"tracker {i}" for i in range(n)
    ]
    cost, quality = 10 ** rng.uniform(0, decades, n), np.sort(rng.uniform(0.2, 0.9, n))[::-1]
    frame = pd.DataFrame({"ao": quality, "latency_ms": cost, "latency_p95_ms": cost}, index=names)
    x = np.linspace(0, 1, 5)
    lines = {name: x**i for i, name in enumerate(names)}
    panel = Panel(
        Board(frame, "Boxes", main="ao"),
        Timeline("clip", "overlap", {name: np.ones(30) for name in names}),
        (Curves("Success plot", "threshold", x, lines, "ao"),),
        budget,
    )
    shown = dict(charts([panel]))
    few = "" if n < 25 else " (first 20 of 25)"
    assert list(shown)[:2] == [f"Success plot [ao in %]{few}", f"Boxes: ao{few}"]
    for sheet in (*shown.values(), *([figure([panel])] if n == 6 else [])):  # all on one sheet, too
        for (a, one), (b, two) in itertools.combinations(words(sheet, monkeypatch), 2):
            assert not one.padded(-1).overlaps(two.padded(-1)), (a, b)
    assert len(list(shown.values())[1].axes[0].get_yticklabels()) == min(n, 20)
    pareto = list(shown.values())[2].axes[0]
    if budget is not None:
        assert pareto.get_xlim()[0] < budget < pareto.get_xlim()[1]
        assert any(t.get_text() == f"budget {budget:g} ms" for t in pareto.texts)


def test_a_plot_without_anything_to_see_is_left_out():
    frame = pd.DataFrame({"agreement": [0.5, 0.6]}, index=["a", "b"])
    silent = Panel(Board(frame, "Boxes"), Timeline("clip", "score", {"a": np.full(3, np.nan)}))
    assert list(charts([silent])) == []
