"""Recordings and noisy truth: what was seen comes back as it was, once for each video, detector and parameters."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv

import vtlab
from vtlab.contracts import Detector
from vtlab.detectors.callable import CallableDetector
from vtlab.detectors.motion import Motion
from vtlab.detectors.noisy_truth import NoisyTruth
from vtlab.detectors.recorded import RecordedDetector, record
from vtlab.errors import FormatError, InputError, VtlabError
from vtlab.registry import DETECTORS, register_detector
from vtlab.tracks import Tracks
from vtlab.video import open_video


@pytest.fixture
def video():
    frames = np.full((5, 40, 60, 3), 50, np.uint8)
    for i in range(5):
        frames[i, 10:20, 5 * i : 5 * i + 10] = 250
    return open_video(frames)


@register_detector("counting", family="detector")
class Counting(Detector):
    """A detector that counts how often it is asked."""

    calls = 0
    names = ("a", "b")

    def detect(self, frames):
        type(self).calls += len(frames)
        return CallableDetector(function=square, names=self.names).detect(frames)


def square(image):
    ys, xs = np.nonzero(image[..., 0] == 250)
    if not len(ys):  # it stays registered, so the contract's tests may ask it about a blank frame
        return sv.Detections.empty()
    box = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], dtype=float)
    return sv.Detections(
        xyxy=box, mask=(image[..., 0] == 250)[None], class_id=np.array([1]), confidence=np.array([0.5])
    )


def test_recordings_give_back_what_was_seen_and_run_the_detector_once(video, tmp_path):
    detector = DETECTORS.create("counting")
    Counting.calls = 0
    for _ in range(2):
        recorded = record(video, detector, tmp_path)
    assert Counting.calls == 5
    for frame in video.frames():
        a, b = detector.detect_frame(frame), recorded.detect_frame(frame)
        np.testing.assert_array_equal(a.xyxy, b.xyxy)
        np.testing.assert_array_equal(a.mask, b.mask)
        np.testing.assert_array_equal(a.confidence, b.confidence)
        assert b.data["class_name"].tolist() == ["b"]
    assert len(recorded.detect([np.zeros((1, 1, 3), np.uint8)] * 6)[5]) == 0


def test_other_parameters_make_another_recording(video, tmp_path):
    record(video, "motion", tmp_path)
    record(video, "motion", tmp_path, params={"history": 3.0})
    assert len(list(tmp_path.glob("motion-*.parquet"))) == 2
    record(video, "motion", tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failing_detector_leaves_no_file(video, tmp_path):
    def fails(image):
        raise MemoryError("no more")

    with pytest.raises(MemoryError):
        record(video, CallableDetector(function=fails), tmp_path)
    assert not list(tmp_path.glob("*"))


def test_a_file_that_is_no_recording(tmp_path):
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(FormatError, match=r"x\.parquet"):
        RecordedDetector(path=tmp_path / "x.parquet")
    with pytest.raises(InputError, match="record"):
        RecordedDetector(path=tmp_path / "y.parquet")


def test_nothing_found_is_recorded_too(video, tmp_path):
    recorded = record(video, CallableDetector(function=lambda image: []), tmp_path)
    assert len(recorded.at(0)) == 0
    assert isinstance(Motion().detect([video[0]])[0], sv.Detections)


def truth() -> Tracks:
    frames = np.repeat(np.arange(50), 2)
    boxes = np.tile([[10.0, 10, 50, 90], [100, 10, 140, 90]], (50, 1))
    return Tracks.of(frames, np.tile([1, 2], 50), boxes, label=["cat", "dog"] * 50)


def test_noisy_truth_without_noise_is_the_truth():
    detector = NoisyTruth(truth=truth(), miss=0, jitter=0, false=0)
    found = detector.at(3)
    order = np.argsort(found.xyxy[:, 0])
    np.testing.assert_array_equal(found.xyxy[order], truth().at(3).boxes)
    assert found.data["class_name"][order].tolist() == ["cat", "dog"]
    assert len(detector.at(99)) == 0


def test_noisy_truth_has_its_doses_and_its_seed():
    detector = NoisyTruth(truth=truth(), miss=0.3, jitter=0.02, false=0.0)
    counts = [len(detector.at(i)) for i in range(50)]
    assert 55 < sum(counts) < 85
    np.testing.assert_array_equal(
        detector.at(7).xyxy, NoisyTruth(truth=truth(), miss=0.3, jitter=0.02, false=0).at(7).xyxy
    )
    many = NoisyTruth(truth=truth(), miss=0, false=2.0)
    assert np.mean([len(many.at(i)) for i in range(50)]) == pytest.approx(4, abs=0.6)
    with pytest.raises(InputError, match="jitter"):
        NoisyTruth(truth=truth(), jitter=-1)


def test_masks_on_some_frames_stay_with_their_rows(video, tmp_path):
    """Rows of frames without masks took the masks of the frames after them."""

    class Some(CallableDetector):
        def detect_frame(self, frame):
            box, mask = np.array([[5.0 * frame.index, 10, 5 * frame.index + 10, 20]]), None
            if frame.index % 2:
                mask = np.zeros((1, 40, 60), bool)
                mask[0, 10:20, 5 * frame.index : 5 * frame.index + 10] = True
            return sv.Detections(box, mask=mask, confidence=np.ones(1), class_id=np.zeros(1, int))

    recorded = record(video, Some(function=lambda image: []), tmp_path)
    assert [recorded.at(i).mask is None for i in range(5)] == [True, False, True, False, True]
    assert np.flatnonzero(recorded.at(3).mask[0].any(axis=0)).tolist() == list(range(15, 25))


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (np.full((1, 40, 60), 0.3), "masks of float64 values other than 0 and 1.*probabilities > 0.5"),
        (np.full((1, 40, 60), -2.5, np.float32), "masks of float32 values"),
        (np.zeros((2, 40, 60), bool), "masks .* for 1 boxes"),
    ],
)
def test_masks_of_probabilities_are_no_masks(video, tmp_path, mask, told):
    def answer(image):
        return sv.Detections(np.array([[1.0, 2, 9, 9]]), confidence=np.array([0.9]), class_id=np.array([0]))

    def masked(image):
        found = answer(image)
        found.mask = mask
        return found

    for use in (
        lambda f: vtlab.track(video, tracker="sort", detector=f, progress=False),
        lambda f: record(video, CallableDetector(function=f), tmp_path),
    ):
        with pytest.raises(VtlabError, match=rf"frame 0.*{told}"):
            use(masked)


def test_masks_of_zeros_and_ones_are_masks(video, tmp_path):
    def masked(image):
        found = square(image)
        found.mask = found.mask.astype(np.float32)
        return found

    found = record(video, CallableDetector(function=masked), tmp_path)
    assert found.detect_frame(video.frame(2)).mask.sum() == 100


def test_a_class_that_is_no_whole_number(video):
    detector = CallableDetector(function=lambda image: [[1, 2, 9, 9, 0.9, 1.7]])
    with pytest.raises(VtlabError, match="on frame 3 with the class 1.7"):
        detector.detect_frame(video.frame(3))


def test_key_points_and_oriented_boxes_stay_with_their_rows(video, tmp_path):
    counts = iter([2, 0, 1] * len(video))

    def some(image):
        n = next(counts)
        rng = np.random.default_rng(n)
        data = {
            "xyxyxyxy": rng.random((n, 4, 2)),
            "keypoints": rng.random((n, 3, 2)),
            "keypoint_scores": rng.random((n, 3)),
        }
        boxes = np.tile([1.0, 1, 9, 9], (n, 1))
        return sv.Detections(xyxy=boxes, confidence=np.ones(n), class_id=np.zeros(n, int), data=data)

    back = record(video, some, tmp_path)
    for index, n in ((0, 2), (1, 0), (2, 1)):
        rng = np.random.default_rng(n)
        for name, shape in (("xyxyxyxy", (n, 4, 2)), ("keypoints", (n, 3, 2)), ("keypoint_scores", (n, 3))):
            np.testing.assert_array_equal(back.at(index).data[name], rng.random(shape))
