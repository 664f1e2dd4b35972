"""Rows by their ids, counted: the same as what sorting finds, wherever the ids lie."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab.sequence import first_prompts
from vtlab.tracks import Tracks
from vtlab.tracks.groups import each, first_of_each, grouped, rows_of_each

FAR = 2**63 - 1
IDS = {
    "none": [],
    "one": [5],
    "far apart": [FAR, -FAR - 1, 0, FAR, 0],
    "large and close": [FAR, FAR - 1, FAR],
    "least": [-FAR - 1, -FAR, -FAR - 1],
    **{
        f"random {seed}": np.random.default_rng(seed).integers(-9 * 10**seed, 9 * 10**seed, 300).tolist()
        for seed in range(5)
    },
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_counting_finds_what_sorting_finds(ids):
    given = np.array(ids, np.int64)
    values, first, counts = np.unique(given, return_index=True, return_counts=True)
    assert each(given).tolist() == values.tolist()
    assert [a.tolist() for a in first_of_each(given)] == [values.tolist(), first.tolist()]
    found = grouped(given)
    assert [a.tolist() for a in found] == [
        values.tolist(),
        np.argsort(given, kind="stable").tolist(),
        counts.tolist(),
    ]
    rows = rows_of_each(given)
    assert list(rows) == values.tolist()
    assert [r.tolist() for r in rows.values()] == [np.flatnonzero(given == v).tolist() for v in values]


@pytest.mark.parametrize("named", [0, 0.05, 0.6, 1])
def test_the_label_of_an_object_is_the_first_that_a_row_tells(named):
    rng = np.random.default_rng(int(100 * named))
    frame, ids = np.repeat(np.arange(30), 4), np.tile([9, -2, 4, 7], 30)
    label = [f"l{i}{f // 9}" if rng.random() < named else None for f, i in zip(frame, ids, strict=True)]
    tracks = Tracks.of(frame, ids, label=label)
    want = {}
    for i, text in zip(tracks.object_id.tolist(), tracks.label.tolist(), strict=True):
        if text is not None:
            want.setdefault(i, text)
    assert tracks.labels == dict(sorted(want.items()))


@pytest.mark.parametrize("seed", range(3))
def test_the_first_box_is_the_first_seen_that_has_an_area(seed):
    rng = np.random.default_rng(seed)
    frame, ids = np.repeat(np.arange(6), 20), np.tile(np.arange(1, 21), 6)
    boxes = np.concatenate([rng.uniform(0, 9, (120, 2)), rng.uniform(0, 9, (120, 2))], axis=1).round()
    boxes[:, 2:] = np.maximum(boxes[:, :2], boxes[:, 2:])
    boxes[rng.random(120) < 0.2] = np.nan
    tracks = Tracks.of(frame, ids, boxes, visible=rng.random(120) < 0.5, label=rng.random(120) < 0.5)
    want = {}
    for row in range(120):
        x1, y1, x2, y2 = tracks.boxes[row]
        if tracks.visible[row] and x2 > x1 and y2 > y1:
            want.setdefault(int(tracks.object_id[row]), (int(tracks.frame[row]), (x1, y1, x2, y2)))
    found = first_prompts(tracks)
    assert {p.object_id: (p.frame, p.xyxy) for p in found} == want
    assert all(type(v) is float for p in found for v in p.xyxy)
    assert [p.label for p in found] == [tracks.labels[p.object_id] for p in found]
