"""A Python function as a detector: any model of yours, and every `supervision` connector.

CallableDetector(function=lambda image: sv.Detections.from_ultralytics(model(image[..., ::-1])[0]))
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vtlab.contracts import Detector, Image, check_image
from vtlab.contracts.answers import brief
from vtlab.detectors.base import check_fraction
from vtlab.errors import AnswerError, InputError, VtlabWarning
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Frame


_ANSWERED = " answered with "


@register_detector(
    "callable",
    family="detector",
    summary="A Python function of an image that returns supervision.Detections or boxes (N, 4..6).",
    emits={"boxes", "masks", "points"},
)
class CallableDetector(Detector):
    """Detections by a function.

    Args:
        function: Takes an RGB image (H, W, 3) and returns `supervision.Detections` (for instance of a connector
            such as `from_ultralytics` or `from_inference`), or an array (N, 4), (N, 5) or (N, 6) of
            x1, y1, x2, y2[, confidence[, class number]]. Without confidence it is 1, without classes all are class 0.
        names: Names of the class numbers; without them classes are called by their number.
        confidence: Lowest confidence that stays.
    """

    def __init__(
        self,
        *,
        function: Callable[[Image], sv.Detections | np.ndarray],
        names: Sequence[str] = (),
        confidence: float = 0.0,
    ):
        if not callable(function):
            raise InputError(f"callable: function must be callable with an image, got {function!r}.")
        self._function = function
        self.names = tuple(str(n) for n in names)
        self._confidence = check_fraction("confidence", confidence, "callable")

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Call the function on each frame."""
        return [self._one(check_image(image, "callable")) for image in frames]

    def detect_frame(self, frame: Frame) -> sv.Detections:
        """Call the function on a frame, whose number its faults are told with."""
        try:
            return self.detect([frame.image])[0]
        except AnswerError as error:
            raise AnswerError(
                str(error).replace(_ANSWERED, f" answered on frame {frame.index} with ", 1)
            ) from None

    def _one(self, image: Image) -> sv.Detections:
        import supervision as sv

        answer = self._function(image)
        found = answer if isinstance(answer, sv.Detections) else self._from_array(answer)
        found = copy.copy(found)  # the function's own stays as it is
        if found.confidence is None:
            found.confidence = np.ones(len(found))
        ids = found.class_id = np.zeros(len(found), np.int64) if found.class_id is None else found.class_id
        if "class_name" not in found.data:
            found.data = {**found.data, "class_name": np.array(self._labels(ids), dtype=np.str_)}
        if len(found) and self._confidence > 0:
            largest = float(found.confidence.max())
            found = cast("sv.Detections", found[found.confidence >= self._confidence])
            found.metadata |= {"largest_score": largest, "confidence": self._confidence}
        return found

    def _from_array(self, values: Any) -> sv.Detections:
        import supervision as sv

        try:
            array = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty((0, 0, 0))
        if isinstance(values, (list, tuple, np.ndarray)) and array.size == 0 and array.ndim <= 2:
            array = array.reshape(0, 4)
        if array.ndim != 2 or not 4 <= array.shape[1] <= 6:
            raise AnswerError(
                f"The detector 'callable' ({getattr(self._function, '__qualname__', self._function)}){_ANSWERED}"
                f"{brief(values)}. Remedy: it must return supervision.Detections or an array (N, 4..6) of x1, y1, x2, y2, "
                "confidence, class."
            )
        whole = np.isfinite(array).all(axis=1)
        if not whole.all():
            warnings.warn(
                f"callable: {int((~whole).sum())} of the function's {len(array)} boxes hold NaN or infinite values "
                "and are left out.",
                VtlabWarning,
                stacklevel=2,
            )
            array = array[whole]
        classes = array[:, 5] if array.shape[1] > 5 else np.zeros(len(array))
        odd = classes[classes != np.floor(classes)]
        if len(odd):
            raise AnswerError(
                f"The detector 'callable' ({getattr(self._function, '__qualname__', self._function)}){_ANSWERED}"
                f"the class {odd[0]:g}. Remedy: a whole number in the sixth column."
            )
        confidence = array[:, 4] if array.shape[1] > 4 else np.ones(len(array))
        ids = classes.astype(np.int64)
        return sv.Detections(
            xyxy=array[:, :4],
            confidence=confidence,
            class_id=ids,
            data={"class_name": np.array(self._labels(ids), dtype=np.str_)},
        )

    def _labels(self, ids: np.ndarray) -> list[str]:
        return [self.names[i] if 0 <= i < len(self.names) else str(i) for i in ids]
