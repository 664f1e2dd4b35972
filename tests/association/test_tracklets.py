"""Splitting and joining the tracks of a whole video."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.association.mend import apply_steps, read_steps
from vtlab.association.tracklets import clusters, relink_globally
from vtlab.errors import InputError
from vtlab.tracks import Tracks
from vtlab.video import open_video

COLOURS = {1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0), 3: (0.0, 0.0, 1.0)}


class Eyes:
    """The colour of the frame at the box's centre, as a unit vector."""

    threshold = 0.8

    def embed(self, image, boxes):
        seen = []
        for x1, y1, x2, y2 in boxes:
            colour = image[int((y1 + y2) / 2), int((x1 + x2) / 2)].astype(np.float32)
            seen.append(colour / max(float(np.linalg.norm(colour)), 1e-9))
        return np.array(seen, np.float32).reshape(-1, 3)


def scene(who: dict[int, list[int]], frames: int = 30, step: float = 4.0) -> tuple:
    """A video of coloured things that walk to the right, one above the other, and tracks that say `who` by frame.

    Args:
        who: Thing -> the id that a tracker gave it on each frame, 0 = not seen.
        frames: Length.
        step: Pixels a frame.
    """
    video = np.zeros((frames, 120, 200, 3), np.uint8)
    rows = []
    for thing, ids in who.items():
        for t, object_id in enumerate(ids):
            x, y = round(5 + step * t), 10 + 35 * (thing - 1)
            video[t, y : y + 20, x : x + 10] = np.multiply(COLOURS[thing], 200)
            if object_id:
                rows.append((t, object_id, [x, y, x + 10, y + 20]))
    frame, ids, boxes = zip(*rows, strict=True)
    return open_video(video, fps=10), Tracks.of(frame, ids, boxes, 0.9, label="thing")


def said(tracks: Tracks, thing: int) -> list[int]:
    """The ids of a thing, in the order of time."""
    row = tracks.boxes[:, 1] == 10 + 35 * (thing - 1)
    return tracks.object_id[row].tolist()


def test_a_track_that_changed_owner_is_split_and_its_parts_go_to_whom_they_belong():
    """Two things exchange their ids in the middle."""
    video, tracks = scene({1: [1] * 15 + [2] * 15, 2: [2] * 15 + [1] * 15})
    mended = relink_globally(tracks, video, embedder=Eyes())
    assert len(mended.object_ids) == 2
    for thing in (1, 2):
        assert len(set(said(mended, thing))) == 1
    assert set(mended.label) == {"thing"}
    assert tracks.object_ids.tolist() == [1, 2]
    unsplit = relink_globally(tracks, video, embedder=Eyes(), split=False)
    np.testing.assert_array_equal(unsplit.object_id, tracks.object_id)


def test_a_chain_of_broken_tracks_is_one_by_appearance_and_keeps_the_earliest_id():
    video, tracks = scene({1: [7] * 8 + [0] * 4 + [3] * 8 + [0] * 4 + [9] * 6, 2: [4] * 30}, step=2.0)
    mended = relink_globally(tracks, video, embedder=Eyes())
    assert set(said(mended, 1)) == {7}
    assert set(said(mended, 2)) == {4}


def test_by_motion_a_track_goes_on_where_it_leads():
    gap = [1] * 12 + [0] * 6 + [5] * 12
    video, tracks = scene({1: gap, 2: [0] * 15 + [6] * 15})
    mended = relink_globally(tracks, video)
    assert set(said(mended, 1)) == {1}
    assert set(said(mended, 2)) == {6}
    assert relink_globally(tracks, video, longest=0.3).object_ids.tolist() == [1, 5, 6]


def test_tracks_seen_together_or_too_far_apart_are_not_joined():
    video, tracks = scene({1: [1] * 30, 2: [0] * 30})
    twin = tracks.renamed({1: 2})
    both = Tracks.concat([tracks, twin.replace(boxes=twin.boxes + np.array([0, 35, 0, 35]))])
    assert relink_globally(
        both, video, embedder=Eyes(), appearance=-1.0, split=False
    ).object_ids.tolist() == [1, 2]
    video, tracks = scene({1: [1] * 10 + [0] * 10 + [2] * 10}, step=6.0)
    assert len(relink_globally(tracks, video, embedder=Eyes(), speed=0.1).object_ids) == 2
    assert len(relink_globally(tracks, video, embedder=Eyes(), speed=4.0).object_ids) == 1


def test_clusters():
    a, b, c, d = np.eye(4)
    assert clusters(np.array([a, a, a, b, b, b, a]), 0.8).tolist() == [0, 0, 0, 1, 1, 1, 0]
    assert clusters(np.array([a, a, a, b, a]), 0.8).tolist() == [0] * 5  # one look is no cluster
    assert clusters(np.array([a, b]), 0.8).tolist() == [0, 0]
    near = (a + 0.5 * d) / np.linalg.norm(a + 0.5 * d)
    many = clusters(np.repeat([a, b, c, d, near], 3, axis=0), 0.95)
    assert many.max() == 2
    assert many[0] == many[12] == 0


def test_objects_without_boxes_empty_tracks_and_bad_settings():
    video, tracks = scene({1: [1] * 10 + [0] * 20})
    assert len(relink_globally(tracks.take(np.zeros(len(tracks), bool)), video)) == 0
    blind = Tracks.concat([tracks, Tracks.of([3], 9, [[np.nan] * 4])])
    assert relink_globally(blind, video).object_ids.tolist() == [1, 9]
    with pytest.raises(InputError, match="reach must be at least 0, got -1"):
        relink_globally(tracks, video, reach=-1)
    with pytest.raises(InputError, match="samples must be at least 1"):
        relink_globally(tracks, video, samples=0)
    with pytest.raises(InputError, match="the video has only 2 frames"):
        relink_globally(tracks, video[:2])


def test_as_a_step_of_any_tracker_by_detection():
    video, tracks = scene({1: [1] * 12 + [0] * 6 + [5] * 12})
    mended = apply_steps(
        tracks, video, read_steps({"relink_globally": {"longest": 1.0}, "interpolate_gaps": {}})
    )
    assert mended.object_ids.tolist() == [1]
    assert len(mended) == 30
    with pytest.raises(InputError, match="'relink_globally' has no parameter 'lngest'"):
        read_steps({"relink_globally": {"lngest": 1}})
