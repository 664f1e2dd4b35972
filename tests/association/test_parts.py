"""Parts of the associators against their definitions: filters, overlaps, assignment, life cycle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vtlab.association.parts.assignment import assign, assign_few, assign_sparse
from vtlab.association.parts.kalman import MOTIONS, BoxFilter
from vtlab.association.parts.lifecycle import Clock, Lifecycle
from vtlab.association.parts.similarity import (
    biou,
    buffered,
    cosine,
    diou,
    gallery_cosine,
    giou,
    iou,
    overlap,
    overlapping,
    overlapping_of_few,
)
from vtlab.errors import InputError
from vtlab.geometry import box_iou

RNG = np.random.default_rng(3)


def random_boxes(n: int) -> np.ndarray:
    low = RNG.uniform(0, 60, (n, 2))
    return np.concatenate([low, low + RNG.uniform(5, 40, (n, 2))], axis=1)


class Textbook:
    """The same filter written with full matrices, one track."""

    def __init__(self, name: str, box: np.ndarray):
        self.filter = BoxFilter(name)
        self.motion = self.filter.motion
        self.x = np.concatenate([self.filter.to_measurement(box[None])[0], np.zeros(4)])
        self.P = np.diag(np.concatenate([self._noise("first"), self._noise("first_velocity")]))

    def _noise(self, field: str) -> np.ndarray:
        unit = np.ones(4)
        if self.motion.scaled:
            w, h = self.x[2], self.x[3]
            unit = np.array([w, h, w, h] if self.motion.coordinates == "xywh" else [h, h, 1, h]) ** 2
        return np.array(getattr(self.motion, field)) * unit

    def predict(self) -> None:
        F = np.eye(8) + np.eye(8, k=4)
        Q = np.diag(np.concatenate([self._noise("drift"), self._noise("drift_velocity")]))
        self.x, self.P = F @ self.x, F @ self.P @ F.T + Q

    def update(self, box: np.ndarray) -> None:
        H, R = np.eye(4, 8), np.diag(self._noise("measured"))
        S = H @ self.P @ H.T + R
        K = self.P @ H.T @ np.linalg.inv(S)
        self.x = self.x + K @ (self.filter.to_measurement(box[None])[0] - H @ self.x)
        self.P = (np.eye(8) - K @ H) @ self.P @ (np.eye(8) - K @ H).T + K @ R @ K.T


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_filter_equals_the_matrix_form(name):
    boxes = random_boxes(3) + 100
    many, single = BoxFilter(name), [Textbook(name, b) for b in boxes]
    many.add(boxes)
    for _ in range(8):
        many.predict()
        seen = boxes + RNG.normal(0, 1, boxes.shape)
        rows = np.array([2, 0])
        many.update(rows, seen[rows])
        for i, t in enumerate(single):
            t.predict()
            if i in rows:
                t.update(seen[i])
    for i, t in enumerate(single):
        np.testing.assert_allclose(many.state[0, i], t.x[:4], rtol=1e-9)
        np.testing.assert_allclose(many.state[1, i], t.x[4:], rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(many.state[2, i], np.diag(t.P)[:4], rtol=1e-8)
        np.testing.assert_allclose(many.state[3, i], np.diag(t.P, 4), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(many.state[4, i], np.diag(t.P)[4:], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_filter_gives_back_its_boxes_and_learns_the_velocity(name):
    box = np.array([[100.0, 50, 140, 130]])
    f = BoxFilter(name)
    f.add(box)
    np.testing.assert_allclose(f.boxes(), box)
    for _ in range(60):
        f.predict()
        box = box + np.array([3, -1, 3, -1])
        f.update(np.array([0]), box)
    np.testing.assert_allclose(f.velocities(), [[3, -1]], atol=0.05)
    f.predict(2.0)
    np.testing.assert_allclose(f.boxes(), box + np.array([6, -2, 6, -2]), atol=0.5)


def test_area_does_not_become_negative():
    f = BoxFilter("xysr")
    f.add(np.array([[0.0, 0, 10, 10]]))
    f.state[1, 0, 2] = -1000
    f.predict()
    assert np.isfinite(f.boxes()).all()


def test_gate_is_the_mahalanobis_distance():
    boxes = random_boxes(2) + 50
    f = BoxFilter("xywh")
    f.add(boxes)
    f.predict()
    other = random_boxes(3) + 50
    got = f.gate(other)
    for i, j in itertools.product(range(2), range(3)):
        size = f.state[0, i, 2:]
        S = f.state[2, i] + np.array(MOTIONS["xywh"].measured) * np.tile(size**2, 2)
        e = f.to_measurement(other[j : j + 1])[0] - f.state[0, i]
        assert got[i, j] == pytest.approx((e**2 / S).sum())
    assert (f.gate(other, position_only=True) <= got + 1e-9).all()


def test_sure_detections_pull_more():
    f, g = BoxFilter("xyah"), BoxFilter("xyah")
    box = np.array([[0.0, 0, 10, 20]])
    for each, score in ((f, 0.95), (g, 0.1)):
        each.add(box)
        each.predict()
        each.update(np.array([0]), box + 5, np.array([score]))
    assert abs(f.boxes()[0, 0] - 5) < abs(g.boxes()[0, 0] - 5)


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_warp_follows_shift_and_zoom(name):
    boxes = random_boxes(4) + 50
    f = BoxFilter(name)
    f.add(boxes)
    f.warp(np.array([[1.1, 0, 7], [0, 1.1, -3]]))
    np.testing.assert_allclose(f.boxes(), boxes * 1.1 + [7, -3, 7, -3], rtol=1e-9)
    assert (f.state[2] > 0).all()


def test_unknown_motion_is_named():
    with pytest.raises(InputError, match="'xyz'.*xywh"):
        BoxFilter("xyz")


def test_overlaps_by_hand():
    a, b = np.array([[0.0, 0, 10, 10]]), np.array([[5.0, 0, 15, 10], [20, 0, 30, 10], [0, 0, 10, 10]])
    np.testing.assert_allclose(iou(a, b), [[50 / 150, 0, 1]])
    np.testing.assert_allclose(giou(a, b), [[50 / 150, -(300 - 200) / 300, 1]])
    np.testing.assert_allclose(diou(a, b), [[50 / 150 - 25 / (225 + 100), -400 / (900 + 100), 1]])
    np.testing.assert_allclose(buffered(a, 0.5), [[-5, -5, 15, 15]])
    np.testing.assert_allclose(biou(a, b, 0.5), [[15 * 20 / (800 - 300), 0, 1]])


def test_iou_equals_geometry():
    a, b = random_boxes(20), random_boxes(30)
    np.testing.assert_allclose(iou(a, b), box_iou(a, b))


def test_unknown_overlap_is_named():
    with pytest.raises(InputError, match="'ciou'.*diou"):
        overlap("ciou")


def test_cosine_of_unknown_is_zero_and_gallery_takes_the_best():
    e = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(cosine(np.array([e[0], [np.nan] * 3], np.float32), e), [[1, 0, 0], [0, 0, 0]])
    gallery = np.full((1, 3, 3), np.nan, np.float32)
    gallery[0, 0], gallery[0, 1] = e[0], e[2]
    np.testing.assert_allclose(gallery_cosine(gallery, e), [[1, 0, 1]])


@pytest.mark.parametrize("most", [1, 10**6])
def test_gallery_is_compared_in_parts(most, monkeypatch):
    monkeypatch.setattr("vtlab.association.parts.similarity._MOST", most)
    gallery = RNG.normal(size=(7, 4, 5)).astype(np.float32)
    gallery[RNG.random((7, 4)) < 0.5] = np.nan
    gallery[3] = np.nan
    vectors = RNG.normal(size=(6, 5)).astype(np.float32)
    cosines = np.where(np.isnan(gallery[..., :1]), -np.inf, gallery @ vectors.T).max(axis=1)
    want = np.where(np.isinf(cosines), -1.0, cosines)
    np.testing.assert_allclose(gallery_cosine(gallery, vectors), want, rtol=1e-5)
    vectors[2] = np.nan
    assert (gallery_cosine(gallery, vectors)[:, 2] == -1).all()


def brute(value: np.ndarray) -> float:
    n, m = value.shape
    if n > m:
        value, n, m = value.T, m, n
    return max(sum(value[i, p[i]] for i in range(n)) for p in itertools.permutations(range(m), n))


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(0, 1)))
def test_assignment_is_optimal(similarity):
    rows, columns = assign(similarity, 0.0)
    assert similarity[rows, columns].sum() == pytest.approx(brute(similarity))
    assert len(set(columns.tolist())) == len(columns)
    rows, columns = assign(similarity, 0.4, rule="gain")
    gain = np.maximum(similarity - 0.4, 0)
    assert gain[rows, columns].sum() == pytest.approx(brute(gain))
    assert (similarity[rows, columns] > 0.4).all()


def test_the_two_rules_differ():
    similarity = np.array([[0.6, 0.5], [0.55, 0.0]])
    assert assign(similarity, 0.52)[0].tolist() == [1]  # 0.5 + 0.55 is the best sum; then 0.5 is dropped
    assert assign(similarity, 0.52, rule="gain")[1].tolist() == [0]
    assert assign(similarity, 0.52, rule="gain")[0].tolist() == [0]


def test_life_cycle():
    life = Lifecycle(lost_seconds=0.1, min_hits=2, drop_tentative=True)
    life.add(2, 0.0)
    life.misses += 1
    life.observe(np.array([0]), 0.04)
    life.number(np.array([0]))
    assert life.id.tolist() == [1, 0]
    alive = life.alive(0.04)
    assert alive.tolist() == [0]
    life.keep(alive)
    life.misses += 1
    assert life.alive(0.14) is None
    assert life.alive(0.15).tolist() == []


@pytest.mark.parametrize("bad", [{"lost_seconds": -1.0}, {"min_hits": 0}, {"lost_seconds": float("nan")}])
def test_life_cycle_refuses_senseless_rules(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        Lifecycle(**{"lost_seconds": 1.0, "min_hits": 2, "drop_tentative": True, **bad})


def test_clock_runs_in_either_direction_but_does_not_turn():
    clock = Clock("x")
    for i, t in enumerate((5.0, 4.9, 4.7)):
        clock.tick(t, i)
    assert clock.now == pytest.approx(0.3)
    with pytest.raises(InputError, match=r"turns round at frame 7.*reset\(\)"):
        clock.tick(4.8, 7)
    with pytest.raises(InputError, match="nan"):
        clock.tick(float("nan"), 8)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 10_000))
def test_sparse_assignment_equals_the_dense_one(n, m, seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 100, (n + m, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 30, (n + m, 2))], axis=1)
    a, b = boxes[:n], boxes[n:]
    rows, columns, values = overlapping(a, b)
    few = overlapping_of_few(a, b)
    assert sorted(zip(*few, strict=True)) == sorted(
        zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True)
    )
    dense = np.zeros((n, m))
    dense[rows, columns] = values
    np.testing.assert_allclose(dense, iou(a, b))
    for rule in ("all", "gain"):
        want = set(zip(*(x.tolist() for x in assign(dense, 0.2, rule=rule)), strict=True))
        got = set(
            zip(
                *(x.tolist() for x in assign_sparse(rows, columns, values, (n, m), 0.2, rule=rule)),
                strict=True,
            )
        )
        assert got == want
        told = assign_few(*few, (n, m), 0.2, rule=rule)
        assert set(zip(*(x.tolist() for x in told), strict=True)) == want


def test_sparse_assignment_of_a_large_crowd_equals_the_dense_one(monkeypatch):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 300, (300, 2))
    a = np.concatenate([low, low + 40], axis=1)
    b = a[rng.permutation(300)] + rng.normal(0, 4, (300, 4))
    rows, columns, values = overlapping(a, b)
    monkeypatch.setattr("vtlab.association.parts.assignment._DENSE", 100)
    got = assign_sparse(rows, columns, values, (300, 300), 0.1, rule="all")
    want = assign(iou(a, b), 0.1)
    assert set(zip(*got, strict=True)) == set(zip(*want, strict=True))


def test_what_is_worth_as_much_as_its_rivals_together_is_left_to_the_solver():
    """Two tracks and two detections: 0.6 is less than 0.4 + 0.4; a third pair stands alone."""
    rows, columns = np.array([0, 0, 1, 2]), np.array([0, 1, 0, 2])
    got = assign_sparse(rows, columns, np.array([0.6, 0.4, 0.4, 0.3]), (3, 3), 0.2, rule="all")
    assert set(zip(*(x.tolist() for x in got), strict=True)) == {(0, 1), (1, 0), (2, 2)}
    got = assign_sparse(rows, columns, np.array([0.9, 0.4, 0.4, 0.3]), (3, 3), 0.2, rule="all")
    assert set(zip(*(x.tolist() for x in got), strict=True)) == {(0, 0), (2, 2)}


@pytest.mark.parametrize("drop", [True, False])
def test_tracks_that_go_on_are_found_from_what_is_known_of_all(drop):
    """The rows that stay are those by each track's own time and number, however tracks come, are seen and go."""
    rng, now = np.random.default_rng(0), 0.0
    life = Lifecycle(lost_seconds=0.5, min_hits=3, drop_tentative=drop)
    for _ in range(400):
        now += float(rng.choice([0.04, 0.04, 0.3]))
        life.misses += 1
        seen = (rng.random(len(life)) < 0.7).nonzero()[0]
        life.observe(seen, now)
        life.number(seen[life.hits[seen] >= 3])
        gone = (life.last < now - 0.5 - 1e-3) | (drop & (life.id <= 0) & (life.misses > 0))
        found = life.alive(now)
        assert (found is None) == (not gone.any())
        if found is not None:
            assert found.tolist() == (~gone).nonzero()[0].tolist()
            life.keep(found)
        life.add(int(rng.integers(0, 3)), now)
