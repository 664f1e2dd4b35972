"""A Python function as a segmenter: any model of yours.

create_segmenter(lambda image, box=None, points=None, positive=None: (my_model(image, box) > 0, 1.0))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.contracts import Image, check_image
from vtlab.errors import InputError
from vtlab.prompts import BoxPrompt, ClickPrompt
from vtlab.registry import register_segmenter


@register_segmenter(
    "callable",
    family="segmenter",
    summary="A Python function of an image, a box and clicks that returns a mask, with or without its score.",
    accepts={BoxPrompt, ClickPrompt},
    emits={"masks"},
)
class CallableSegmenter:
    """Masks by a function.

    Args:
        function: Called as `function(image, box=..., points=..., positive=...)` with an RGB image (H, W, 3), the box
            (4,) xyxy or None, the clicks (K, 2) or None, and whether each is on the object; returns a bool mask (H, W),
            or (mask, score in [0, 1]).
    """

    def __init__(self, *, function: Callable[..., Any]):
        if not callable(function):
            raise InputError(f"callable: function must be callable with an image, got {function!r}.")
        self._function = function

    def segment(
        self,
        image: Image,
        *,
        box: ArrayLike | None = None,
        points: ArrayLike | None = None,
        positive: Sequence[bool] | None = None,
    ) -> tuple[NDArray[np.bool_], float]:
        """Call the function; a mask without a score has the score 1."""
        answer = self._function(check_image(image, "callable"), box=box, points=points, positive=positive)
        return (answer, 1.0) if isinstance(answer, np.ndarray) else answer
