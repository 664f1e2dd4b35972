"""Multi-object metrics: arithmetic by hand, edge cases, properties, and TrackEval's numbers."""

from __future__ import annotations

import itertools
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.errors import InputError
from vtlab.formats.motchallenge import CLASSES, read_mot_rows
from vtlab.metrics import mot, pairing
from vtlab.metrics.assignment import max_weight_matching
from vtlab.metrics.rules import MOT

GOLDEN = json.loads((Path(__file__).parent / "golden/mot_trackeval.json").read_text())
SAME = np.array([0.0, 0.0, 10.0, 10.0])


def table(rows):
    """(frame, id, x) rows as frame, id and 10 x 10 boxes at x."""
    rows = np.array(rows, dtype=float).reshape(-1, 3)
    box = np.stack([rows[:, 2], rows[:, 2] * 0, rows[:, 2] + 10, rows[:, 2] * 0 + 10], axis=1)
    return rows[:, 0].astype(int), rows[:, 1].astype(int), box


def values(truth, answer, frames=None):
    return mot.evaluate(pairing.pairs_of_boxes(table(truth), table(answer), frames)).values()


def test_hand_worked_switch_and_gap():
    # One object for 10 frames. The tracker follows it exactly: id 1 on frames 0-3, nothing on 4, id 2 on 5-9,
    # and has one false box far away on frame 4.
    truth = [(f, 7, 0) for f in range(10)]
    answer = [(f, 1, 0) for f in range(4)] + [(f, 2, 0) for f in range(5, 10)] + [(4, 3, 500)]
    v = values(truth, answer)
    assert (v["CLR_TP"], v["CLR_FN"], v["CLR_FP"], v["IDSW"], v["Frag"]) == (9, 1, 1, 1, 1)
    assert (v["MT"], v["PT"], v["ML"]) == (1, 0, 0)  # 9 of 10 frames exceed 0.8
    assert v["MOTA"] == pytest.approx(1 - (1 + 1 + 1) / 10)
    assert v["MODA"] == pytest.approx(1 - (1 + 1) / 10)
    assert v["MOTP"] == 1
    # Identity keeps the longer answer: 5 frames.
    assert v["IDF1"] == pytest.approx(2 * 5 / (10 + 10))
    assert (v["IDTP"], v["IDFN"], v["IDFP"]) == (5, 5, 5)
    # HOTA: 9 matches; id 1: 4 / (10 + 4 - 4), id 2: 5 / (10 + 5 - 5).
    assert v["DetA"] == pytest.approx(9 / (9 + 1 + 1))
    assert v["AssA"] == pytest.approx((4 * 4 / 10 + 5 * 5 / 10) / 9)
    assert v["AssRe"] == pytest.approx((4 * 4 / 10 + 5 * 5 / 10) / 9)
    assert v["AssPr"] == pytest.approx(1)
    assert v["HOTA"] == pytest.approx(np.sqrt(9 / 11 * (4.1 / 9)))
    # VACE: the best pair of tracks agrees on 5 of the union of 10 frames; 1 true track, 3 answered ones.
    assert v["ATA"] == pytest.approx((5 / 10) / (0.5 * (1 + 3)))
    # Frames: nothing on frame 4, perfect elsewhere.
    assert v["SFDA"] == pytest.approx((0 + 9) / 10)
    # TrackEval skips a frame on which the tracker says nothing at all: without the false box there is no fragment.
    assert values(truth, answer[:-1])["Frag"] == 0


def test_hand_worked_continuity_beats_overlap():
    # Two answers compete on frame 1: id 1, followed so far, overlaps by 6/14, id 2 better by 8/12.
    truth = [(0, 1, 0), (1, 1, 0)]
    answer = [(0, 1, 0), (1, 1, 2.5), (1, 2, 1)]
    v = values(truth, answer)
    assert v["IDSW"] == 0
    assert v["MOTP"] == pytest.approx((1 + 7.5 / 12.5) / 2)
    # Below the threshold (6/14) the partner is lost and the better one wins.
    v = values(truth, [(0, 1, 0), (1, 1, 4), (1, 2, 1)])
    assert v["IDSW"] == 1
    assert v["MOTP"] == pytest.approx((1 + 9 / 11) / 2)


@pytest.mark.parametrize("frames", [1, 300])
def test_perfect(frames):
    truth = [(f, i, 30 * i + f % 5) for f in range(frames) for i in range(4)]
    v = values(truth, truth)
    for name in ("HOTA", "DetA", "AssA", "LocA", "MOTA", "MOTP", "IDF1", "ATA", "SFDA", "sMOTA"):
        assert v[name] == pytest.approx(1), name
    assert v["IDSW"] == v["Frag"] == v["CLR_FP"] == v["CLR_FN"] == v["ML"] == 0


def test_empty_answer_and_no_truth():
    truth = [(f, 1, 0) for f in range(5)]
    nothing = values(truth, [])
    assert (nothing["HOTA"], nothing["MOTA"], nothing["IDF1"], nothing["LocA"]) == (0, 0, 0, 1)
    assert (nothing["CLR_FN"], nothing["IDFN"], nothing["ML"]) == (5, 5, 1)
    only = values([], truth)
    assert (only["HOTA"], only["IDF1"], only["CLR_FP"], only["IDFP"]) == (0, 0, 5, 5)
    assert only["MOTA"] == -5  # as TrackEval combines: (0 - 5) / max(1, 0)
    assert values([], [], 3)["HOTA"] == 0


def test_combination_adds_counts_and_classes_weigh_the_same():
    truth = [(f, 1, 0) for f in range(6)]
    good = mot.evaluate(pairing.pairs_of_boxes(table(truth), table(truth)))
    bad = mot.evaluate(pairing.pairs_of_boxes(table(truth[:2]), table([])))
    assert mot.combine([good, bad]).values()["MOTA"] == pytest.approx(6 / 8)
    assert mot.class_average([good, bad, mot.Counts()])["MOTA"] == pytest.approx((1 + 0) / 2)


def test_wrong_input():
    with pytest.raises(InputError, match="id 1 is repeated in frame 3"):
        values([(3, 1, 0), (3, 1, 5)], [])
    with pytest.raises(InputError, match="outside the sequence of 3 frames"):
        values([(3, 1, 0)], [], 3)
    with pytest.raises(InputError, match="no number"):
        values([(0, 1, np.nan)], [])


def random_case(seed, frames=30, objects=6):
    rng = np.random.default_rng(seed)
    truth, answer = [], []
    x = rng.uniform(0, 60, objects)
    for f, i in itertools.product(range(frames), range(objects)):
        x[i] += rng.normal(0, 2)
        if rng.random() < 0.8:
            truth.append((f, i + 1, x[i]))
        if rng.random() < 0.8:
            answer.append((f, i + 1 + 100 * (rng.random() < 0.2), x[i] + rng.normal(0, 3)))
    return truth, answer


def dense(truth, answer, frames):
    """The same numbers the slow way, straight from the papers: a dense Hungarian problem for each frame."""
    from scipy.optimize import linear_sum_assignment

    from vtlab.geometry import box_iou

    t, a = table(truth), table(answer)
    gt_ids, ids = np.unique(t[1]), np.unique(a[1])
    potential = np.zeros((len(gt_ids), len(ids)))
    steps = []
    for f in range(frames):
        ti, ai = t[0] == f, a[0] == f
        sim = box_iou(t[2][ti], a[2][ai])
        g, d = np.searchsorted(gt_ids, t[1][ti]), np.searchsorted(ids, a[1][ai])
        steps.append((g, d, sim))
        if sim.size:
            total = sim.sum(0)[None] + sim.sum(1)[:, None] - sim
            potential[np.ix_(g, d)] += np.divide(sim, total, out=np.zeros_like(sim), where=total > 0)
    lengths = (
        np.bincount(np.searchsorted(gt_ids, t[1]))[:, None] + np.bincount(np.searchsorted(ids, a[1]))[None]
    )
    alignment = potential / (lengths - potential)
    hota = []
    for alpha in mot.ALPHAS:
        matched, tp = np.zeros_like(potential), 0
        for g, d, sim in steps:
            r, c = linear_sum_assignment(-alignment[np.ix_(g, d)] * sim)
            ok = sim[r, c] >= alpha - 1e-15
            tp += ok.sum()
            matched[g[r[ok]], d[c[ok]]] += 1
        ass = (matched * matched / np.maximum(1, lengths - matched)).sum() / max(tp, 1)
        hota.append(np.sqrt(tp / (len(t[0]) + len(a[0]) - tp) * ass))
    return float(np.mean(hota))


@pytest.mark.parametrize("seed", range(8))
def test_sparse_equals_dense(seed):
    truth, answer = random_case(seed)
    assert values(truth, answer, 30)["HOTA"] == pytest.approx(dense(truth, answer, 30), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(-1000, 1000))
def test_bounds_renaming_and_translation(seed, shift):
    truth, answer = random_case(seed, frames=12, objects=5)
    v = values(truth, answer, 12)
    for name, value in v.items():
        if name not in mot.COUNTED | {"MOTA", "MODA", "sMOTA", "MOTAL", "FP_per_frame"}:
            assert 0 <= value <= 1, name
        assert np.isfinite(value)
    rng = np.random.default_rng(seed)
    names = dict(zip(range(1000), rng.permutation(100_000)[:1000], strict=True))
    renamed = values(
        [(f, names[i], x + shift) for f, i, x in truth],
        [(f, names[i], x + shift) for f, i, x in rng.permutation(answer)],
        12,
    )
    assert renamed == pytest.approx(v, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_added_errors_never_help(seed):
    truth, answer = random_case(seed, frames=10, objects=4)
    v = values(truth, answer, 10)
    worse = values(truth, [*answer, (3, 999, 5000)], 10)
    for name in ("HOTA", "DetA", "MOTA", "IDF1", "DetPr", "CLR_Pr", "SFDA"):
        assert worse[name] <= v[name] + 1e-12, name


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 7))
def test_matching_is_optimal(seed, n, m):
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(seed)
    weight = np.where(rng.random((n, m)) < 0.6, np.round(rng.random((n, m)), rng.integers(1, 6)), 0)
    rows, cols = np.nonzero(weight)
    picked = max_weight_matching(rows, cols, weight[rows, cols], n, m)
    assert len(set(rows[picked])) == len(set(cols[picked])) == len(picked)
    best = weight[linear_sum_assignment(weight, maximize=True)].sum()
    assert weight[rows[picked], cols[picked]].sum() == pytest.approx(best, abs=1e-12)


def test_one_box_far_away_changes_nothing():
    truth, answer = random_case(3)
    plain = values(truth, answer, 30)
    far = values(truth, [*answer, (29, 777, 1e11)], 30)
    assert far["CLR_TP"] == plain["CLR_TP"]
    assert far["LocA"] == pytest.approx(plain["LocA"], abs=1e-9)


def prepared(gt, results, benchmark, frames):
    """A sequence after MOTChallenge's preprocessing."""
    pairs = pairing.pairs_of_boxes(
        (gt.frame, gt.object_id, gt.boxes), (results.frame, results.object_id, results.boxes), frames
    )
    rule = MOT[benchmark]
    of = {label: number for number, label in CLASSES.items()}
    scored = np.isin(gt.class_id, [of[c] for c in rule.classes]) if rule.classes else True
    return pairing.preprocess(
        pairs, scored & (gt.confidence != 0), np.isin(gt.class_id, [of[c] for c in rule.distractors])
    )


def check(got, golden):
    for name, value in got.items():
        assert value == pytest.approx(golden[{"Frames": "CLR_Frames"}.get(name, name)], abs=1e-9), name


@pytest.mark.shared
@pytest.mark.parity
def test_trackeval_on_mot17(shared):
    total = []
    archive = zipfile.ZipFile(shared / "data/mot/results/Lif_T_MOT17-train.zip")
    for name, golden in GOLDEN["MOT17"].items():
        if name == "COMBINED_SEQ":
            continue
        folder = shared / "data/mot" / f"{name.rsplit('-', 1)[0]}-DPM"
        gt = read_mot_rows(folder / "gt/gt.txt", "truth")
        results = read_mot_rows(archive.read(f"Lif_T/{name}.txt"))
        counts = mot.evaluate(prepared(gt, results, "mot17", int(golden["CLR_Frames"])))
        check(counts.values(), golden)
        total.append(counts)
    check(mot.combine(total).values(), GOLDEN["MOT17"]["COMBINED_SEQ"])


@pytest.mark.shared
@pytest.mark.parity
def test_trackeval_on_mot15(shared):
    total = []
    for name in ("PETS09-S2L1-169", "TUD-Campus"):
        gt = read_mot_rows(shared / f"data/mot/{name}/gt/gt.txt", "truth")
        results = read_mot_rows(shared / f"data/mot/results/CEM_MOT15/{name}.txt")
        counts = mot.evaluate(prepared(gt, results, "mot15", int(GOLDEN["MOT15"][name]["CLR_Frames"])))
        check(counts.values(), GOLDEN["MOT15"][name])
        total.append(counts)
    check(mot.combine(total).values(), GOLDEN["MOT15"]["COMBINED_SEQ"])


WALK = [(f, 7, 0) for f in range(4)]
SILENT = {
    "silent": (WALK, []),
    "beside": (WALK, [(f, 1, 500) for f in range(4)]),
    "shifted": (WALK, [(f, 1, 2) for f in range(4)]),
    "no truth": ([], [(f, 1, 0) for f in range(4)]),
    "nothing": ([], []),
}


def test_a_tracker_that_says_nothing_scores_as_in_trackeval():
    """Numbers that TrackEval 1.3.0 gave for the same boxes: LocA of no match is 1 there, and weighs nothing in a sum."""
    golden = json.loads((Path(__file__).parent / "golden/mot_silent.json").read_text())
    pairs = {name: pairing.pairs_of_boxes(table(t), table(a), 4) for name, (t, a) in SILENT.items()}
    counts = {name: mot.evaluate(found) for name, found in pairs.items()}
    for name, wanted in golden.items():
        found = mot.combine([counts[part] for part in name.split(" and ")]).values()
        assert {key: found[key] for key in wanted} == pytest.approx(wanted), name
