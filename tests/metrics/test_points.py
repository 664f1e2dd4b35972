"""Point metrics: arithmetic by hand, edge cases, properties, and TAP-Vid's equations written out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.errors import InputError
from vtlab.metrics import points, score
from vtlab.metrics.families import FAMILIES
from vtlab.metrics.rules import POINTS
from vtlab.tracks import PointRows, Tracks

NATIVE = POINTS["native-first"]


def test_hand_worked():
    # One point, 5 frames, query on frame 0; errors of 0.5, 3, 20 px and one frame hidden that is called visible.
    truth = np.zeros((1, 5, 2))
    answer = np.array([[[9, 9], [0.5, 0], [0, 3], [20, 0], [0, 0]]], dtype=float)
    visible = np.array([[True, True, True, True, False]])
    v = points.evaluate(answer, np.ones((1, 5), bool), truth, visible, [0], rule=NATIVE)
    assert v["OA"] == 3 / 4
    # 3 visible frames; within 1 px: 1, 2 px: 1, 4 px: 2, 8 px: 2, 16 px: 2.
    assert [v[f"delta_{d}"] for d in (1, 2, 4, 8, 16)] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3])
    assert v["delta_avg"] == pytest.approx((1 + 1 + 2 + 2 + 2) / 15)
    # Jaccard: hits / (3 true + false positives): the hidden frame and each frame that is too far.
    assert [v[f"jaccard_{d}"] for d in (1, 2, 4, 8, 16)] == pytest.approx(
        [1 / (3 + 3), 1 / (3 + 3), 2 / (3 + 2), 2 / (3 + 2), 2 / (3 + 2)]
    )
    assert v["AJ"] == pytest.approx((1 / 6 + 1 / 6 + 2 / 5 * 3) / 5)


def test_thresholds_are_strict():
    truth, answer = np.zeros((1, 2, 2)), np.array([[[0, 0], [1, 0]]], dtype=float)
    seen = np.ones((1, 2), bool)
    v = points.evaluate(answer, seen, truth, seen, [0], rule=NATIVE)
    assert (v["delta_1"], v["delta_2"]) == (0, 1)


def test_first_and_strided():
    assert points.evaluated_frames([2], 5).tolist() == [[False, False, False, True, True]]
    strided = points.evaluated_frames([2], 5, POINTS["tapvid-strided"])
    assert strided.tolist() == [[True, True, False, True, True]]


def test_raster_of_256():
    truth, answer = np.zeros((1, 2, 2)), np.array([[[0, 0], [7.9, 0]]], dtype=float)
    seen = np.ones((1, 2), bool)
    v = points.evaluate(answer, seen, truth, seen, [0], rule=POINTS["tapvid-first"], size=(1024, 512))
    assert (v["delta_1"], v["delta_2"]) == (0, 1)  # 7.9 px of 1024 are 1.975 of 256
    with pytest.raises(InputError, match="give the image size"):
        points.evaluate(answer, seen, truth, seen, [0])


@pytest.mark.parametrize("name", sorted(POINTS))
def test_perfect_empty_and_no_truth(name):
    rng = np.random.default_rng(0)
    truth, visible = rng.uniform(0, 200, (6, 300, 2)), rng.random((6, 300)) < 0.8
    query, rule = [0, 3, 5, 9, 200, 100], {"rule": POINTS[name], "size": (256, 256)}
    perfect = points.evaluate(truth, visible, truth, visible, query, **rule)
    assert set(perfect.values()) == {1.0}
    nothing = points.evaluate(np.full_like(truth, np.nan), visible, truth, visible, query, **rule)
    assert (nothing["AJ"], nothing["delta_avg"]) == (0, 0)
    none = points.evaluate(truth, visible, truth, visible, query, **rule, annotated=np.zeros((6, 300), bool))
    assert all(np.isnan(v) for v in none.values())
    assert points.combine([perfect, none])["AJ"] == 1


def test_what_nobody_looked_at_does_not_count():
    """Rows of truth between labelled frames, such as interpolated ones."""
    xy = np.arange(12.0).reshape(6, 2)
    off = xy + np.where(np.arange(6) % 2, 40, 0)[:, None]  # wrong on odd frames
    answer, truth = (
        Tracks.of(range(6), 1, points=PointRows.of(range(6), 1, 0, p), size=(256, 256)) for p in (off, xy)
    )
    told = truth.replace(meta={"annotated": [0, 2, 4, 5]})
    for case, within in ((truth, 2 / 5), (told, 2 / 3)):
        assert score(answer, case, "points", "native-first").values()["delta_16"] == within
    line = FAMILIES["points"].timeline(answer, told, "native-first")
    assert line.tolist() == pytest.approx([np.nan, np.nan, 1, np.nan, 1, 0], nan_ok=True)


def test_shapes_are_checked():
    with pytest.raises(InputError, match="expected"):
        points.evaluate(
            np.zeros((2, 3, 2)),
            np.ones((2, 3)),
            np.zeros((2, 4, 2)),
            np.ones((2, 4)),
            [0, 0],
            rule=NATIVE,
        )


def official(query_frame, gt_occluded, gt, occluded, tracks, mode):
    """TAP-Vid's equations as published (NeurIPS 2022, supplement): counts over the frames that are judged."""
    n, frames = gt_occluded.shape
    total = {
        "occ": 0,
        "all": 0,
        **{(k, d): 0 for k in ("in", "tp", "fp") for d in (1, 2, 4, 8, 16)},
        "vis": 0,
    }
    for i in range(n):
        for t in range(frames):
            if (t <= query_frame[i]) if mode == "first" else (t == query_frame[i]):
                continue
            total["all"] += 1
            total["occ"] += gt_occluded[i, t] == occluded[i, t]
            total["vis"] += not gt_occluded[i, t]
            for d in (1, 2, 4, 8, 16):
                near = ((tracks[i, t] - gt[i, t]) ** 2).sum() < d * d
                total["in", d] += near and not gt_occluded[i, t]
                total["tp", d] += near and not gt_occluded[i, t] and not occluded[i, t]
                total["fp", d] += not occluded[i, t] and (gt_occluded[i, t] or not near)
    jaccard = [total["tp", d] / (total["vis"] + total["fp", d]) for d in (1, 2, 4, 8, 16)]
    within = [total["in", d] / total["vis"] for d in (1, 2, 4, 8, 16)]
    return np.mean(jaccard), np.mean(within), total["occ"] / total["all"]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["first", "strided"]))
def test_equations_bounds_and_permutation(seed, mode):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 256, (5, 12, 2))
    answer = truth + rng.normal(0, 4, truth.shape)
    seen_t, seen_a = rng.random((2, 5, 12)) < 0.7
    seen_t[:, -1] = True
    query = rng.integers(0, 10, 5)
    rule = POINTS[f"tapvid-{mode}"]
    v = points.evaluate(answer, seen_a, truth, seen_t, query, rule=rule, size=(256, 256))
    assert all(0 <= x <= 1 for x in v.values())
    expected = official(query, ~seen_t, truth, ~seen_a, answer, mode)
    assert (v["AJ"], v["delta_avg"], v["OA"]) == pytest.approx(expected, abs=1e-12)
    order = rng.permutation(5)
    again = points.evaluate(
        answer[order],
        seen_a[order],
        truth[order],
        seen_t[order],
        query[order],
        rule=rule,
        size=(256, 256),
    )
    assert again == pytest.approx(v)
    shifted = points.evaluate(answer + 50, seen_a, truth + 50, seen_t, query, rule=rule, size=(256, 256))
    assert shifted == pytest.approx(v)
    worse = answer.copy()
    worse[2] += 100
    assert (
        points.evaluate(worse, seen_a, truth, seen_t, query, rule=rule, size=(256, 256))["AJ"]
        <= v["AJ"] + 1e-12
    )


@pytest.mark.parametrize("mode", ["first", "strided"])
def test_official_code(mode):
    golden = json.loads((Path(__file__).parent / "golden/points_tapvid.json").read_text())
    truth, answer, hidden = (np.array(golden[k]) for k in ("truth", "answer", "hidden"))
    v = points.evaluate(
        answer,
        ~hidden[1],
        truth,
        ~hidden[0],
        golden["query"],
        rule=POINTS[f"tapvid-{mode}"],
        size=(256, 256),
    )
    names = {"AJ": "average_jaccard", "delta_avg": "average_pts_within_thresh", "OA": "occlusion_accuracy"}
    names |= {f"jaccard_{d}": f"jaccard_{d}" for d in (1, 2, 4, 8, 16)}
    names |= {f"delta_{d}": f"pts_within_{d}" for d in (1, 2, 4, 8, 16)}
    for ours, theirs in names.items():
        assert v[ours] == pytest.approx(golden[mode][theirs], abs=1e-12), ours
