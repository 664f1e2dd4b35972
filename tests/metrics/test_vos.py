"""Mask metrics: arithmetic by hand, edge cases, properties, and davis2017-evaluation's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.errors import InputError
from vtlab.metrics import vos
from vtlab.metrics.rules import VOS

GOLDEN = json.loads((Path(__file__).parent / "golden/vos_davis.json").read_text())


def square(x, y, side=10, shape=(60, 80)):
    mask = np.zeros(shape, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_hand_worked():
    # A 10 x 10 square shifted by 5 pixels: 50 shared pixels of 150.
    j, f = vos.measure(square(25, 20), square(20, 20))
    assert j == pytest.approx(50 / 150)
    # The diagonal is 100 px, so boundaries agree within ceil(0.8) = 1 px. The boundary of a square is the ring of
    # 11 x 11 minus 9 x 9 = 40 pixels (half a pixel up and left). Of the moved one, the pixels within 1 px of the
    # true ring: 24 ... 30 on its top and bottom rows (7 each), and the ends of its left column, next to those rows.
    assert f == pytest.approx((2 * 7 + 2) / 40)
    assert vos.measure(square(21, 20), square(20, 20))[1] == 1


def test_empty_masks():
    nothing = np.zeros((60, 80), bool)
    assert vos.measure(nothing, nothing) == (1, 1)
    assert vos.measure(nothing, square(5, 5)) == (0, 0)
    assert vos.measure(square(5, 5), nothing) == (0, 0)
    assert vos.evaluate_object([None, square(1, 1)], [None, None]).values()["J"] == 0.5


def test_object_that_leaves_the_image_has_no_boundary_there():
    full = np.ones((60, 80), bool)
    assert vos.measure(full, full) == (1, 1)
    assert vos.region_similarity(full, square(0, 0)) == pytest.approx(100 / 4800)


def test_void_pixels_are_not_judged():
    void = square(25, 20)
    assert vos.region_similarity(square(20, 20, 15), square(20, 20), void) < 1
    inside = np.zeros((60, 80), bool)
    inside[20:30, 20:25] = True
    assert vos.measure(square(20, 20), inside, void) == (1, 1)


def test_sizes_must_agree():
    with pytest.raises(InputError, match=r"\(60, 80\).*\(60, 81\)"):
        vos.measure(np.zeros((60, 80)), np.zeros((60, 81)))


def test_decay_beyond_256_frames():
    # 400 frames that lose exactly 0.001 a frame. Quarters end at frames 0, 100, 200, 299 and 399, both ends
    # included: means 1 - 0.050 and 1 - 0.349. The official code wraps 299 and 399 to 43 and 143 and gives 0.043.
    series = 1 - 0.001 * np.arange(400)
    assert vos.decay(series) == pytest.approx((1 - 0.050) - (1 - 0.349), abs=1e-12)


def test_perfect_answer_of_300_frames_and_recall():
    masks = [square(i % 60, i % 40) for i in range(300)]
    perfect = vos.evaluate_object(masks, masks).values()
    assert perfect == {"J&F": 1, "J": 1, "J_recall": 1, "J_decay": 0, "F": 1, "F_recall": 1, "F_decay": 0}
    half = vos.evaluate_object([m if i < 150 else None for i, m in enumerate(masks)], masks).values()
    assert half["J"] == half["J_recall"] == 0.5
    assert half["J_decay"] == 1


def test_which_frames_count():
    assert vos.counted_frames(range(5), 0, 4, VOS["davis"]).tolist() == [1, 2, 3]
    assert vos.counted_frames([0, 5, 10], 5, 10, VOS["youtube-vos"]).tolist() == [10]
    assert np.isnan(vos.evaluate_object([], []).values()["J&F"])
    one = {"J": 1.0} | dict.fromkeys(set(vos.NAMES) - {"J"}, 0.5)
    assert vos.combine([one, dict.fromkeys(vos.NAMES, np.nan)])["J"] == 1


def test_seen_and_unseen_categories():
    def scores(j, f):
        return dict.fromkeys(vos.NAMES, 0.0) | {"J": j, "F": f}

    objects = [("dog", scores(0.8, 0.6)), ("dog", scores(0.6, 0.6)), ("whale", scores(0.4, 0.2))]
    found = vos.combine_seen_unseen(objects, {"dog", "cat"})
    assert found == pytest.approx(
        {"G": (0.7 + 0.6 + 0.4 + 0.2) / 4, "J_seen": 0.7, "F_seen": 0.6, "J_unseen": 0.4, "F_unseen": 0.2}
    )
    assert np.isnan(vos.combine_seen_unseen(objects[:2], {"dog"})["G"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(0, 20), st.integers(0, 20))
def test_bounds_symmetry_and_translation(seed, dx, dy):
    rng = np.random.default_rng(seed)
    a, t = (np.zeros((70, 90), bool) for _ in range(2))
    a[10:40, 10:50] = rng.random((30, 40)) < 0.5
    t[10:40, 10:50] = rng.random((30, 40)) < 0.5
    j, f = vos.measure(a, t)
    assert 0 <= j <= 1
    assert 0 <= f <= 1
    assert vos.measure(t, a) == pytest.approx((j, f))
    moved = [np.roll(m, (dy, dx), (0, 1)) for m in (a, t)]
    assert vos.measure(*moved) == pytest.approx((j, f))


@pytest.mark.shared
@pytest.mark.parity
@pytest.mark.parametrize("sequence", sorted(GOLDEN))
def test_official_code_on_osvos(shared, sequence):
    from PIL import Image

    frames = sorted((shared / "data/vos/Annotations/480p" / sequence).glob("*.png"))[1:-1]
    truth = [np.array(Image.open(p)) > 0 for p in frames]
    answer = [np.array(Image.open(shared / "data/vos/results_osvos" / sequence / p.name)) > 0 for p in frames]
    scores = vos.evaluate_object(answer, truth)
    assert scores.j == pytest.approx(GOLDEN[sequence]["J"], abs=1e-12)
    assert scores.f == pytest.approx(GOLDEN[sequence]["F"], abs=1e-12)
    expected = json.loads((shared / "data/expected.json").read_text())["davis2016_osvos_official_code"][
        sequence
    ]
    values = scores.values()
    for name in ("J", "F"):
        assert values[name] == pytest.approx(expected[f"{name}_mean"], abs=5.1e-7)
        assert values[f"{name}_recall"] == pytest.approx(expected[f"{name}_recall"], abs=5.1e-7)
