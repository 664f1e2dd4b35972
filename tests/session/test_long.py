"""Sessions of many rows: what is done with all of them goes over columns, not over rows."""

from __future__ import annotations

import numpy as np

import vtlab
from vtlab.session.state import Renaming

OBJECTS, FRAMES = 20, 300


def test_identities_are_exchanged_without_a_look_at_each_row(monkeypatch):
    frame, ids = np.repeat(np.arange(FRAMES), OBJECTS), np.tile(np.arange(OBJECTS), FRAMES)
    boxes = np.stack([ids, frame, ids + 9, frame + 9], axis=1).astype(float)
    video = np.broadcast_to(np.zeros((1, 400, 40, 3), np.uint8), (FRAMES, 400, 40, 3))
    session = vtlab.Session.of(video, vtlab.Tracks.of(frame, ids, boxes, label=ids % 3 == 0), "ncc")
    session.add([vtlab.BoxPrompt((1, f, 9, f + 8), object_id=3, frame=f) for f in (10, 200)])
    stale, before = session.stale, session.tracks
    asked = []
    plain = Renaming.__call__
    monkeypatch.setattr(Renaming, "__call__", lambda self, i, f: asked.append(i) or plain(self, i, f))
    first, second = before.object_ids[2:4].tolist()
    session.swap(first, second, 100)
    assert len(asked) < 50
    after = session.tracks
    for i in before.object_ids.tolist():
        other = {first: second, second: first}.get(i, i)
        mine, early, late = after.of_object(i), before.of_object(i), before.of_object(other)
        assert np.array_equal(mine.boxes, np.concatenate([early.boxes[:100], late.boxes[100:]]))
    assert stale == {3: [(10, FRAMES)]}
    moved = {first: second, second: first}.get(3, 3)
    assert session.stale == {3: [(10, 100)], moved: [(100, FRAMES)]}
    assert {k[:2] for k in session.state.keys} == {(3, 10), (moved, 200)}
