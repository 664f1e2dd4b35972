"""Rules that every associator keeps, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv

from vtlab.errors import InputError, RegistryError
from vtlab.registry import ASSOCIATORS
from vtlab.testing.streams import detections, frame

NAMES = ASSOCIATORS.names()
LIGHT = {"botsort-reid": {"embedder": "histogram"}, "supervisely-botsort": {"with_reid": False}}


def make(name: str, **params):
    """The associator without weights; `lost_seconds` in the words of each."""
    if name == "supervisely-botsort" and "lost_seconds" in params:
        params["track_buffer"] = round(params.pop("lost_seconds") * 30)
    return ASSOCIATORS.create(name, **{**LIGHT.get(name, {}), **params})


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


def test_an_empty_frame_advances_time(name):
    associator = make(name, lost_seconds=0.5)
    box = [[10, 10, 50, 90]]
    ids = [associator.update(detections(box), frame(i)).tracker_id[0] for i in range(8)]
    assert ids[-1] == 1
    for i in range(8, 13):
        assert len(associator.update(sv.Detections.empty(), frame(i)).tracker_id) == 0
    back = [associator.update(detections(box), frame(i)).tracker_id[0] for i in range(13, 18)]
    assert set(back) <= {1, -1}
    assert back[-1] == 1
    for i in range(18, 40):
        associator.update(sv.Detections.empty(), frame(i))
    again = [associator.update(detections(box), frame(i)).tracker_id[0] for i in range(40, 48)]
    assert 1 not in again
    assert again[-1] == 2


def test_loss_is_measured_in_seconds(name):
    for fps, survives in ((30.0, True), (3.0, False)):
        associator = make(name, lost_seconds=1.0)
        box = [[10, 10, 50, 90]]
        for i in range(8):
            associator.update(detections(box), frame(i, fps))
        for i in range(8, 18):
            associator.update(sv.Detections.empty(), frame(i, fps))
        ids = [associator.update(detections(box), frame(i, fps)).tracker_id[0] for i in range(18, 25)]
        assert (1 in ids) == survives


class Tags:
    """Appearance at no cost: the same vector for the same row."""

    threshold = 0.8

    def embed(self, image, boxes):
        vectors = np.random.default_rng(len(boxes)).normal(size=(len(boxes), 8)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_five_thousand_detections_on_one_frame(name):
    looks = name in ("deepsort", "strongsort", "deep-ocsort", "botsort-reid")
    n = 2500 if looks else 5000  # appearance looks at all pairs, which takes seconds with 5000
    params = {"embedder": Tags()} if looks else {}
    associator = make(name, **params, **({} if name == "supervisely-botsort" else {"min_hits": 1}))
    low = np.random.default_rng(0).uniform(0, 5000, (n, 2))
    many = detections(np.concatenate([low, low + 20], axis=1))
    first, second = (associator.update(many, frame(i)).tracker_id for i in range(2))
    assert sorted(second) == list(range(1, n + 1))
    assert (first == second).mean() > 0.99 or (first < 0).all()  # OC-SORT numbers on the second frame


def test_time_that_turns_round(name):
    associator = make(name)
    associator.update(sv.Detections.empty(), frame(5))
    associator.update(sv.Detections.empty(), frame(4))
    with pytest.raises(InputError, match="time turns round at frame 6"):
        associator.update(sv.Detections.empty(), frame(6))
    associator.reset()
    associator.update(sv.Detections.empty(), frame(6))


def test_classes_can_be_kept_apart():
    for name in ("sort", "bytetrack"):
        associator = make(name, class_aware=True, min_hits=1)
        first = associator.update(detections([[10, 10, 50, 90]], class_id=[0]), frame(0)).tracker_id
        second = associator.update(detections([[10, 10, 50, 90]], class_id=[1]), frame(1)).tracker_id
        assert first.tolist() == [1]
        assert second.tolist() == [2]


def test_velocity_is_in_pixels_per_second():
    associator = make("bytetrack", velocities=True)
    for i in range(30):
        x = 10 + 2 * i
        found = associator.update(detections([[x, 10, x + 40, 90], [300, 300, 200, 400]]), frame(i, fps=10))
    assert found.data["velocity"][0] == pytest.approx([20, 0], abs=0.5)
    assert np.isnan(found.data["velocity"][1]).all()


def test_late_tells_what_a_track_saw_before_it_was_confirmed():
    associator = make("bytetrack", min_hits=3, backfill=True)
    box = [[10, 10, 50, 90]]
    for i in range(2):
        assert associator.update(detections(box), frame(i)).tracker_id.tolist() == [-1]
    assert associator.waiting() == {0, 1}
    associator.update(detections([[300, 300, 200, 400], *box]), frame(2))
    assert associator.late == [(0, 0, 1), (1, 0, 1)]
    assert associator.waiting() == set()


def test_parameters_are_checked():
    with pytest.raises(RegistryError, match="hihg"):
        make("bytetrack", hihg=1)
    with pytest.raises(InputError, match="min_hits"):
        make("sort", min_hits=0)
    with pytest.raises(InputError, match="overlap|similarity"):
        make("sort", overlap="ciou")
    with pytest.raises(InputError, match="fps"):
        make("sort", fps=0)
