"""Plots: names don't lie on one another, rows are in the table's order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")

from matplotlib.text import Text

from vtlab.show import plot


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
