"""Velocities of tracks whose tracker says none."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt
from vtlab.testing.scenes import moving_square, square_box
from vtlab.trackers.clock import Times
from vtlab.trackers.loop import stream, track
from vtlab.tracks import PointRows, Tracks
from vtlab.tracks.motion import velocities
from vtlab.video import Frame, open_video

TIMES = np.array([0.0, 0.1, 0.3, 0.4])


def test_ways_over_the_time_that_they_took_and_unknown_at_first_and_unseen():
    boxes = [[0, 0, 10, 10], [2, 1, 12, 11], [6, 1, 16, 11], [6, 1, 16, 11]]
    found = velocities(Tracks.of(range(4), 1, boxes, visible=[True, True, True, False]), TIMES)
    np.testing.assert_allclose(found, [[np.nan] * 2, [20, 10], [20, 0], [np.nan] * 2])
    gap = velocities(Tracks.of([0, 2], 1, [boxes[0], boxes[2]]), TIMES)
    np.testing.assert_allclose(gap[1], [20, 1 / 0.3])


def test_each_object_has_its_own_and_times_may_be_missing():
    tracks = Tracks.of(
        [0, 0, 1, 1, 9],
        [1, 2, 1, 2, 1],
        [[0, 0, 2, 2], [50, 0, 52, 2], [1, 0, 3, 2], [49, 0, 51, 2], [5, 0, 7, 2]],
    )
    np.testing.assert_allclose(velocities(tracks, TIMES)[2:], [[10, 0], [-10, 0], [np.nan, np.nan]])
    assert np.isnan(velocities(tracks, np.empty(0))).all()


def test_of_points_the_mean_over_those_seen_on_both_frames():
    points = PointRows.of(
        [0, 0, 1, 1], 1, [0, 1, 0, 1], [[0, 0], [100, 0], [1, 0], [400, 0]], [True, False, True, True]
    )
    tracks = Tracks.of([0, 1], 1, points=points)
    np.testing.assert_allclose(velocities(tracks, TIMES)[1], [10, 0])


@pytest.mark.parametrize("tracker", ["ncc", "lucas-kanade", "flow", "sort"])
def test_every_family_says_it_by_default(tracker):
    """3 pixels to the right and 1.5 down on each frame, ten frames a second."""
    corners = np.array(square_box(0)).astype(int)
    mask = np.zeros((96, 128), bool)
    mask[corners[1] : corners[3], corners[0] : corners[2]] = True
    truth = Tracks.of(np.arange(12), 1, [square_box(i) for i in range(12)], size=(96, 128))
    given, params = {
        "ncc": (BoxPrompt(square_box(0)), {}),
        "lucas-kanade": (PointPrompt((tuple(corners[:2]), tuple(corners[2:]))), {}),
        "flow": (MaskPrompt.of(mask), {}),
        "sort": (
            None,
            {"detector": "noisy-truth", "detector_params": {"truth": truth, "miss": 0, "jitter": 0}},
        ),
    }[tracker]
    tracks = track(open_video(moving_square(), fps=10), given, tracker, progress=False, **params)
    assert tracks.velocity is not None
    np.testing.assert_allclose(np.nanmean(tracks.velocity, axis=0), [30, 15], atol=6)
    assert {"vx", "vy"} <= set(tracks.to_frame().columns)


@pytest.mark.parametrize("tracker", ["ncc", "lucas-kanade", "flow"])
def test_a_stream_says_them_as_they_come(tracker):
    prompt = {
        "ncc": BoxPrompt(square_box(0)),
        "lucas-kanade": PointPrompt(tuple(zip(*[iter(square_box(0))] * 2, strict=True))),
        "flow": MaskPrompt.of(np.pad(np.ones((20, 20), bool), ((20, 56), (20, 88)))),
    }[tracker]
    video = open_video(moving_square(), fps=10)
    with stream(video, prompt, tracker) as run:
        said = np.concatenate([answer.velocities for _, answer in run])
        np.testing.assert_allclose(said, run.tracks.velocity, atol=1e-9)
    assert np.isnan(said[0]).all()
    assert np.isfinite(said[1:]).any()


def test_a_stream_in_both_directions_measures_no_way_across_its_turn():
    video = open_video(moving_square(), fps=10)
    with stream(video, BoxPrompt(square_box(5), frame=5), "identity", direction="both") as run:
        said = {}
        for frame, answer in run:
            said.setdefault(frame, []).append(answer.velocities)
    still = np.concatenate([v for answers in said.values() for v in answers])
    assert set(still[np.isfinite(still)].tolist()) == {0.0}  # identity never moves
    with stream(video, BoxPrompt(square_box(9), frame=9), "ncc", direction="backward") as run:
        back = np.concatenate([answer.velocities for _, answer in run])
    np.testing.assert_allclose(np.nanmedian(back, axis=0), [30, 15], atol=12)
    assert np.isfinite(back[1:]).all()  # the first step backward has its way, too


def test_times_of_frames_are_found_in_any_order_of_reading():
    times = Times()
    assert np.isnan(times.of(0))
    for index in (5, 6, 8, 9, 4, 3):  # forward with a gap, then backward from the start
        times.add(Frame(index, index / 10, np.zeros((2, 2, 3), np.uint8)))
        assert times.of(index) == index / 10
    ahead = Times()
    for index in (5, 6, 8, 9):
        ahead.add(Frame(index, index / 10, np.zeros((2, 2, 3), np.uint8)))
    found = [ahead.of(index) for index in (5, 6, 7, 8, 9)]  # a tracker that reads ahead answers later
    np.testing.assert_array_equal(found, [0.5, 0.6, np.nan, 0.8, 0.9])
