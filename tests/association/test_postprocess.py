"""Mending of finished tracks: gaps, short tracks, identities."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.association.mend import drop_short, interpolate_gaps, relink
from vtlab.errors import InputError
from vtlab.testing.streams import picture
from vtlab.tracks import Tracks
from vtlab.video import open_video

TIMES = np.arange(40) / 10


def moving(frames, object_id=1, **kwargs) -> Tracks:
    frames = np.asarray(frames)
    boxes = np.stack([frames, 0 * frames, frames + 10, 0 * frames + 20], axis=1).astype(float)
    return Tracks.of(frames, object_id, boxes, 0.8, label="cat", source="detected", **kwargs)


def test_gaps_are_filled_along_a_line():
    tracks = moving([0, 1, 2, 6, 7, 30])
    filled = interpolate_gaps(tracks, TIMES, longest=0.5)
    assert filled.frame.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 30]
    np.testing.assert_allclose(filled.boxes[:8, 0], np.arange(8))
    assert filled.source[3:6].tolist() == ["interpolated"] * 3
    assert set(filled.label) == {"cat"}
    assert len(tracks) == 6


def test_gaps_follow_the_time_stamps():
    times = np.array([0.0, 0.1, 0.4, 0.5])
    filled = interpolate_gaps(Tracks.of([0, 3], 1, [[0, 0, 10, 10], [50, 0, 60, 10]]), times)
    np.testing.assert_allclose(filled.boxes[:, 0], [0, 10, 40, 50])


def test_unseen_rows_in_a_gap_are_replaced():
    tracks = moving([0, 1, 2, 3]).replace(visible=np.array([True, False, False, True]))
    filled = interpolate_gaps(tracks, TIMES)
    assert filled.visible.all()
    assert filled.frame.tolist() == [0, 1, 2, 3]


def test_smoothing_takes_noise_away():
    rng = np.random.default_rng(0)
    frames = np.arange(40)
    clean = moving(frames)
    noisy = clean.replace(boxes=clean.boxes + rng.normal(0, 1, clean.boxes.shape))
    smooth = interpolate_gaps(noisy, TIMES, smooth=0.3)
    inner = slice(8, 32)
    assert (
        np.abs(smooth.boxes - clean.boxes)[inner].mean()
        < 0.5 * np.abs(noisy.boxes - clean.boxes)[inner].mean()
    )


def test_short_tracks_are_dropped():
    tracks = Tracks.concat([moving(range(10)), moving([3, 4], 2)])
    assert drop_short(tracks, TIMES, shortest=0.3).object_ids.tolist() == [1]
    assert len(drop_short(Tracks.empty(), TIMES)) == 0


def test_tracks_that_look_alike_are_joined():
    video = open_video(np.repeat(picture()[None], 30, axis=0), fps=10)
    red, blue = [20.0, 20, 60, 100], [120.0, 20, 160, 100]
    parts = [(range(10), 1, red), (range(10), 2, blue), (range(15, 30), 3, blue), (range(16, 30), 4, red)]
    tracks = Tracks.concat([Tracks.of(list(f), i, [b] * len(f)) for f, i, b in parts])
    joined = relink(tracks, video)
    assert joined.object_ids.tolist() == [1, 2]
    assert joined.of_object(1).frame.tolist() == [*range(10), *range(16, 30)]
    assert relink(tracks, video, longest=0.3).object_ids.tolist() == [1, 2, 3, 4]
    assert relink(Tracks.empty(), video).object_ids.tolist() == []


def test_time_stamps_must_reach_the_last_frame():
    with pytest.raises(InputError, match="frame 30"):
        interpolate_gaps(moving([0, 30]), TIMES[:10])
    with pytest.raises(InputError, match="longest"):
        interpolate_gaps(moving([0, 3]), TIMES, longest=-1)
