"""VOT's measures: arithmetic by hand, and the toolkit's curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vtlab.errors import InputError
from vtlab.formats.regions import read_regions
from vtlab.metrics import vot, vot_measures
from vtlab.metrics.vot_regions import region_overlaps
from vtlab.tracks import Tracks

REGIONS = json.loads((Path(__file__).parent / "golden/vot_regions.json").read_text())
GOLDEN = json.loads((Path(__file__).parent / "golden/vot_toolkit.json").read_text())


def test_supervised_by_hand():
    # One sequence of 40 frames, one failure; 10 frames after each start do not count: 5 frames of 0.5, 10 of 0.8.
    runs = [[[1.0] * 10 + [0.5] * 5, [1.0] * 10 + [0.8] * 10]]
    found = vot.supervised(runs, [[True, False]], [40])
    assert found.accuracy == pytest.approx((5 * 0.5 + 10 * 0.8) / 15)
    assert found.robustness == 1
    assert found.reliability == pytest.approx(np.exp(-30 * 1 / 40))


def test_expected_overlap_by_hand():
    # A run that fails after 2 frames of 0.6 is padded with 0; one of 0.9 that ends well counts up to its length.
    curve = vot.expected_overlap_curve([[1, 0.6, 0.6], [1, 0.9, 0.9, 0.9, 0.9]], [True, False])
    assert curve == pytest.approx([1, 0.75, 0.75, (1.2 / 3 + 0.9) / 2, (1.2 / 4 + 0.9) / 2])
    assert vot.expected_average_overlap([[1, 0.5, 0.5]], [False], 1, 2) == pytest.approx(0.5)
    with pytest.raises(InputError, match="at least one run"):
        vot.expected_overlap_curve([], [])


def test_toolkit_curves():
    curve = vot.expected_overlap_curve(GOLDEN["runs"], GOLDEN["failed"])
    assert curve == pytest.approx(GOLDEN["supervised"], abs=2e-7)  # the toolkit sums in float32
    partial, active = vot_measures.average_curve(GOLDEN["runs"], GOLDEN["failed"], 25)
    assert partial == pytest.approx(GOLDEN["partial"][0], abs=1e-12)
    assert active.tolist() == GOLDEN["partial"][1]


def test_progress_and_anchors_by_hand():
    run = [0.8] * 20 + [0.0] * 9 + [0.8] + [0.0] * 30
    assert vot.progress(run) == 30
    assert vot.progress(run, absent=[False] * 30 + [True] * 30) == 60
    found = vot.anchors([[run, [0.5] * 40]], [60])
    assert found.robustness == pytest.approx((30 + 40) / 100)
    assert found.accuracy == pytest.approx((21 * 0.8 + 40 * 0.5) / 70)


def test_anchor_expected_overlap():
    # A perfect run: the curve is 1 from length 1 on.
    assert vot.anchor_expected_overlap([[[1.0] * 50]], 10, 40) == 1
    # Lost from frame 5 on: lengths 10 ... 39 see 4 frames of 1 among j, then (beyond the run's end) 4 / (j - 1).
    run = [1.0] * 5 + [0.0] * 25
    expected = [4 / j if j < 30 else 4 / (j - 1) for j in range(10, 40)]
    assert vot.anchor_expected_overlap([[run]], 10, 40) == pytest.approx(np.mean(expected))


def test_long_term_by_hand():
    # Two visible frames found with overlap 0.5 (sure), one absent frame answered (less sure), one missed.
    found = vot.long_term([[0.5, 0.5, 0.0, 0.0]], [[0.9, 0.9, 0.3, np.nan]], [[True, True, False, True]])
    assert (found.precision, found.recall) == pytest.approx((0.5, 1 / 3))
    assert found.f == pytest.approx(2 * 0.5 / 3 / (0.5 + 1 / 3))
    assert found.threshold == 0.9
    assert vot_measures.thresholds(np.array(GOLDEN["scores"]), 22)[1:-1].tolist() == GOLDEN["thresholds"]


def test_absence_quality_by_hand():
    overlap = np.array([0.6, 0.0, 0.0, 0.6] + [0.0] * 12)
    visible = np.array([True] * 4 + [False] * 12)
    answered = np.array([True, True, False, True] + [False] * 9 + [True] * 3)
    found = vot.absence_quality(overlap, answered, visible)
    assert found == {"R": 0.5, "NRE": 0.25, "DRE": 0.25, "ADQ": 0.75}
    assert np.isnan(vot.absence_quality([0.5], [True], [True])["ADQ"])


def test_numbers_of_tracks_that_were_started_once():
    n = 60
    box = np.tile([10.0, 10, 50, 50], (n, 1))
    truth = Tracks.of(np.arange(n), 1, box, visible=np.arange(n) < 45)
    # Followed exactly for 30 frames, then lost to the side; says nothing on the last 10 frames.
    answer = Tracks.of(
        np.arange(50),
        1,
        box[:50] + np.where(np.arange(50) < 30, 0, 100)[:, None],
        np.where(np.arange(50) < 30, 0.9, 0.2),
    )
    found = vot.of_tracks([(answer, truth)])
    assert found["accuracy"] == 1
    assert found["robustness"] == pytest.approx(30 / 60)  # of all frames, as the toolkit has it
    assert (found["lt_precision"], found["lt_recall"]) == pytest.approx((1, 30 / 45))
    assert (found["R"], found["NRE"], found["DRE"]) == pytest.approx((30 / 45, 0, 15 / 45))
    assert found["ADQ"] == pytest.approx(10 / 15)
    perfect = vot.of_tracks([(truth, truth)])
    assert (perfect["eao"], perfect["lt_f"], perfect["ADQ"]) == (1, 1, 1)


def regions(lines, folder):
    (folder / "regions.txt").write_text("\n".join(lines))
    return read_regions(folder / "regions.txt")


@pytest.mark.parametrize("name", ["free", "bounded"])
def test_overlaps_of_regions_are_the_toolkits(tmp_path, name):
    first, second = (regions(side, tmp_path) for side in zip(*REGIONS["overlaps"]["pairs"], strict=True))
    size = tuple(REGIONS["size"][::-1]) if name == "bounded" else None
    assert region_overlaps(first, second, size).tolist() == REGIONS["overlaps"][name]
    with pytest.raises(InputError, match="as many regions as truth, got 1 and 2"):
        region_overlaps(first[:1], second[:2])


def test_the_supervised_experiment_is_the_toolkits(tmp_path):
    size = tuple(REGIONS["size"][::-1])
    results = [
        vot.SupervisedResults(
            regions(s["truth"], tmp_path), [regions(a, tmp_path) for a in s["answers"]], size
        )
        for s in REGIONS["sequences"]
    ]
    found = vot.supervised_experiment(results, 10, 40)
    assert found.ar.accuracy == pytest.approx(REGIONS["accuracy"], abs=1e-12)
    assert found.ar.robustness == pytest.approx(REGIONS["failures"], abs=1e-12)
    assert found.ar.reliability == pytest.approx(REGIONS["reliability"], abs=1e-12)
    assert found.curve == pytest.approx(REGIONS["curve"], abs=5e-7)  # the toolkit sums in float32
    assert found.eao == pytest.approx(REGIONS["eao"], abs=5e-7)
