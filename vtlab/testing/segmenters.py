"""What every segmenter must do, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vtlab.contracts import Segmenter
from vtlab.contracts.parts import segment
from vtlab.registry import SEGMENTERS
from vtlab.testing.contract import Contract, make
from vtlab.testing.scenes import moving_square, square_box


class SegmenterPart:
    """A segmenter under test."""

    def __init__(self, spec: Any, params: Mapping[str, Any]):
        self.spec, self.params = spec, dict(params)
        self.card = SEGMENTERS.card(spec)

    def made(self) -> Segmenter:
        """A new segmenter; NotAsked where its weights, packages or necessary parameters are missing."""
        found = make(SEGMENTERS, self.spec, self.params)
        assert isinstance(found, Segmenter), f"{type(found).__name__} is no segmenter: see vtlab/contracts"
        return found


SEGMENTER = Contract(SegmenterPart)
_PROMPTS: tuple[dict[str, Any], ...] = (
    {"box": square_box(0)},
    {"points": [(32.0, 28.0)]},
    {"points": [(32.0, 28.0), (100.0, 80.0)], "positive": [True, False]},
    {"box": square_box(0), "points": [(32.0, 28.0)]},
)


@SEGMENTER.check
def _(part: SegmenterPart) -> None:
    """a box, clicks, or both give a mask of the image's size and a score in [0, 1]"""
    segmenter, image = part.made(), moving_square(1)[0]
    for prompt in _PROMPTS:
        segment(segmenter, image, **prompt)


@SEGMENTER.check
def _(part: SegmenterPart) -> None:
    """gives the same answer again, whatever it saw in between, and leaves the image unchanged"""
    segmenter = part.made()
    image, other = moving_square(2)
    before = image.copy()
    first = segmenter.segment(image, box=square_box(0))
    segmenter.segment(other, box=square_box(1))
    again = segmenter.segment(image, box=square_box(0))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1] == again[1]
    np.testing.assert_array_equal(image, before)


@SEGMENTER.check
def _(part: SegmenterPart) -> None:
    """takes a box of one pixel and one that reaches over the image"""
    segmenter, image = part.made(), moving_square(1)[0]
    for box in ((50.0, 50.0, 51.0, 51.0), (-20.0, -20.0, 40.0, 500.0)):
        segment(segmenter, image, box=box)
