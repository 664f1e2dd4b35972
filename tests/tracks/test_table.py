"""Tracks: columns, views, validation, and the Parquet round trip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.errors import FormatError, TracksError, WriteError
from vtlab.tracks import FrameTracks, PointRows, Tracks, TracksBuilder


@st.composite
def tracks(draw):
    rows = draw(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 4)), max_size=12, unique=True))
    n = len(rows)
    corner = draw(
        st.lists(st.tuples(*[st.floats(-50, 50)] * 2, *[st.floats(0, 50)] * 2), min_size=n, max_size=n)
    )
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in corner]).reshape(-1, 4)
    size = (6, 8) if draw(st.booleans()) else None
    masks = [np.random.default_rng(i).random((6, 8)) > 0.5 for i in range(n)] if size else None
    points = PointRows.of(
        [f for f, _ in rows for _ in range(2)],
        [o for _, o in rows for _ in range(2)],
        [0, 1] * n,
        np.arange(4 * n),
    )
    return Tracks.of(
        [f for f, _ in rows],
        [o for _, o in rows],
        boxes,
        draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)),
        draw(st.lists(st.booleans(), min_size=n, max_size=n)),
        label=draw(st.lists(st.none() | st.text(max_size=5), min_size=n, max_size=n)),
        source=draw(st.sampled_from(["tracked", "manual"])),
        masks=masks,
        velocity=draw(st.none() | st.just(np.ones((n, 2)))),
        points=points,
        size=size,
        meta={"tracker": {"name": "x"}, "n": n},
        step_seconds=[0.1] * n,
    )


def assert_same(a: Tracks, b: Tracks) -> None:
    for name in ("frame", "object_id", "boxes", "score", "visible", "step_seconds"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in ("label", "source", "rle", "velocity"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None), name
        assert x is None or x.tolist() == y.tolist(), name
    for name in PointRows.__slots__:
        np.testing.assert_array_equal(getattr(a.points, name), getattr(b.points, name), err_msg=name)
    assert (a.size, a.meta) == (b.size, b.meta)


@settings(max_examples=40, deadline=None)
@given(tracks())
def test_parquet_round_trip_is_the_identity(tmp_path_factory, t):
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    assert_same(Tracks.load(t.save(path)), t)


@settings(max_examples=40, deadline=None)
@given(tracks(), st.randoms())
def test_row_order_does_not_matter(t, random):
    order = list(range(len(t)))
    random.shuffle(order)
    again = Tracks.of(
        t.frame[order],
        t.object_id[order],
        t.boxes[order],
        t.score[order],
        t.visible[order],
        label=t.label[order].tolist(),
        source=t.source[order].tolist(),
        masks=None if t.rle is None else t.rle[order].tolist(),
        velocity=None if t.velocity is None else t.velocity[order],
        points=t.points,
        size=t.size,
        meta=t.meta,
        step_seconds=t.step_seconds,
    )
    assert_same(again, t)


@settings(max_examples=40, deadline=None)
@given(tracks())
def test_views_partition_the_rows(t):
    assert sum(len(t.at(int(f))) for f in t.frames) == len(t)
    assert sum(len(t.of_object(int(i)).points) for i in t.object_ids) == len(t.points)
    assert_same(
        Tracks.concat([t.of_object(int(i)) for i in t.object_ids], meta=t.meta).replace(
            step_seconds=t.step_seconds
        )
        if len(t)
        else t,
        t,
    )


def make(**changes):
    values = {"frame": [0, 1], "object_id": [1, 1], "boxes": [[0, 0, 2, 2], [1, 1, 3, 3]]}
    return Tracks.of(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": [0, 0]}, "object 1 has two rows on frame 0"),
        ({"frame": [-1, 0]}, "frames count from 0, got frame -1"),
        ({"boxes": [[0, 0, 2, 2], [3, 1, 1, 3]]}, "not x1 <= x2"),
        ({"boxes": [[0, 0, 2, 2], [0, 0, np.inf, 3]]}, "finite edges"),
        ({"boxes": np.zeros((3, 4))}, r"expected 'boxes' of shape \(2, 4\), got \(3, 4\)"),
        ({"source": "guessed"}, "unknown source 'guessed'. Known: tracked"),
        ({"label": ["a"]}, "expected 2 values in 'label', got 1"),
        ({"masks": [np.ones((2, 2)), np.ones((3, 3))]}, "mask 1 has size"),
        ({"points": PointRows.of([5], [1], [0], [[1, 1]])}, "points of object 1 on frame 5 have no row"),
        ({"points": PointRows.of([0, 0], [1, 1], [0, 0], [[1, 1], [2, 2]])}, "is twice on frame 0"),
        ({"score": "high"}, "column 'score' can't be read"),
    ],
)
def test_invalid_tracks_are_refused(changes, message):
    with pytest.raises(TracksError, match=message):
        make(**changes)


def test_builder_keeps_masks_encoded_and_boxes_are_their_extents():
    builder = TracksBuilder((6, 8))
    mask = np.zeros((1, 6, 8), bool)
    mask[0, 2:4, 1:5] = True
    for frame in range(3):
        builder.add(frame, FrameTracks.of([7], masks=mask, labels=["cat"]))
    t = builder.build({"a": 1})
    np.testing.assert_array_equal(t.boxes, [[1, 2, 5, 4]] * 3)
    np.testing.assert_array_equal(t.masks_at(1)[7], mask[0])
    assert t.labels == {7: "cat"}


def test_point_answers_derive_their_objects():
    answer = FrameTracks.of_points(
        [2, 1, 1], [0, 1, 0], [[9, 9], [4, 6], [1, 2]], [False, True, True], [0.2, 0.6, 0.8]
    )
    assert answer.object_ids.tolist() == [1, 2]
    np.testing.assert_array_equal(answer.boxes[0], [1, 2, 4, 6])
    assert np.isnan(answer.boxes[1]).all()
    assert answer.visible.tolist() == [True, False]
    np.testing.assert_allclose(answer.scores, [0.7, 0.2])


def test_supervision_and_join():
    t = make(label=["a", None])
    detections = t.to_supervision(0)
    assert detections.tracker_id.tolist() == [1]
    assert detections.data["label"].tolist() == ["a"]
    joined = t.join(make(boxes=[[0, 0, 2, 2], [1, 1, 3, 4]]))
    assert joined["y2_other"].tolist() == [2, 4]


def test_files_that_are_not_tracks(tmp_path):
    with pytest.raises(FormatError, match="no such tracks file"):
        Tracks.load(tmp_path / "none.parquet")
    text = tmp_path / "text.parquet"
    text.write_text("hello")
    with pytest.raises(FormatError, match="not a Parquet file"):
        Tracks.load(text)
    other = tmp_path / "other.parquet"
    make().to_frame().to_parquet(other)
    with pytest.raises(FormatError, match="no 'vtlab' metadata"):
        Tracks.load(other)


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    def full(table, path, **_):
        path.write_bytes(b"PAR1 half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(WriteError, match=r"can't be written: No space left"):
        make().save(tmp_path / "t.parquet")
    assert list(tmp_path.iterdir()) == []
