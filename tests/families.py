"""What every family of metrics keeps: perfect, jittered and empty answers, bounds, order of rows, names of objects."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.metrics import METRICS, score
from vtlab.metrics.families import FAMILIES
from vtlab.tracks import PointRows, Tracks

N = 300
SIZE = (120, 400)


def rows(seed=None, n=N):
    """Three objects on n frames, jittered where there is a seed: boxes, masks of the first, points of the first."""
    rng = np.random.default_rng(seed)
    frame, owner = (a.ravel() for a in np.meshgrid(np.arange(n), [1, 2, 3], indexing="ij"))
    x, y = 90.0 * owner + 10 * np.sin(frame / 20) - 60, 30 + 5 * np.cos(frame / 15)
    box = np.stack([x, y, x + 40, y + 50], axis=1)
    if seed is not None:
        box = box + np.repeat(rng.normal(0, 4, (len(box), 2)), 2, axis=0).reshape(-1, 4)[:, [0, 1, 0, 1]]
    return frame, owner, box


def make(family, seed=None, n=N):
    frame, owner, box = rows(seed, n)
    if family in ("sot", "mot"):
        return Tracks.of(frame, owner, box, size=SIZE)
    if family != "vos":  # any other is asked about boxes with two points each
        points = PointRows.of(
            np.tile(frame, 2),
            np.tile(owner, 2),
            np.repeat([0, 1], len(frame)),
            np.concatenate([box[:, :2], box[:, 2:]]),
        )
        return Tracks.of(frame, owner, box, points=points, size=SIZE)
    keep = owner == 1
    masks = []
    for x1, y1, x2, y2 in box[keep].round().astype(int):
        mask = np.zeros(SIZE, bool)
        mask[max(y1, 0) : y2, max(x1, 0) : x2] = True
        masks.append(mask)
    return Tracks.of(frame[keep], 1, masks=masks, size=SIZE)


def scored(rules):
    """Scores of a perfect, a jittered and an empty answer by each (family, rule)."""
    found = {}
    for family, rule in rules:
        truth, jittered = make(family), make(family, 7)
        if rule == "mots":
            continue
        found[family, rule] = {
            "perfect": score(truth, truth, family, rule).values(),
            "jittered": score(jittered, truth, family, rule).values(),
            "empty": score(Tracks.empty(size=SIZE), truth, family, rule).values(),
        }
    return found


def check_range(scores):
    for by_answer in scores.values():
        for values in by_answer.values():
            for name, value in values.items():
                if not np.isnan(value):
                    assert METRICS[name].low <= value <= METRICS[name].high, name


def check_order(scores):
    for (family, rule), answers in scores.items():
        ranks = answers["empty"].get(FAMILIES[family].main, 0.0)
        assert not np.isnan(ranks), f"{family}, {rule}: nothing answered must cost in the metric that ranks"
        for name, best in answers["perfect"].items():
            record = METRICS[name]
            if record.higher_is_better is None or name.endswith("_decay"):
                continue
            sign = 1 if record.higher_is_better else -1
            assert sign * best >= sign * answers["jittered"][name] - 1e-12, (family, rule, name)
            worst = answers["empty"][name]
            if record.unit != "fraction" or name in ("LocA", "LocA(0)", "MLR"):  # TrackEval's LocA is 1 there
                continue
            if np.isnan(worst):  # nothing to judge: only a mean over what is answered may say so
                truth = make(family)
                half = truth.take(truth.frame % 2 == 0)
                assert score(half, truth, family, rule).values()[name] == pytest.approx(best), (
                    f"{family}, {rule}: {name} is NaN where nothing is answered, and falls with what is missing"
                )
            else:
                assert sign * best >= sign * worst - 1e-12, (family, rule, name)


def check_names(family):
    truth, answer = make(family, n=40), make(family, 3, 40)
    plain = score(answer, truth, family).values()
    names = {1: 900, 2: 17, 3: 55}
    both = [t.renamed(names) for t in (answer, truth)]
    assert score(*both, family).values() == pytest.approx(plain, abs=1e-12, nan_ok=True)
    if family == "mot":
        assert score(answer.renamed(names), truth, family).values() == pytest.approx(plain, abs=1e-12)


def check_unchanged(family):
    truth, answer = make(family, n=20), make(family, 3, 20)
    before = [t.boxes.copy() for t in (truth, answer)]
    score(answer, truth, family)
    for t, b in zip((truth, answer), before, strict=True):
        np.testing.assert_array_equal(t.boxes, b)


def check_record(family):
    """What tables and rules read of the record is there."""
    record = FAMILIES[family]
    assert record.main == record.columns[0] == record.listed[0]
    assert {*record.columns, *record.listed} <= {m.name for m in record.metrics}
    assert all(m.family == record.code for m in record.metrics)
    assert record.default in record.rules
    assert all(name == rule.name for name, rule in record.rules.items())
    others = {name for f in FAMILIES.values() if f.code != family for name in f.rules}
    assert others & set(record.rules) <= {"plain"}, "a rule's name chooses its family"
