"""GrabCut: boxes and clicks to masks."""

from __future__ import annotations

import numpy as np
import pytest

from vtlab import masks
from vtlab.contracts import Segmenter
from vtlab.errors import InputError, RegistryError
from vtlab.segmenters import create_segmenter, guessing


@pytest.fixture(scope="module")
def disc():
    rng = np.random.default_rng(0)
    image = rng.integers(20, 90, (120, 160, 3), dtype=np.uint8)
    y, x = np.mgrid[:120, :160] + 0.5
    mask = (x - 70) ** 2 + (y - 50) ** 2 < 25**2
    image[mask] += np.array([140, 100, 0], np.uint8)
    return image, mask


def test_box(disc):
    image, mask = disc
    before = image.copy()
    found, score = create_segmenter("grabcut").segment(image, box=(40, 22, 100, 80))
    assert masks.iou(found, mask) > 0.95
    assert 0.5 < score <= 1
    np.testing.assert_array_equal(image, before)


def test_clicks(disc):
    image, mask = disc
    found, _ = create_segmenter().segment(image, points=[(70, 50), (120, 90)], positive=[True, False])
    assert masks.iou(found, mask) > 0.9


def test_the_score_tells_a_mask_that_takes_in_what_is_near(disc):
    """A dog before a hedge of its colours: the mask grows as far as is looked."""
    image, mask = disc
    _, alone = create_segmenter().segment(image, points=[(70, 50), (60, 45), (80, 55)])
    hedge = image.copy()
    hedge[:, 30:140] = np.random.default_rng(1).integers(150, 240, (120, 110, 3), dtype=np.uint8)
    found, taken = create_segmenter().segment(hedge, points=[(70, 50), (60, 45), (80, 55)])
    assert masks.iou(found, mask) < 0.6
    assert taken < 0.6 < 0.9 < alone
    assert "unsure" in guessing(create_segmenter(), taken, boxed=False)
    assert "is sure" in guessing(create_segmenter(), alone, boxed=False)
    assert guessing(create_segmenter(), taken, boxed=True) == ""


def test_a_flat_image_gives_the_box_with_score_0():
    image = np.full((60, 80, 3), 120, np.uint8)
    found, score = create_segmenter().segment(image, box=(10, 20, 30, 45))
    np.testing.assert_array_equal(masks.to_box(found), (10, 20, 30, 45))
    assert score == 0


def test_a_one_pixel_box():
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    found, _ = create_segmenter().segment(image, box=(10, 20, 11, 21))
    assert found[20, 10]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "needs a box"),
        ({"points": [(500, 3)]}, "outside the image"),
        ({"box": (200, 10, 300, 20)}, "outside the image"),
        ({"points": [(5, 3)], "positive": [True, False]}, "1 clicks but 2"),
        ({"points": [(5, 3)], "positive": [False]}, "positive click"),
    ],
)
def test_bad_input(disc, kwargs, message):
    with pytest.raises(InputError, match=message):
        create_segmenter().segment(disc[0], **kwargs)


def test_names():
    assert isinstance(create_segmenter(), Segmenter)
    with pytest.raises(RegistryError, match="Did you mean 'grabcut'"):
        create_segmenter("grabcat")
    with pytest.raises(RegistryError, match="no segmenter"):
        create_segmenter(3)
