"""Detections from files: one reader of MOT text, scores in every unit, and the frames of the clip that is tracked."""

from __future__ import annotations

import numpy as np
import pytest

import vtlab
from vtlab.detectors.callable import CallableDetector
from vtlab.detectors.noisy_truth import NoisyTruth
from vtlab.detectors.public import PublicDetections
from vtlab.detectors.recorded import record
from vtlab.errors import FormatError, InputError, VtlabWarning
from vtlab.formats.motchallenge import read_mot, read_mot_rows
from vtlab.tracks import Source, Tracks
from vtlab.video import open_video


@pytest.fixture
def video():
    return open_video(np.zeros((60, 96, 160, 3), np.uint8), name="street")


def det(tmp_path, *scores, frames=60):
    """A det.txt: one box a frame, left edge (from 0) 10 + 1.5 * frame."""
    lines = [f"{f + 1},-1,{11 + 1.5 * f},31,30,40,{scores[f % len(scores)]},-1,-1,-1" for f in range(frames)]
    (tmp_path / "det.txt").write_text("\n".join(lines))
    return tmp_path / "det.txt"


def scores_of(file, **params):
    detector = PublicDetections(path=file, **params)
    return np.concatenate([detector.at(i).confidence for i in range(60)])


def test_minus_one_everywhere_means_no_scores(tmp_path):
    file = det(tmp_path, -1)
    assert (scores_of(file) == 1).all()
    assert len(scores_of(file, confidence=0.5)) == 60
    assert (read_mot(file, "detections").score == 1).all()


def test_minus_one_on_some_rows(tmp_path):
    with pytest.warns(VtlabWarning, match="30 of 60 scores are -1"):
        assert scores_of(det(tmp_path, 0.5, -1)).tolist() == [0.5, 1.0] * 30


@pytest.mark.parametrize(("top", "told"), [(97, "per cent"), (254, "divided by 254")])
def test_scores_of_another_unit_are_told(tmp_path, top, told):
    file = det(tmp_path, top, top / 2, 0)
    with pytest.warns(VtlabWarning, match=told):
        mine = scores_of(file)
    assert mine[1] == mine[0] / 2
    assert mine[2] == 0
    with pytest.warns(VtlabWarning, match=told):
        assert (read_mot(file, "detections").score == mine).all()


def test_scores_that_are_said_to_be_fractions(tmp_path):
    with pytest.raises(InputError, match=r"scores from -2 to 3 leave \[0, 1\]"):
        scores_of(det(tmp_path, -2, 3), logistic=False)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2,-1,5,5,5,5,nan,-1,-1,-1", "line 2: the score .column 7. is missing or no number"),
        ("2,-1,5,5,5,5,,-1,-1,-1", "line 2: the score"),
        ("2,-1,5,5,nan,5,0.5,-1,-1,-1", "line 2: a value is missing"),
        ("2,-1,5,,5,5,5,0.5,-1,-1", "line 2: a value is missing"),
        ("2,-1,5,5,-5,5,0.5,-1,-1,-1", "line 2: width and height must not be negative"),
    ],
)
def test_what_is_missing_is_named(tmp_path, line, message):
    file = tmp_path / "det.txt"
    file.write_text(f"1,-1,5,5,5,5,0.5,-1,-1,-1\n{line}\n")
    with pytest.raises(FormatError, match=message):
        PublicDetections(path=file)


def test_truth_with_an_empty_class_is_refused():
    with pytest.raises(FormatError, match=r"line 2: the class \(column 8\)"):
        read_mot_rows(b"1,1,5,5,5,5,1,1,1\n2,1,5,5,5,5,1,,1\n", "truth")


def test_ids_keep_their_64_bits():
    low, high = 2**60 + 1, 2**60 + 2
    rows = read_mot_rows(f"1,{low},5,5,5,5,1\n1,{high},5,5,5,5,1\n".encode())
    assert rows.object_id.tolist() == [low, high]
    with pytest.raises(FormatError, match="line 2: the id is too large"):
        read_mot_rows(f"1,1,5,5,5,5,1\n1,{2**70},5,5,5,5,1\n".encode())


def left(frame, found):
    assert len(found) == 1
    return float(found.xyxy[0, 0])


@pytest.mark.parametrize("cut", [np.s_[::2], np.s_[30:], np.s_[50:10:-3], np.s_[5::4]])
def test_boxes_are_those_of_the_clip_that_is_tracked(video, tmp_path, cut):
    detector = PublicDetections(path=det(tmp_path, 0.9))
    clip = video[cut]
    start, step = clip.span
    for frame in clip.frames():
        assert left(frame, detector.detect_frame(frame)) == 10 + 1.5 * (start + step * frame.index)
    tracks = vtlab.track(video[::2], tracker="sort", detector=detector, progress=False)
    assert len(tracks) > 20
    assert (tracks.boxes[:, 0] == 10 + 1.5 * 2 * tracks.frame).all()


def test_a_file_of_a_part_says_so(video, tmp_path):
    detector = PublicDetections(path=det(tmp_path, 0.9, frames=15), start=30, step=2)
    assert left(None, detector.detect_frame(video.frame(32))) == 11.5
    assert left(None, detector.detect_frame(video[30::2].frame(3))) == 14.5
    for frame in (video.frame(31), video.frame(3)):
        with pytest.raises(
            InputError, match=r"frames 30 and on in steps of 2 of det\.txt know nothing of frame"
        ):
            detector.detect_frame(frame)


def test_recordings_follow_the_clip(video, tmp_path):
    numbers = iter(range(100))
    detector = CallableDetector(function=lambda image: [[next(numbers), 0, 150, 20, 0.9, 0]])
    part = record(video[10:30:2], detector, tmp_path)
    assert left(None, part.detect_frame(video.frame(14))) == 2
    assert left(None, part.detect_frame(video[10:].frame(4))) == 2
    for frame in (video.frame(11), video.frame(30), video.frame(2)):
        with pytest.raises(InputError, match="frames 10 to 28 in steps of 2 of street know nothing of frame"):
            part.detect_frame(frame)


def test_noisy_truth_follows_the_clip(video):
    truth = Tracks.of(np.arange(60), 1, np.array([[f, 0, f + 20, 20] for f in range(60)], float))
    params = {"miss": 0, "jitter": 0, "false": 0}
    whole = NoisyTruth(truth=truth, **params)
    assert left(None, whole.detect_frame(video[30:].frame(2))) == 32
    cut = truth.replace(record=truth.record.replace(source=Source.of_video(video))).on(video[30:])
    assert left(None, NoisyTruth(truth=cut, **params).detect_frame(video.frame(32))) == 32


def test_frames_from_zero(tmp_path):
    file = tmp_path / "det.txt"
    file.write_text("0,-1,11,31,30,40,0.5\n")
    with pytest.raises(FormatError, match="first_frame=0"):
        PublicDetections(path=file)
    assert len(PublicDetections(path=file, first_frame=0).at(0)) == 1


@pytest.mark.shared
def test_shared_cases(shared, tmp_path):
    cases = shared / "data/cases/det"
    if not cases.is_dir():
        pytest.skip(f"the shared data has no {cases}")
    assert PublicDetections(path=cases / "minus1.txt").at(0).confidence.tolist() == [1, 1]
    with pytest.raises(FormatError, match=r"nan\.txt, line 1: the score"):
        PublicDetections(path=cases / "nan.txt")
