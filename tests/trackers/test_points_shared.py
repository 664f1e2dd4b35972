"""Coordinates, windows and chunks that point trackers share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtlab.errors import InputError
from vtlab.trackers.points.windows import (
    chunks,
    convert_points,
    pack_queries,
    resize_frames,
    stream_windows,
)

SIZES = st.tuples(st.integers(2, 700), st.integers(2, 700))
RULES = ("edge", "index", "corner")


def test_edge_scales_the_raster_and_keeps_its_corners():
    corners = [[0, 0], [384, 216], [192, 108]]
    assert convert_points(corners, (216, 384), (256, 256), "edge").tolist() == [
        [0, 0],
        [256, 256],
        [128, 128],
    ]


def test_index_puts_the_first_pixel_centre_on_zero():
    assert convert_points([0.5, 0.5], (10, 20), (10, 20), "index").tolist() == [0, 0]
    assert convert_points([1.0, 1.0], (10, 20), (20, 40), "index").tolist() == [1.5, 1.5]


def test_corner_maps_corner_pixel_centres_on_each_other():
    centres = [[0.5, 0.5], [383.5, 215.5]]
    moved = convert_points(centres, (216, 384), (384, 512), "corner")
    assert moved == pytest.approx(np.array([[0, 0], [511, 383]]))


@given(SIZES, SIZES, st.sampled_from(RULES), st.tuples(st.floats(-50, 900), st.floats(-50, 900)))
def test_there_and_back_is_the_identity(frame, network, rule, point):
    there = convert_points([point], frame, network, rule)
    assert np.allclose(convert_points(there, frame, network, rule, back=True), [point], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_conversion_agrees_with_what_resizing_does_to_pixels(rule):
    """A linear ramp holds x at each pixel's centre; after resizing, the converted position still holds x."""

    frame, network, x = (8, 24), (16, 60), 11.3
    ramp = np.tile(np.arange(24, dtype=np.uint8), (8, 1))[..., None].repeat(3, axis=2)
    resized = resize_frames([ramp], network, rule)[0, 0, 5].numpy()
    assert resize_frames([ramp], frame, rule).shape[-2:] == frame
    position = convert_points([x, 4.0], frame, network, rule)[0] - (0.5 if rule == "edge" else 0.0)
    assert np.interp(position, np.arange(60), resized) == pytest.approx(x - 0.5, abs=1e-4)


def test_conversion_refuses_wrong_shapes_sizes_and_rules():
    with pytest.raises(InputError, match=r"shape \(\.\.\., 2\)"):
        convert_points([1, 2, 3], (4, 4), (4, 4), "edge")
    with pytest.raises(InputError, match="at least 1 pixel"):
        convert_points([1, 2], (0, 4), (4, 4), "edge")
    with pytest.raises(InputError, match="Unknown coordinate rule"):
        convert_points([1, 2], (4, 4), (4, 4), "centre")  # type: ignore[arg-type]


def test_queries_are_packed_in_the_order_that_is_named():
    assert pack_queries([3], [[10, 20]], "tyx").tolist() == [[3, 20, 10]]
    assert pack_queries([3], [[10, 20]], "txy").tolist() == [[3, 10, 20]]
    with pytest.raises(InputError, match="Unknown order"):
        pack_queries([3], [[10, 20]], "xyt")  # type: ignore[arg-type]


@given(st.integers(0, 300), st.integers(1, 60), st.data())
def test_windows_answer_every_frame_once_and_overlap_enough(length, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    windows = list(stream_windows(range(length), size, overlap))
    assert [f for w in windows for f in w.items[w.keep]] == list(range(length))
    for items, keep in windows:
        assert len(items) == min(size, length)
        assert items == list(range(items[0], items[-1] + 1))
        assert keep.start < keep.stop
        if items[0] > 0:
            assert keep.start >= overlap - overlap // 2
        if items[-1] < length - 1:
            assert len(items) - keep.stop == overlap // 2


@given(st.integers(0, 100), st.integers(1, 20), st.booleans(), st.data())
def test_later_windows_can_answer_what_is_shared(length, size, short, data):
    overlap = data.draw(st.integers(0, size - 1))
    windows = list(stream_windows(range(length), size, overlap, later_wins=True, short_last=short))
    assert [f for w in windows for f in w.items[w.keep]] == list(range(length))
    for i, (items, keep) in enumerate(windows):
        last = i == len(windows) - 1
        assert keep.stop == (len(items) if last else size - overlap)
        if short:
            assert items[0] == i * (size - overlap)
            assert keep.start == 0
        else:
            assert len(items) == min(size, length)


def test_windows_hold_no_more_than_one_window_ahead():
    pulled = 0

    def stream():
        nonlocal pulled
        for pulled in range(1, 101):
            yield pulled - 1

    for items, _ in stream_windows(stream(), 10, 4):
        assert pulled <= items[-1] + 2


def test_windows_refuse_an_overlap_as_long_as_the_window():
    with pytest.raises(InputError, match="can't overlap"):
        list(stream_windows(range(100), 8, 8))


def test_chunks_cover_all_points_in_order():
    assert [(s.start, s.stop) for s in chunks(7, 3)] == [(0, 3), (3, 6), (6, 7)]
    assert [(s.start, s.stop) for s in chunks(7, 0)] == [(0, 7)]
    assert list(chunks(0, 3)) == []
