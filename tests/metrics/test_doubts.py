"""Doubtful places: each kind is found where it was made, and a steady object has none."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.metrics.doubts import WORDS, doubts
from vtlab.tracks import Tracks
from vtlab.video import open_video

N = 120


def steady(object_id: int = 1, *, y: float = 10.0, speed: float = 1.0) -> dict[str, np.ndarray]:
    x = 10 + speed * np.arange(N)
    noise = np.random.default_rng(object_id).normal(0, 0.2, (N, 2))
    left, top = x + noise[:, 0], y + noise[:, 1]
    return {
        "frame": np.arange(N),
        "object_id": np.full(N, object_id),
        "boxes": np.stack([left, top, left + 20, top + 20], axis=1),
        "score": np.full(N, 0.9),
    }


def tracks_of(*objects: dict[str, np.ndarray]) -> Tracks:
    parts = [Tracks.of(o["frame"], o["object_id"], o["boxes"], o["score"]) for o in objects]
    return Tracks.concat(parts)


def test_a_steady_object_is_not_doubtful():
    assert len(doubts(tracks_of(steady(1), steady(2, y=60)))) == 0
    assert list(doubts(Tracks.empty()).columns)[:3] == ["sequence", "object_id", "frame"]


@pytest.mark.parametrize("kind", sorted(set(WORDS) - {"identity"}))
def test_each_kind_is_found_where_it_is(kind):
    bad, others = steady(), {}
    if kind == "score":
        bad["score"][60:64] = 0.2
    elif kind == "jump":
        bad["boxes"][60:] += [0, 40, 0, 40]
    elif kind == "stop":
        bad["boxes"][60:90] = bad["boxes"][60]
        bad["boxes"][90:] -= bad["boxes"][90] - bad["boxes"][89]
    elif kind == "area":
        bad["boxes"][60:, 2:] += 12
        bad["boxes"][60:, :2] -= 12
    elif kind == "lost":
        bad = {k: np.delete(v, np.arange(60, 75), axis=0) for k, v in bad.items()}
    elif kind == "disagreement":
        other = steady()
        other["boxes"][60:70] += 30
        others = {"other": tracks_of(other)}
    second = steady(2, y=60)
    if kind == "overlap":
        second["boxes"][60:66] = bad["boxes"][60:66] + 1
    table = doubts(tracks_of(bad, second), others)
    mine = table[(table.object_id == 1) & (table.kind == kind)]
    assert len(mine) == 1
    row = mine.iloc[0]
    assert row["first"] - 15 <= 60 <= row["end"]
    assert 0 < row.severity <= 1
    assert set(table[table.kind == kind].object_id) == ({1, 2} if kind == "overlap" else {1})


def test_the_worst_comes_first_and_several_videos_make_one_queue():
    little, much = steady(), steady()
    little["score"][20:22] = 0.4
    much["score"][30:32] = 0.05
    table = doubts({"a": tracks_of(little), "b": tracks_of(much)})
    assert table.sequence.tolist() == ["b", "a"]
    assert table.frame.tolist() == [30, 20]
    assert table.reason[0] == "the tracker is unsure of it (score 0.05)"


def test_an_identity_switch_is_told_by_colours():
    images = np.full((N, 100, 160, 3), 90, np.uint8)
    one, two = steady(1, y=20), steady(2, y=60)
    for i in range(N):
        for o, colour in ((one, (230, 30, 30)), (two, (30, 30, 230))):
            x1, y1, x2, y2 = o["boxes"][i].astype(int)
            images[i, y1:y2, x1:x2] = colour
    wrong = {k: v.copy() for k, v in one.items()}
    wrong["boxes"][60:] = two["boxes"][60:]  # the track goes on on the other object
    table = doubts(tracks_of(wrong), video=open_video(images))
    assert set(table.kind) == {"jump", "identity"}
    assert table.frame.tolist() == [table.frame[0]] * 2
    right = doubts(tracks_of(one), video=open_video(images))
    assert len(right) == 0
