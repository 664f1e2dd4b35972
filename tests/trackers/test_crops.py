"""Windows, crops, Hann windows and box mapping of the single-object trackers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtlab.errors import InputError
from vtlab.geometry import xyxy_to_cxcywh
from vtlab.trackers.boxes import crops as _crops
from vtlab.trackers.boxes.crops import Window

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_context_window_by_hand():
    # w = 20, h = 10, p = 15: template sqrt(35 * 25) = 29.6 -> 30, search sqrt(65 * 55) = 59.8 -> 60
    assert _crops.context_window([10, 10, 30, 20], 1) == Window(left=5, top=0, side=30)
    assert _crops.context_window([10, 10, 30, 20], 3) == Window(left=-10, top=-15, side=60)


def test_area_window_rounds_half_to_even():
    # side ceil(2 * sqrt(100)) = 20; centre 5.5 - 10 = -4.5 -> -4, centre 6.5 - 10 = -3.5 -> -4
    assert _crops.area_window([0.5, 1.5, 10.5, 11.5], 2) == Window(left=-4, top=-4, side=20)


@pytest.mark.parametrize("box", [[0, 0, 0, 5], [5, 5, 1, 9], [0, 0, np.nan, 4], [0, 0, np.inf, 4], [1, 2, 3]])
def test_a_box_without_area_is_refused(box):
    for window in (_crops.context_window, _crops.area_window):
        with pytest.raises(InputError, match="Remedy"):
            window(box, 2.0)


@settings(max_examples=60, deadline=None)
@given(left=st.integers(-60, 60), top=st.integers(-60, 60), side=st.integers(1, 50), cut_last=st.booleans())
def test_crop_equals_a_pixel_by_pixel_copy(left, top, side, cut_last):
    fill = (10.9, 20.5, 30.1)
    height, width = IMAGE.shape[:2]
    expected = np.empty((side, side, 3), np.uint8)
    x_end = width - (cut_last and left + side >= width)
    y_end = height - (cut_last and top + side >= height)
    for r in range(side):
        for c in range(side):
            inside = 0 <= top + r < y_end and 0 <= left + c < x_end
            expected[r, c] = IMAGE[top + r, left + c] if inside else (10, 20, 30)
    before = IMAGE.copy()
    got = _crops.crop(IMAGE, Window(left, top, side), side, fill=fill, cut_last=cut_last)
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(IMAGE, before)
    got[:] = 0
    np.testing.assert_array_equal(IMAGE, before)


def test_a_huge_window_is_sampled_like_a_copied_one(monkeypatch):
    window = Window(-300, -217, 700)
    copied = _crops.crop(IMAGE, window, 64)
    monkeypatch.setattr(_crops, "MAX_COPY", 100)
    np.testing.assert_allclose(_crops.crop(IMAGE, window, 64).astype(int), copied, atol=1)


def test_network_input_is_normalised_rgb():
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'vtlab[torch]'")
    crops = [np.full((4, 4, 3), (255, 0, 51), np.uint8)] * 2
    x = _crops.network_input(crops, channels_last=True)
    assert x.shape == (2, 3, 4, 4)
    assert x.dtype == torch.float32
    assert x.is_contiguous(memory_format=torch.channels_last)
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(x[1, :, 2, 3], expected, rtol=1e-6)


def test_hann_windows():
    full, inner = _crops.hann_window(5), _crops.hann_window(3, ends=False)
    assert full.shape == (5, 5)
    assert full[2, 2] == 1
    assert full[0].max() == 0
    np.testing.assert_allclose(full[1:-1, 1:-1], inner)


def test_boxes_from_crops_by_hand():
    # crop of side 100 around centre (50, 40): the middle of the crop is that centre
    got = _crops.boxes_from_crops([[0.5, 0.6, 0.2, 0.1]], [[40, 30, 60, 50]], [100])
    np.testing.assert_allclose(got, [[40, 45, 60, 55]])


BOX = st.tuples(*[st.floats(-200, 300, allow_nan=False) for _ in range(4)])


@given(box=BOX, width=st.integers(1, 100), height=st.integers(1, 100))
def test_limited_boxes_are_always_usable(box, width, height):
    corners = _crops.limit_corners(box, width, height)[0]
    assert (corners[2:] - corners[:2] >= 10 - 1e-9).all()
    assert (corners[:2] >= 0).all()
    assert (corners[2:] <= np.maximum([width, height], 10) + 1e-9).all()
    cx, cy, w, h = xyxy_to_cxcywh(_crops.limit_center(box, width, height))[0]
    assert -1e-9 <= cx <= width + 1e-9
    assert -1e-9 <= cy <= height + 1e-9
    assert 10 - 1e-9 <= w <= max(width, 10) + 1e-9
    assert 10 - 1e-9 <= h <= max(height, 10) + 1e-9
    for limited in (_crops.limit_corners(box, width, height), _crops.limit_center(box, width, height)):
        _crops.area_window(limited, 4.0)
        _crops.context_window(limited, 3.0)
