"""Single-object metrics: arithmetic by hand, edge cases, properties, and the official tools' numbers."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.errors import InputError
from vtlab.geometry import xywh_to_xyxy
from vtlab.metrics import sot
from vtlab.metrics.families import find_rule
from vtlab.metrics.rules import SOT

GOLDEN = Path(__file__).parent / "golden"
BOX = np.array([[10.0, 20.0, 50.0, 80.0]])


def score(answer, truth, rule="otb", **kwargs):
    return sot.evaluate([sot.BoxSequence(answer, truth, **kwargs)], SOT[rule]).values()


def test_hand_worked():
    truth = np.repeat([[0.0, 0.0, 10.0, 10.0]], 4, axis=0)
    # Frame 0 is the prompt. Then shifts by 5, by 10 and by 30 pixels to the right: IoU 50/150, 0, 0.
    answer = truth + np.array([[0.0], [5.0], [10.0], [30.0]]) * [1, 0, 1, 0]
    values = score(answer, truth)
    # Strict: 1/3 exceeds 0, 0.05, ..., 0.30 (7 thresholds); 1 exceeds all but 1.0 (20 thresholds).
    assert values["success_auc"] == pytest.approx((20 + 7) / 21 / 4, abs=1e-12)
    assert values["precision_20px"] == 3 / 4
    # Errors in widths: 0, 0.5, 1, 3; thresholds 0, 0.01, ..., 0.5: the first counts 51 times, the second once.
    assert values["norm_precision_auc"] == pytest.approx((51 + 1) / 51 / 4, abs=1e-12)
    assert values["ao"] == pytest.approx((1 + 1 / 3) / 4, abs=1e-12)
    # GOT-10k drops the prompted frame.
    assert score(answer, truth, "got10k", size=(100, 100))["ao"] == pytest.approx((1 / 3) / 3, abs=1e-12)
    # TrackingNet integrates by the trapezoid rule: mean with the two ends halved.
    curve = np.array([2] + [2] * 6 + [1] * 13 + [0]) / 4
    assert score(answer, truth, "trackingnet")["success_auc"] == pytest.approx(np.trapezoid(curve, dx=0.05))


def test_got10k_cuts_boxes_as_its_toolkit_does():
    # Left of the image by 5 of 10 px: the toolkit moves x to 0 and leaves the width, so the box grows back to 10 px
    # and the IoU is 100/100, where a true cut gives 50/100.
    truth, answer = np.array([[0.0, 0, 10, 10]] * 2), np.array([[-5.0, 0, 5, 10]] * 2)
    assert score(answer, truth, "got10k", size=(100, 100))["ao"] == pytest.approx(1.0)
    exact = replace(SOT["got10k"], bounds="image")
    values = sot.evaluate([sot.BoxSequence(answer, truth, size=(100, 100))], exact).values()
    assert values["ao"] == pytest.approx(50 / 100)


@pytest.mark.parametrize("name", SOT)
def test_perfect_empty_and_no_truth(name):
    truth = np.repeat(BOX, 300, axis=0) + np.arange(300)[:, None] * 0.5
    perfect = score(truth, truth, name, size=(400, 400))
    assert perfect["ao"] == perfect["precision_20px"] == perfect["sr_75"] == 1
    best = {"mean": 20 / 21, "trapezoid": 1 - 0.05 / 2}[SOT[name].area]
    assert perfect["success_auc"] == pytest.approx(best, abs=1e-12)

    nothing = np.full_like(truth, np.nan)
    empty = score(nothing, truth, name, size=(400, 400))
    expected = 1 / 300 if SOT[name].first_frame == "truth" else 0
    if SOT[name].no_answer == "miss":
        assert empty["ao"] == pytest.approx(expected)
        assert empty["sr_50"] == pytest.approx(expected)

    none = score(truth, nothing, name, size=(400, 400))
    assert all(np.isnan(v) or v == 0 for v in none.values())


def test_absent_frames_are_left_out_or_missed():
    truth = np.repeat(BOX, 4, axis=0)
    visible = [True, True, False, True]
    assert score(truth, truth, "plain", visible=visible)["ao"] == 1
    assert score(truth, truth, "pytracking-lasot", visible=visible)["ao"] == 3 / 4


def test_lasot_by_hand():
    # Four frames of a still object and a perfect answer but on frame 1, which is 30 px off (IoU 10/70 = 1/7). Frame 2 is
    # absent: it stays in the denominator. On frame 3 truth begins left of the first pixel: its overlap is a miss, its
    # centre a hit, whatever the answer.
    truth = np.repeat(BOX, 4, axis=0)
    truth[3] = [-5, 20, 35, 80]
    answer = truth + np.array([[0.0], [30.0], [0.0], [500.0]]) * [1, 0, 1, 0]
    values = score(answer, truth, "lasot", visible=[True, True, False, True])
    # 1 exceeds 20 of 21 thresholds; 1/7 exceeds 0, 0.05 and 0.1.
    assert values["success_auc"] == pytest.approx((20 + 3 + 0 + 0) / 21 / 4)
    assert values["precision_20px"] == (1 + 0 + 0 + 1) / 4
    # 30 px are 0.75 widths, beyond every threshold.
    assert values["norm_precision_auc"] == (1 + 0 + 0 + 1) / 4


def test_last_answer_is_repeated_only_where_the_protocol_says_so():
    truth = np.repeat(BOX, 4, axis=0)
    answer = truth.copy()
    answer[2] = np.nan
    assert score(answer, truth, "lasot")["ao"] == 1
    assert score(answer, truth, "otb")["ao"] == 3 / 4


def test_sequences_weigh_the_same_or_frames_do():
    truth, bad = np.repeat(BOX, 3, axis=0), np.repeat(BOX + 1000, 9, axis=0)
    sequences = [sot.BoxSequence(truth, truth), sot.BoxSequence(bad, np.repeat(BOX, 9, axis=0))]
    scores = sot.evaluate(sequences, SOT["plain"])
    assert scores.values()["op_50"] == pytest.approx((2 / 2 + 0 / 8) / 2)
    assert scores.values()["sr_50"] == pytest.approx((2 + 0) / (2 + 8))
    assert [round(v["ao"], 6) for v in scores.per_sequence()] == [1, 0]


def test_wrong_input_names_the_sequence_and_the_remedy():
    with pytest.raises(InputError, match=r"Sequence 'car': 2 answers for 3 frames"):
        sot.evaluate([sot.BoxSequence(np.zeros((2, 4)), np.zeros((3, 4)), name="car")])
    with pytest.raises(InputError, match="give its size"):
        sot.evaluate([sot.BoxSequence(BOX, BOX)], SOT["got10k"])
    with pytest.raises(InputError, match="Did you mean 'got10k'"):
        find_rule("sot", "got-10k")


boxes = st.lists(
    st.tuples(*[st.floats(-50, 50, width=32)] * 2, *[st.floats(1, 60, width=32)] * 2), min_size=2, max_size=20
)


@settings(max_examples=60, deadline=None)
@given(boxes, st.sampled_from(sorted(SOT)), st.integers(0, 2**31))
def test_bounds_and_translation(rows, name, seed):
    truth = xywh_to_xyxy(np.round(np.array(rows)))
    answer = truth + np.random.default_rng(seed).integers(-20, 20, truth.shape) * [1, 1, 0, 0]
    answer = np.concatenate([np.minimum(answer[:, :2], answer[:, 2:] - 1), answer[:, 2:]], axis=1)
    values = score(answer, truth, name, size=(40, 40))
    assert all(0 <= v <= 1 for v in values.values() if not np.isnan(v))
    if SOT[name].bounds == "none" and SOT[name].outside == "compared":
        moved = score(answer + 64, truth + 64, name, size=(40, 40))
        assert values == pytest.approx(moved, abs=1e-9, nan_ok=True)


@settings(max_examples=40, deadline=None)
@given(boxes, st.data())
def test_one_more_lost_frame_never_helps(rows, data):
    truth = xywh_to_xyxy(np.array(rows))
    before = score(truth, truth)
    answer = truth.copy()
    answer[data.draw(st.integers(0, len(truth) - 1))] = np.nan
    after = score(answer, truth)
    assert all(after[k] <= before[k] + 1e-12 for k in before)


def dtb70(shared, tracker):
    folder = shared / "data/sot/benchmarks/DTB70"
    with zipfile.ZipFile(folder / "results_5trackers.zip") as archive:
        for path in sorted((folder / "anno").glob("*.txt")):
            truth = np.loadtxt(path, delimiter=",")
            answer = np.loadtxt(archive.open(f"DTB70/{tracker}/{path.name}"), delimiter=",")
            yield sot.BoxSequence(xywh_to_xyxy(answer), xywh_to_xyxy(truth), size=(1280, 720), name=path.stem)


@pytest.mark.shared
@pytest.mark.parity
@pytest.mark.parametrize("tracker", ["NanoTrack", "SiamAPN++"])
def test_official_tools_on_dtb70(shared, tracker):
    sequences = list(dtb70(shared, tracker))
    expected = json.loads((shared / "data/expected.json").read_text())["dtb70"][tracker]
    pysot = sot.evaluate(sequences, SOT["pysot"]).values()
    assert pysot["success_auc"] == pytest.approx(expected["success_auc"], abs=5.1e-7)
    assert pysot["precision_20px"] == pytest.approx(expected["precision20"], abs=5.1e-7)

    golden = json.loads((GOLDEN / "sot_got10k_toolkit.json").read_text())[tracker]
    otb = sot.evaluate(sequences, SOT["otb"])
    assert otb.curve("success") == pytest.approx(golden["otb_success_curve"], abs=1e-9)
    assert otb.curve("precision") == pytest.approx(golden["otb_precision_curve"], abs=1e-9)
    got = sot.evaluate(sequences, replace(SOT["got10k"], absent="miss"))
    assert got.values()["ao"] == pytest.approx(golden["got10k_ao"], abs=1e-9)
    assert got.values()["sr_50"] == pytest.approx(golden["got10k_sr_50"], abs=1e-9)


def gappy(shared, absent):
    """SiamAPN on DTB70 with answers without size now and then, and every ninth frame absent."""
    for number, s in enumerate(dtb70(shared, "SiamAPN")):
        answer = s.answer.copy()
        answer[7 + number % 5 :: 11, 2:] = answer[7 + number % 5 :: 11, :2]
        yield replace(s, answer=answer, visible=np.arange(len(answer)) % 9 != 4 if absent else None)


@pytest.mark.shared
@pytest.mark.parity
def test_lasot_toolkit_on_dtb70(shared):
    golden = json.loads((GOLDEN / "sot_lasot.json").read_text())
    found = sot.evaluate(list(gappy(shared, absent=True)), SOT["lasot"])
    assert found.curve("success") == pytest.approx(golden["success"], abs=1e-9)
    assert found.curve("precision") == pytest.approx(golden["precision"], abs=1e-9)
    assert found.curve("norm_precision") == pytest.approx(golden["norm"], abs=1e-9)


@pytest.mark.shared
@pytest.mark.parity
@pytest.mark.parametrize(("dataset", "rule"), [("otb", "pytracking"), ("lasot", "pytracking-lasot")])
def test_pytracking_on_dtb70(shared, dataset, rule):
    golden = json.loads((GOLDEN / "sot_pytracking.json").read_text())[dataset]
    sequences = []
    for s in gappy(shared, absent=dataset == "lasot"):
        there = (s.truth[:, 2:] > s.truth[:, :2]).all(axis=1)
        sequences.append(s if s.visible is None else replace(s, visible=s.visible & there))
    found = sot.evaluate(sequences, SOT[rule])
    assert found.curve("success") == pytest.approx(golden["success"], abs=1e-9)
    assert found.curve("precision") == pytest.approx(golden["precision"], abs=1e-9)
    assert found.curve("norm_precision") == pytest.approx(golden["norm"], abs=1e-9)


@pytest.mark.shared
@pytest.mark.parity
def test_trackingnet_devkit_on_dtb70(shared):
    success, precision, norm = json.loads((GOLDEN / "sot_trackingnet.json").read_text())
    sequences = [s for s in dtb70(shared, "SiamTPN") if s.name != "Car6"]
    values = sot.evaluate(sequences, SOT["trackingnet"]).values()
    assert values["success_auc"] == pytest.approx(success, abs=1e-9)
    assert values["precision_auc"] == pytest.approx(precision, abs=1e-9)
    assert values["norm_precision_auc"] == pytest.approx(norm, abs=1e-9)
