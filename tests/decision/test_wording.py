"""What a verdict says in words, and what it promises before a label."""

from __future__ import annotations

import re

import numpy as np

import vtlab
from vtlab.tracks import Tracks

HOME = np.array([100.0, 100.0, 160.0, 160.0])


def drift(step: float, seed: int, n: int = 300) -> Tracks:
    """A box that wanders off, by more with every frame."""
    way = np.cumsum(np.random.default_rng(seed).normal(0, step, (n, 2)), axis=0)
    return Tracks.of(np.arange(n), 1, HOME + np.concatenate([way, way], axis=1))


def run(v):
    """Label what is asked for until the verdict has its answer."""
    while v.state == "label":
        frames = [f for _, f in v.next()]
        v.add(Tracks.of(frames, 1, np.tile(HOME, (len(frames), 1))))
    return v


def test_a_plan_never_promises_less_than_a_later_level():
    """Single frames on which two lost trackers agree are missed by few labels, whose intervals then look narrow."""
    n = 112
    gone = np.arange(n) >= 36
    rare = np.isin(np.arange(n), [56, 75, 92, 96, 99, 108])
    good = Tracks.of(np.arange(n), 1, np.tile(HOME, (n, 1)))
    lost = {
        name: Tracks.of(
            np.arange(n), 1, np.tile(HOME + off, (n, 1)), visible=~(gone & (rare if both else True))
        )
        for name, off, both in (("a", 500.0, False), ("b", 300.0, True))
    }
    for seed in range(6):
        plan = vtlab.verdict({"good": good, **lost}, seed=seed).plan()
        assert list(plan.values()) == sorted(plan.values(), reverse=True)


def test_numbers_in_words_have_the_unit_of_the_tables():
    v = run(vtlab.verdict({f"t{i}": drift(step, i) for i, step in enumerate((0.2, 0.4, 2.0))}, within=0.015))
    told = " ".join([v.sentence, *v.notes])
    assert re.search(r"labels would shrink the intervals to about ±\d+(\.\d)? percentage points\.", told)
    assert "lower every level by 1 to 4 percentage points" in told
    q = run(vtlab.verdict({"a": drift(0.2, 1), "b": drift(0.21, 2)}, within=0.3))
    assert q.state == "good_enough"
    assert "at most 30 percentage points of mean IoU below the best of the 2" in q.sentence
