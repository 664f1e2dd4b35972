"""Objects one by one, in one pass over the rows."""

from __future__ import annotations

import numpy as np

from vtlab.sequence import first_prompts
from vtlab.tracks import PointRows, Tracks


def made() -> Tracks:
    frame, ids = [0, 0, 1, 1, 2, 2, 3], [7, 2, 2, 7, 2, -1, 7]
    points = PointRows.of([0, 0, 3, 1], [7, 7, 7, 2], [0, 1, 0, 0], np.arange(8).reshape(4, 2))
    return Tracks.of(frame, ids, [[i, 0, i + 4, 5] for i in range(7)], label=list("abcdefg"), points=points)


def test_each_object_has_the_rows_and_points_that_asking_for_it_gives():
    tracks = made()
    parts = dict(tracks.by_object())
    assert list(parts) == tracks.object_ids.tolist() == [-1, 2, 7]
    for object_id, mine in parts.items():
        other = tracks.of_object(object_id)
        assert mine.to_frame().equals(other.to_frame())
        assert mine.points_frame().equals(other.points_frame())
        np.testing.assert_array_equal(
            tracks.object_rows()[object_id], np.flatnonzero(tracks.object_id == object_id)
        )
    assert not dict(Tracks.empty().by_object())


def test_each_point_finds_its_row_whatever_the_numbers():
    frame, ids = np.array([0, 0, 1 << 60, 1 << 60]), np.array([-(1 << 62), 5, 5, 1 << 62])
    tracks = Tracks.of(
        frame, ids, points=PointRows.of(frame[[1, 2, 2, 3]], ids[[1, 2, 2, 3]], [0, 0, 1, 0], np.ones((4, 2)))
    )
    assert tracks.points.rows_in(tracks.frame, tracks.object_id).tolist() == [1, 2, 2, 3]


def test_first_prompts_pass_over_the_rows_once(monkeypatch):
    n, count = 3, 400
    frame, ids = np.repeat(np.arange(n), count), np.tile(np.arange(1, count + 1), n)
    tracks = Tracks.of(frame, ids, np.c_[ids, ids, ids + 2, ids + 2])
    asked = []
    monkeypatch.setattr(Tracks, "labels", property(lambda self: asked.append(1) or {}))
    monkeypatch.setattr(Tracks, "of_object", None)
    assert len(first_prompts(tracks)) == count
    assert asked == [1]
