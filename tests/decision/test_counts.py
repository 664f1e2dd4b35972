"""The error of a count, by a verdict's labels."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab.decision import count_error
from vtlab.errors import InputError
from vtlab.tracks import Tracks

N, ZONE = 200, [(0, 0), (150, 0), (150, 200), (0, 200)]


def crowd(keep):
    """Six people that stand 30 pixels apart; `keep(frame, person)` says who is found."""
    rows = [(f, i, 30.0 * i, 10.0, 30.0 * i + 20, 60.0) for f in range(N) for i in range(1, 7) if keep(f, i)]
    frame, ids, *box = zip(*rows, strict=True)
    return Tracks.of(frame, ids, np.array(box).T, meta={"tracker": {"name": "t", "family": "mot"}})


TRUTH = crowd(lambda f, i: i <= 4 + (f >= 100))


def asked(answers, frames=None):
    verdict = vtlab.verdict(answers, guarantee=False)
    while frames is None and verdict.state == "label":
        wanted = [f for _, f in verdict.next()]
        rows = TRUTH.take(np.isin(TRUTH.frame, wanted))
        verdict.add(rows.replace(meta={"annotated": sorted(wanted)}))
    return verdict


def test_the_error_of_a_count_is_known_from_labels():
    rng = np.random.default_rng(0)
    lost = rng.random((N, 7)) < 0.25
    answers = {"right": TRUTH, "misses": crowd(lambda f, i: i <= 4 + (f >= 100) and not lost[f, i])}
    table = count_error(asked(answers))
    assert table.loc["right", "error"] == 0
    real = np.bincount(answers["misses"].frame, minlength=N).mean() - 4.5
    assert table.loc["misses", "low"] <= real <= table.loc["misses", "high"] < 0
    inside = count_error(asked(answers), ZONE)
    assert inside.loc["misses", "labelled"] == 4  # the fifth stands outside
    assert inside.loc["misses", "error"] < 0


def test_its_interval_covers():
    hit = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        lost = rng.random((N, 7)) < np.linspace(0.1, 0.5, N)[:, None]
        misses = crowd(lambda f, i, lost=lost: i <= 4 + (f >= 100) and not lost[f, i])
        verdict = vtlab.verdict({"right": TRUTH, "misses": misses}, guarantee=False, seed=seed)
        wanted = [f for _, f in verdict.next()]
        rows = TRUTH.take(np.isin(TRUTH.frame, wanted))
        verdict.add(rows.replace(meta={"annotated": sorted(wanted)}))
        row = count_error(verdict).loc["misses"]
        hit.append(row["low"] <= np.bincount(misses.frame, minlength=N).mean() - 4.5 <= row["high"])
    assert np.mean(hit) >= 0.9


def test_every_label_gives_the_exact_error_and_none_says_so():
    answers = {"right": TRUTH, "none": crowd(lambda f, i: i == 1)}
    with pytest.raises(InputError, match="The labels of 0 frames don't tell how wrong a count is yet"):
        count_error(asked(answers, frames=()))
    verdict = asked(answers, frames=())
    verdict.add(TRUTH.replace(meta={"annotated": list(range(N))}))
    table = count_error(verdict)
    assert table.loc["none", ["error", "low", "high"]].tolist() == pytest.approx([-3.5] * 3)
