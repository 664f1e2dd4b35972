"""What a report shows is what was measured: timelines by the metric's rule, data and no comparison for the page."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest

from tests.comparison.boards import N, box_track, comparison
from vtlab.comparison import Comparison, Run, report
from vtlab.sequence import Sequence
from vtlab.tracks import Tracks
from vtlab.video import open_video

VIDEO = open_video(np.zeros((N, 96, 128, 3), np.uint8))


def test_overlap_over_time_is_the_metric():
    """Single objects: the mean over the frames is the average overlap."""
    found = comparison(1)
    lines = report.timeline(found, "sot").lines
    for tracker in found.trackers:
        assert np.mean(lines[tracker]) == pytest.approx(found.table.loc[tracker, "ao"], abs=1e-6)


def test_one_answer_over_two_true_objects_counts_for_one():
    """It once was the best overlap of each true box with any answer: 0.905 where one object of two is found."""
    boxes = np.array([[10, 10, 50, 50], [14, 10, 54, 50]], float)
    frame = np.repeat(np.arange(N), 2)
    truth = Tracks.of(frame, np.tile([1, 2], N), np.tile(boxes, (N, 1)), size=(96, 128))
    answer = Tracks.of(np.arange(N), 7, np.tile([[12.0, 10, 52, 50]], (N, 1)), size=(96, 128))
    one = Comparison((Sequence("s", VIDEO, truth),), (Run("one", "s", "mot", answer),))
    overlap = 38 / 42  # boxes 40 pixels wide, two pixels beside each other
    assert report.timeline(one, "mot").lines["one"] == pytest.approx(overlap / 2)  # 0.452
    assert one.table.loc["one", "DetA"] < 0.5


def test_the_rule_that_was_asked_for_counts_over_time_too():
    """GOT-10k leaves the prompted frame out."""
    found = Comparison(
        (Sequence("s", VIDEO, box_track(0.0)),), (Run("a", "s", "sot", box_track(3.0)),), "got10k"
    )
    line = report.timeline(found, "sot").lines["a"]
    assert np.isnan(line[0])
    assert np.isfinite(line[1:]).all()


def test_after_a_failure_there_is_nothing_to_say():
    half = box_track(2.0).between(0, 5)
    found = Comparison(
        (Sequence("s", VIDEO, box_track(0.0)),), (Run("a", "s", "sot", half, "broken", False),)
    )
    line = report.timeline(found, "sot").lines["a"]
    assert np.isfinite(line[:5]).all()
    assert np.isnan(line[5:]).all()


def test_without_truth_the_tracker_speaks():
    sure = box_track(0.0)
    sure = sure.replace(score=np.linspace(0, 1, N).astype(sure.score.dtype))
    found = Comparison((Sequence("s", VIDEO),), (Run("a", "s", "sot", sure),))
    line = report.timeline(found, "sot")
    assert line.label == "tracker's score"
    assert line.lines["a"] == pytest.approx(np.linspace(0, 1, N))
    assert report.timeline(found, "mot") is None


def test_what_can_not_be_shown_is_said(tmp_path, monkeypatch):
    from vtlab.errors import VtlabError

    def broken(*args, **kwargs):
        raise VtlabError("no such codec")

    monkeypatch.setattr(Comparison, "save_video", broken)
    text = comparison(1).report(tmp_path / "r.html").read_text()
    assert "Boxes from prompts (SOT), s0: no such codec" in text


def test_the_old_path_still_works(monkeypatch):
    monkeypatch.delitem(sys.modules, "vtlab.report", raising=False)  # another test may have asked for it
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from vtlab.report import answer
    assert answer(comparison(1)) == comparison(1).answer()
    assert any("vtlab.report is now vtlab.comparison.report" in str(w.message) for w in caught)
