"""Explanations, calibration, attributes, quality of single answers, and py-motmetrics' tables."""

from __future__ import annotations

import zipfile

import numpy as np
import pandas as pd
import pytest

from vtlab.errors import InputError
from vtlab.formats.motchallenge import read_mot
from vtlab.metrics import attributes, calibration, events, explanation, motmetrics_bridge, quality, score
from vtlab.metrics.rules import SOT, differences
from vtlab.tracks import PointRows, Tracks

N = 40


def one(shift=0.0, n=N, **kwargs):
    x = 20.0 + np.arange(n)
    box = np.stack([x + shift, x * 0 + 30, x + 40 + shift, x * 0 + 90], axis=1)
    return Tracks.of(np.arange(n), 1, box, size=(240, 320), **kwargs)


def test_explanation_adds_up_and_names_the_rules():
    truth = one(visible=np.arange(N) % 4 != 3)
    answer = one(np.linspace(0, 40, N))
    found = explanation.explain(answer, truth, "otb", "got10k")
    assert found.first_value == pytest.approx(score(answer, truth, "sot", "otb").values()["success_auc"])
    assert found.second_value == pytest.approx(score(answer, truth, "sot", "got10k").values()["success_auc"])
    assert found.settings.effect.sum() == pytest.approx(found.second_value - found.first_value)
    assert set(found.settings.index) == set(differences(SOT["otb"], SOT["got10k"]))
    assert found.settings.index[0] == "absent"  # a quarter of the frames has no visible truth
    text = str(found)
    assert "success_auc" in text
    assert "absent: miss -> excluded" in text


def test_explanation_of_one_rule_by_hand():
    # The first frame is lost: OTB copies truth there, which is worth 20/21 of one of 40 frames.
    answer = one().replace(boxes=np.where(np.arange(N)[:, None] == 0, one().boxes + 200, one().boxes))
    found = explanation.explain(answer, one(), "otb", "pysot")
    assert found.settings.effect["first_frame"] == pytest.approx(-20 / 21 / N)
    assert explanation.explain(answer, one(), "otb", "otb").settings.empty


def test_explanation_messages():
    with pytest.raises(InputError, match="no metric 'HOTA'"):
        explanation.explain(one(), one(), "otb", "pysot", metric="HOTA")
    with pytest.raises(InputError, match="2 tracks for 1 sequences"):
        explanation.explain([one(), one()], one(), "otb", "pysot")


def test_calibration_by_hand():
    # Two bins: scores of 0.2 are right 1 in 4 times, scores of 0.9 always.
    found = calibration.calibration([0.2] * 4 + [0.9] * 4, [1, 0, 0, 0, 1, 1, 1, 1], bins=2)
    assert found.reliability["count"].tolist() == [4, 4]
    assert found.reliability.accuracy.tolist() == [0.25, 1]
    assert found.ece == pytest.approx((4 * 0.05 + 4 * 0.1) / 8)
    assert found.risk == pytest.approx([0, 0, 0, 0, 0.75 / 5, 1.5 / 6, 2.25 / 7, 3 / 8])
    assert found.coverage[-1] == 1
    best = [0, 0, 0, 0, 0, 1 / 6, 2 / 7, 3 / 8]
    assert found.eaurc == pytest.approx(found.risk.mean() - np.mean(best))


def test_perfect_scores_and_messages():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    assert calibration.calibration(p, rng.random(20_000) < p).ece < 0.02
    assert calibration.calibration([0.9, 0.1], [1, 0]).eaurc == 0
    with pytest.raises(InputError, match=r"must lie in \[0, 1\]"):
        calibration.calibration([3.0], [1])
    with pytest.raises(InputError, match="at least one"):
        calibration.calibration([], [])


def test_calibration_is_read_beside_what_chance_makes_of_it():
    """Perfectly calibrated scores have an error of .2 with 30 answers, .04 with 1000: chance, not the tracker."""
    rng = np.random.default_rng(1)
    for n, about in ((30, 0.21), (100, 0.12), (300, 0.07), (1000, 0.04)):
        found = []
        for _ in range(60):
            p = rng.random(n)
            found.append(calibration.calibration(p, rng.random(n) < p))
        ece, floor = (np.mean([getattr(c, name) for c in found]) for name in ("ece", "ece_floor"))
        assert ece == pytest.approx(about, abs=0.015)
        assert floor == pytest.approx(ece, abs=0.012)
        assert np.mean([c.ece_debiased for c in found]) < 0.5 * ece
    wrong = calibration.calibration([0.9] * 400, [1, 0] * 200)
    assert wrong.ece_debiased > 0.35


def test_a_quality_that_is_no_number_is_named():
    with pytest.raises(InputError, match="Answer 1 has no quality"):
        calibration.calibration([0.5, 0.5], [1, np.nan])


def test_a_tracker_that_seldom_answers_is_named_so():
    seldom = one().between(0, N // 4)
    found = calibration.of_tracks(seldom, one(), "sot")
    assert found.ece == 0
    assert found.answered == pytest.approx(0.25)
    assert calibration.of_tracks(one(), one(), "sot").answered == 1


def test_calibration_of_tracks():
    answer = one(np.where(np.arange(N) < 10, 100.0, 0.0), score=np.where(np.arange(N) < 10, 0.3, 0.8))
    found = calibration.of_tracks(answer, one(), "sot", bins=10)
    assert found.ece == pytest.approx((10 * 0.3 + 30 * 0.2) / N)
    assert found.eaurc == pytest.approx(0)


def test_quality_of_boxes_masks_and_points():
    half = one(20)
    assert quality.of_truth(half, one(), "sot").quality.to_numpy() == pytest.approx(20 / 60)
    assert quality.of_truth(half.renamed({1: 9}), one(), "mot").quality.to_numpy() == pytest.approx(20 / 60)
    extra = Tracks.concat([half, one(150).renamed({1: 2})])
    answers = quality.of_answers(extra, one(), "mot")
    assert answers[answers.object_id == 2].quality.tolist() == [0] * N

    flagged = Tracks.concat([one(), one(150).renamed({1: 2}).replace(score=np.zeros(N))])
    assert set(quality.of_truth(half, flagged, "mot").object_id) == {1}

    def masked(shift):
        mask = np.zeros((4, 40, 40), bool)
        mask[:, 10:20, 10 + shift : 20 + shift] = True
        return Tracks.of(np.arange(4), 1, masks=mask)

    assert quality.of_truth(masked(5), masked(0), "vos").quality.to_numpy() == pytest.approx(50 / 150)

    def pointed(shift):
        frame, point = np.repeat([0, 1, 2], 2), [0, 1] * 3
        rows = PointRows.of(frame, 1, point, [[0, 0], [50, 50 + shift]] * 3, [1, 1, 1, 1, 1, 0])
        return Tracks.of([0, 1, 2], 1, points=rows, size=(256, 256))

    # 6 px are within 8 and 16 px of the five thresholds; frame 0 is the query's.
    assert quality.of_truth(pointed(6), pointed(0), "points").quality.tolist() == [pytest.approx(0.7), 1]
    assert quality.of_answers(pointed(6), pointed(0), "points").quality.tolist() == [1, pytest.approx(0.4), 1]


def test_attributes_by_hand():
    x = np.array([10.0, 12, 60, 62])
    box = np.stack([x, x * 0 + 10, x + np.array([40, 40, 40, 120]), x * 0 + 50], axis=1)
    truth = Tracks.of(np.arange(4), 1, box, visible=[True, True, False, True], size=(60, 150))
    table = attributes.attributes(truth)
    assert table.fast.tolist() == [False, False, True, True]
    assert table.scale_change.tolist() == [False, False, False, True]
    assert table.aspect_change.tolist() == [False, False, False, True]
    assert table.occlusion.tolist() == [False, False, True, False]
    assert table.out_of_view.tolist() == [False, False, False, True]
    assert not table.small.any()
    assert "blur" not in table
    assert "fast" in attributes.sequence_attributes(table)


def test_occlusion_by_another_object():
    behind = Tracks.of([0, 0], [1, 2], [[0, 0, 10, 20], [4, 0, 14, 24]])
    assert attributes.attributes(behind).occlusion.tolist() == [True, False]


def test_blur_and_camera_motion_need_frames(square_video):
    n = len(square_video)
    box = np.array([[20 + 3 * i, 16 + 3 * i // 2, 44 + 3 * i, 40 + 3 * i // 2] for i in range(n)], float)
    truth = Tracks.of(np.arange(n), 1, box, size=square_video.shape[1:3])
    still = attributes.attributes(truth, square_video)
    assert not still.blur.any()
    import cv2

    video = [cv2.GaussianBlur(f, (0, 0), 4) if i == 6 else f for i, f in enumerate(square_video)]
    video[8:] = [np.roll(f, 6, axis=1) for f in video[8:]]
    shaken = attributes.attributes(truth, video)
    assert np.flatnonzero(shaken.blur).tolist() == [6]
    assert shaken.camera_motion[8]
    assert not shaken.camera_motion[:8].any()


def test_breakdown():
    x = np.where(np.arange(N) < 20, 50.0, 50 + 30.0 * np.arange(N))
    box = np.stack([x, x * 0, x + 40, x * 0 + 40], axis=1)
    truth = Tracks.of(np.arange(N), 1, box)
    answer = truth.replace(boxes=box + np.where(np.arange(N) < 20, 0.0, 20.0)[:, None] * [1, 0, 1, 0])
    found = attributes.breakdown(answer, truth, family="sot")
    assert found.loc["fast", "with"] == pytest.approx(20 / 60)
    assert found.loc["fast", "without"] == pytest.approx(1)
    assert found.loc["fast", "rows"] == 20
    assert np.isnan(found.loc["small", "with"])


def crowd(seed, noise=0.0):
    rng = np.random.default_rng(seed)
    rows = [
        (f, i, 30.0 * i + f + rng.normal(0, noise))
        for f in range(30)
        for i in range(1, 6)
        if rng.random() < 0.9
    ]
    f, i, x = np.array(rows).T
    i = np.where((i == 2) & (f > 15) & (noise > 0), 22, i)
    return Tracks.of(f, i, np.stack([x, x * 0, x + 20, x * 0 + 40], axis=1))


def test_motmetrics_finds_its_table():
    pytest.importorskip("motmetrics", reason="motmetrics is not installed: pip install 'vtlab[mot]'")
    pairs = {f"s{seed}": (crowd(seed + 10, 2.0), crowd(seed)) for seed in range(2)}
    accumulators = {name: motmetrics_bridge.accumulator(*pair) for name, pair in pairs.items()}
    table = motmetrics_bridge.summary(accumulators)
    for name, (answer, truth) in pairs.items():
        ours = score(answer, truth, "mot").values()
        assert table.loc[name, "mota"] == pytest.approx(ours["MOTA"], abs=1e-9)
        assert table.loc[name, "idf1"] == pytest.approx(ours["IDF1"], abs=1e-9)
        assert table.loc[name, "num_switches"] == ours["IDSW"]
        assert table.loc[name, "motp"] == pytest.approx(1 - ours["MOTP"], abs=1e-9)  # theirs is a distance
        log = motmetrics_bridge.event_log(answer, truth)
        assert (log.Type == "FP").sum() == ours["CLR_FP"]
        assert (events.events(answer, truth).kind == "false_positive").sum() == ours["CLR_FP"]
    assert "OVERALL" in table.index
    assert "MOTA" in motmetrics_bridge.summary(accumulators, names=True)
    assert isinstance(table, pd.DataFrame)


@pytest.mark.shared
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what pandas says of py-motmetrics' code
@pytest.mark.parametrize(
    "name",
    [
        "TUD-Campus",
        "PETS09-S2L1-169",
        "MOT17-11-DPM",
        *(pytest.param(f"MOT17-{n}-DPM", marks=pytest.mark.slow) for n in ("02", "04", "05", "10")),
    ],
)
def test_motmetrics_gives_the_numbers_that_it_gives_by_itself(shared, tmp_path, monkeypatch, name):
    mm = pytest.importorskip("motmetrics", reason="motmetrics is not installed: pip install 'vtlab[mot]'")
    folder = shared / "data/mot"
    answer = folder / f"results/CEM_MOT15/{name}.txt"
    if not answer.is_file():
        answer = tmp_path / f"{name}.txt"
        with zipfile.ZipFile(folder / "results/Lif_T_MOT17-train.zip") as archive:
            answer.write_bytes(archive.read(f"Lif_T/{name}.txt"))
    monkeypatch.setattr(np, "asfarray", lambda a, dtype=float: np.asarray(a, dtype), raising=False)  # NumPy 2
    theirs = mm.utils.compare_to_groundtruth(
        mm.io.loadtxt(folder / name / "gt/gt.txt", fmt="mot15-2D", min_confidence=1),
        mm.io.loadtxt(answer, fmt="mot15-2D"),
        "iou",
        distth=0.5,
    )
    truth = read_mot(folder / name / "gt/gt.txt", "truth")
    truth = truth.take(truth.score > 0)  # all that it counts: every class, hidden or not
    ours = motmetrics_bridge.accumulator(
        read_mot(answer), truth.replace(visible=np.ones(len(truth), bool)), "plain"
    )
    tables = [mm.metrics.create().compute(a, mm.metrics.motchallenge_metrics) for a in (ours, theirs)]
    np.testing.assert_allclose(*(t.to_numpy() for t in tables), rtol=0, atol=1e-12)
    if name == "TUD-Campus":
        assert tables[0]["num_fragmentations"].tolist() == [7]
        assert tables[0]["motp"].tolist() == pytest.approx([0.277201], abs=5e-7)
