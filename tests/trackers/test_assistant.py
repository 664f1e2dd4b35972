"""The labelling assistant: discovers, confirms, follows, loses, finds again; a person's objects stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import supervision as sv

from vtlab.comparison import compare
from vtlab.datasets.synthetic import synthetic
from vtlab.detectors.callable import CallableDetector
from vtlab.detectors.noisy_truth import NoisyTruth
from vtlab.errors import InputError, PromptError
from vtlab.prompts import BoxPrompt, PointPrompt
from vtlab.trackers.compose.assistant import combinations
from vtlab.trackers.create import create_tracker
from vtlab.trackers.loop import track

COLOURS = {"red": (230, 30, 30), "blue": (30, 30, 230)}
SIDE = 24


def scene(places: dict[str, list[tuple[int, int] | None]]) -> np.ndarray:
    """Squares of a colour on a textured ground; None = not there."""
    n = len(next(iter(places.values())))
    rng = np.random.default_rng(0)
    ground = np.kron(rng.integers(60, 140, (12, 20, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    video = np.repeat(ground[None], n, axis=0)
    texture = (np.kron(rng.integers(0, 2, (6, 6, 1)), np.ones((4, 4, 1))) * 25).astype(np.uint8)
    for name, path in places.items():
        for i, place in enumerate(path):
            if place is not None:
                x, y = place
                video[i, y : y + SIDE, x : x + SIDE] = np.array(COLOURS[name], np.uint8) - texture
    return video


def by_colour(image: np.ndarray) -> np.ndarray:
    """Boxes of the squares: (N, 6)."""
    rows = []
    for number, (channel, other) in enumerate(((0, 2), (2, 0))):
        ys, xs = np.nonzero((image[..., channel] > 190) & (image[..., other] < 60))
        if len(xs) > 50:
            rows.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, 0.9, number])
    return np.array(rows).reshape(-1, 6)


class Looks(CallableDetector):
    """Counts how often it looks."""

    def __init__(self, function=by_colour):
        super().__init__(function=function, names=tuple(COLOURS))
        self.frames: list[int] = []

    def detect_frame(self, frame):
        self.frames.append(frame.index)
        return super().detect_frame(frame)


def assistant(detector=None, **params):
    params = {"follower": "ncc", "every": 0.2, "confirm": 2, **params}
    return create_tracker("assistant", detector=detector or Looks(), **params)


RIGHT = [(10 + 2 * i, 20) for i in range(40)]
LATE = [None] * 15 + [(150 - 2 * i, 70) for i in range(25)]


def test_objects_are_discovered_confirmed_and_followed():
    detector = Looks()
    tracker = assistant(detector)
    tracks = track(scene({"red": RIGHT, "blue": LATE}), None, tracker, progress=False)
    assert tracks.labels == {1: "red", 2: "blue"}
    assert tracks.of_object(1).frame.tolist() == list(range(40))
    assert 15 < tracks.of_object(2).frame[0] <= 23
    for object_id, path in ((1, RIGHT), (2, LATE)):
        rows = tracks.of_object(object_id)
        truth = np.array([path[f] for f in rows.frame])
        assert np.abs(rows.boxes[:, :2] - truth).max() < 4
    assert set(tracks.source) == {"tracked", "detected"}
    assert len(detector.frames) < 15  # every 0.2 s, and while something waits to be confirmed
    report = tracker.report()
    assert report[["object_id", "event", "reason"]].to_numpy().tolist() == [
        [1, "born", "callable"],
        [2, "born", "callable"],
    ]


def test_a_flash_is_not_confirmed():
    def flash(image):
        return by_colour(image) if image[0, 0, 0] else [[5, 5, 30, 30, 0.9, 0]]

    video = scene({"red": [(20, 20)] * 20})
    video[:, 0, 0] = 1
    video[6, 0, 0] = 0
    assert track(video, None, assistant(Looks(flash)), progress=False).object_ids.tolist() == [1]


def test_lost_and_found_by_appearance_elsewhere():
    path = [(10 + 2 * i, 20) for i in range(15)] + [None] * 30 + [(150, 80)] * 15
    blue = [None] * 30 + [(20, 80)] * 30
    tracker = assistant(lost_looks=2)
    tracks = track(scene({"red": path, "blue": blue}), None, tracker, progress=False)
    assert tracks.labels == {1: "red", 2: "blue"}
    assert tracks.of_object(1).frame[-1] == 59
    events = tracker.report()
    assert events[events.object_id == 1].event.tolist() == ["born", "lost", "found"]
    assert events[events.event == "found"].reason.tolist() == ["appearance"]


def test_a_lost_object_is_forgotten_after_a_while():
    path = [(20, 20)] * 10 + [None] * 40 + [(20, 20)] * 10
    tracks = track(scene({"red": path}), None, assistant(lost_looks=2, forget=0.5), progress=False)
    assert tracks.object_ids.tolist() == [1, 2]


def test_what_a_person_drew_is_never_deleted_or_moved_by_a_detector():
    video = scene({"red": [(20, 20)] * 30})
    prompts = [
        BoxPrompt((18, 18, 46, 46), object_id=7, label="mine"),
        BoxPrompt((120, 60, 150, 100), object_id=9, label="ground"),
    ]
    tracker = assistant(lost_looks=1)
    tracks = track(video, prompts, tracker, progress=False)
    assert tracks.labels == {7: "mine", 9: "ground"}
    assert len(tracks) == 60
    assert tracks.at(0).source.tolist() == ["manual", "manual"]
    assert set(tracks.source[2:]) == {"tracked"}
    np.testing.assert_allclose(tracks.of_object(7).boxes[-1], [18, 18, 46, 46], atol=2)
    assert set(tracker.report().event) == {"drawn"}


def test_new_ids_follow_the_persons_and_corrections_are_taken():
    video = scene({"red": [(20, 20)] * 30, "blue": [(100, 60)] * 30})
    prompts = [BoxPrompt((20, 20, 44, 44), object_id=5), BoxPrompt((21, 21, 45, 45), object_id=5, frame=12)]
    tracker = assistant()
    tracks = track(video, prompts, tracker, progress=False)
    assert tracks.object_ids.tolist() == [5, 6]
    np.testing.assert_array_equal(tracks.at(12).of_object(5).boxes, [[21, 21, 45, 45]])
    assert tracker.report().event.tolist() == ["drawn", "born", "corrected"]


def test_duplicates_are_removed():
    video = scene({"red": RIGHT})
    double = [BoxPrompt((10, 20, 34, 44), object_id=1)]
    shaken = Looks(
        lambda image: np.concatenate([by_colour(image), by_colour(image) + np.array([[1, 1, 1, 1, -0.1, 0]])])
    )
    tracks = track(video, double, assistant(shaken), progress=False)
    assert tracks.object_ids.tolist() == [1]


def test_several_detectors_are_joined():
    red = Looks(lambda image: by_colour(image)[:1])
    both = Looks()
    tracks = track(
        scene({"red": [(20, 20)] * 12, "blue": [(100, 60)] * 12}),
        None,
        assistant([red, both]),
        progress=False,
    )
    assert tracks.labels == {1: "red", 2: "blue"}


def test_findings_of_several_are_fused_and_named():
    """Two that miss in opposite directions are right in the mean; who saw it is in the report."""
    wide = Looks(lambda image: by_colour(image)[:1] + np.array([[2, 0, 2, 0, 0, 0]]))
    back = Looks(lambda image: by_colour(image)[:1] - np.array([[2, 0, 2, 0, 0, 0]]))
    video, path = scene({"red": [(30, 20)] * 12}), [(30, 20)] * 12
    made = assistant([wide, back])
    fused = track(video, None, made, progress=False)
    alone = track(video, None, assistant(wide), progress=False)
    true = np.array([path[5][0], path[5][1]])
    assert np.abs(fused.at(5).boxes[0, :2] - true).max() < np.abs(alone.at(5).boxes[0, :2] - true).max() - 1
    assert "+" in str(made.report()["reason"].iloc[0])
    with pytest.raises(InputError, match="trust=.*for each of 2"):
        assistant([wide, back], trust=[1])


def test_each_combination_of_detectors_is_compared():
    truth = synthetic(seed=2, objects=3, seconds=1.0, size=(240, 136), difficulty="easy")
    good, bad = (NoisyTruth(truth=truth.truth, miss=m, jitter=0.02, seed=1) for m in (0.0, 0.8))
    good.card, bad.card = (replace(good.card, name=n) for n in ("good", "bad"))
    trackers = combinations([good, bad], follower="identity", every=0.1)
    assert list(trackers) == ["good", "bad", "good+bad"]
    found = compare([truth], trackers, progress=False).table["HOTA"]
    assert found["good"] > found["bad"]
    assert found["good+bad"] > found["bad"]
    with pytest.raises(InputError, match="of different names"):
        combinations(["hog", "hog"])


def test_masks_of_a_mask_follower_are_kept():
    tracks = track(scene({"red": RIGHT[:12]}), None, assistant(follower="flow"), progress=False)
    assert tracks.rle is not None
    assert tracks.of_object(1).frame[-1] == 11


def test_removal_and_a_second_run():
    tracker = assistant()
    video = scene({"red": RIGHT, "blue": LATE})
    cut = track(video, None, tracker, remove={1: 20}, progress=False)
    assert cut.of_object(1).frame.max() == 19
    first, second = (track(video, None, tracker, progress=False) for _ in range(2))
    np.testing.assert_array_equal(first.boxes, second.boxes)
    assert len(tracker.report()) == 2


def test_odd_detections_begin_nothing_and_a_video_without_any_ends():
    odd = [[5, 5, 5, 9], [-90, -90, -50, -60], [20, 20, 44, 44]]
    video = scene({"red": [(20, 20)] * 8})
    finds = Looks(lambda image: sv.Detections(xyxy=np.array(odd, float)))  # and no confidences
    tracks = track(video, None, assistant(finds), progress=False)
    last = tracks.at(7)
    assert [20, 20, 44, 44] in last.boxes.round().tolist()
    assert np.isfinite(tracks.boxes).all()
    assert not len(track(video, None, assistant(Looks(lambda image: [])), progress=False))


def test_parameters_and_prompts_are_checked():
    with pytest.raises(InputError, match="can't follow"):
        assistant(follower="bytetrack", follower_params={"detector": Looks()})
    with pytest.raises(InputError, match="every"):
        assistant(every=-1)
    with pytest.raises(InputError, match="confirm"):
        assistant(confirm=0)
    with pytest.raises(InputError, match="exactly one"):
        assistant([Looks(), Looks()], detector_params={"confidence": 0.5})
    with pytest.raises(PromptError, match="assistant"):
        track(scene({"red": RIGHT}), PointPrompt(((3, 3),)), assistant(), progress=False)
