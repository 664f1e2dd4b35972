"""Matching without SciPy's import gives what SciPy gives, also where several answers are best."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vtlab.metrics.assignment import components, shortest_paths


def test_shortest_paths_choose_as_scipy_does():
    rng = np.random.default_rng(0)
    for k in range(400):
        rows = rng.integers(1, 8)
        shape = rows, rng.integers(rows, 9)
        tied = rng.integers(0, 4, shape).astype(float)
        cost = tied if k % 2 else np.where(rng.random(shape) < 0.5, 0.0, -rng.random(shape))
        assert linear_sum_assignment(cost)[1].tolist() == shortest_paths(cost.tolist())


def test_components_are_those_of_the_graph():
    rng = np.random.default_rng(1)
    for _ in range(100):
        n, m, pairs = (int(v) for v in rng.integers(1, 50, 3))
        rows, cols = rng.integers(0, n, pairs), rng.integers(0, m, pairs)
        graph = coo_array((np.ones(pairs, np.int8), (rows, cols + n)), shape=(n + m,) * 2)
        label = connected_components(graph, directed=False)[1][rows].tolist()
        found = components(rows, cols, n, m)
        assert sorted(k for group in found for k in group) == list(range(pairs))
        assert [[label[k] for k in g] for g in found] == [[i] * label.count(i) for i in sorted(set(label))]
    chain = np.arange(3000)
    assert len(components(chain, chain, 3000, 3000)) == 3000
    assert len(components(np.repeat(chain, 2)[1:], np.repeat(chain, 2)[:-1], 3000, 3000)) == 1


def test_scoring_imports_no_scipy():
    """Which would take longer than scoring does."""
    work = (
        "import sys, numpy as np, vtlab.metrics as m; from vtlab.tracks import Tracks\n"
        "f, i = np.repeat(np.arange(20), 9), np.tile(np.arange(9), 20)\n"
        "left = 4.0 * i + np.random.default_rng(0).random(180)\n"
        "t = Tracks.of(f, i, np.stack([left, 0 * left, left + 10, 0 * left + 10], 1))\n"
        "m.evaluate(t, t, 'mot')\n"
        "assert not [n for n in sys.modules if n.startswith('scipy.') and 'version' not in n]\n"
    )
    subprocess.run([sys.executable, "-c", work], check=True, timeout=120)
