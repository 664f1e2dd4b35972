"""Rows come in order, and tables are laid over each other, by the quick ways as by the plain ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vtlab.errors import TracksError
from vtlab.tracks import PointRows, Record, Tracks
from vtlab.tracks.order import find, laid_over, order_of

ROWS = 60


def table(seed: int, source: str, **columns) -> Tracks:
    """Random rows, each point of one of them."""
    rng = np.random.default_rng(seed)
    cells = rng.choice(12 * 9, ROWS, replace=False)
    frame, ids = cells // 9, cells % 9 - 3
    owner = np.unique(rng.integers(0, ROWS, 25))
    points = PointRows.of(frame[owner], ids[owner], np.zeros(len(owner), int), rng.random((len(owner), 2)))
    boxes = rng.random((ROWS, 4)).cumsum(axis=1)[:, [0, 1, 2, 3]]
    return Tracks.of(frame, ids, boxes, rng.random(ROWS), source=source, points=points, **columns)


@pytest.mark.parametrize("top", [10, 0, ROWS])
def test_laid_over_is_what_choosing_and_joining_gives(top):
    below = table(0, "tracked", occluded=np.arange(ROWS) % 2 == 0)
    above = table(1, "manual", label="a").take(np.arange(top))
    pairs = set(zip(above.frame.tolist(), above.object_id.tolist(), strict=True))
    free = [pair not in pairs for pair in zip(below.frame.tolist(), below.object_id.tolist(), strict=True)]
    plain = Tracks.concat([above, below.take(free)], record=Record())
    quick = laid_over(below, above, Record())
    assert quick.to_frame().equals(plain.to_frame()) or not top
    assert quick.points_frame().equals(plain.points_frame())
    assert len(quick) == len(plain)
    assert quick.occluded.tolist() == plain.occluded.tolist()
    assert laid_over(Tracks.empty(), above, Record()).to_frame().equals(above.to_frame())
    with pytest.raises(TracksError, match="different frame sizes"):
        laid_over(replace(below, size=(5, 5)), replace(above, size=(6, 6)), Record())


def test_rows_are_found_where_they_are_or_would_be():
    tracks = table(2, "tracked")
    frame, ids = (a.ravel() for a in np.mgrid[-1:14, -5:9])
    at, there = find(tracks, frame, ids)
    mine = list(zip(tracks.frame.tolist(), tracks.object_id.tolist(), strict=True))
    for f, i, place, found in zip(*(a.tolist() for a in (frame, ids, at, there)), strict=True):
        assert found == ((f, i) in mine)
        assert place == sum(pair < (f, i) for pair in mine)


@pytest.mark.parametrize("ids", [(-3, 3), (-(1 << 62), 1 << 62)], ids=["one key", "two keys"])
def test_the_order_is_that_of_frame_and_object(ids):
    rng = np.random.default_rng(3)
    frame, object_id = rng.integers(0, 9, 500), rng.integers(*ids, 500)
    order = order_of(frame, object_id)
    assert order.tolist() == np.lexsort((object_id, frame)).tolist()
    assert order_of(frame[order], object_id[order]) is None


def test_every_column_goes_with_its_row_when_a_few_ids_change():
    """Also masks, attributes and polygons, which are compared by what they are and not by their values."""
    n = 40
    tracks = Tracks.of(
        np.repeat(np.arange(n), 3),
        np.tile([1, 2, 3], n),
        [[i, 0, i + 1, 1] for i in range(3 * n)],
        np.linspace(0, 1, 3 * n),
        masks=[np.eye(4, dtype=bool) if i % 2 else None for i in range(3 * n)],
        attributes=[{"n": i} if i % 5 else None for i in range(3 * n)],
        polygons=[[[(i, 0), (i + 1, 0), (i, 1)]] if i % 4 else None for i in range(3 * n)],
        time=[np.nan if i % 7 else i for i in range(3 * n)],
    )
    ids = tracks.object_id.copy()
    ids[:9] = [2, 1, 3] * 3  # 1 and 2 change places on three frames
    new, order = tracks.replace(object_id=ids), np.lexsort((ids, tracks.frame))
    assert new.object_id.tolist() == [1, 2, 3] * n
    for name, values in new.columns().items():
        if name != "object_id":
            old = tracks.columns()[name][order].tolist()
            assert all(a is b or repr(a) == repr(b) for a, b in zip(values.tolist(), old, strict=True)), name


def test_what_is_replaced_is_checked():
    tracks = table(4, "tracked")
    with pytest.raises(TracksError, match="two rows"):
        tracks.replace(object_id=np.ones(ROWS, int))
    with pytest.raises(TracksError, match="is not x1 <= x2"):
        tracks.replace(boxes=tracks.boxes[:, ::-1])
    with pytest.raises(TracksError, match="unknown source"):
        tracks.replace(source="guessed")
    with pytest.raises(TracksError, match="have no row"):
        tracks.replace(frame=tracks.frame + 1)
    with pytest.raises(TracksError, match="count from 0"):
        tracks.replace(frame=tracks.frame - 1, points=PointRows.empty())
