"""CVAT's door: a tracking function for its agent, `cvat-cli function run-agent`.

The agent's contract is that of cvat-sdk 2.80: `spec`, `preprocess_image`, `init_tracking_state`, `track`. One state belongs
to one shape; the shape that comes back is of the type that was given. A shape there is a type and numbers: a skeleton's are
the points of its elements, in their order, and nothing says which of them are hidden. The file to give to the agent is made
by `vtlab serve --scaffold cvat-agent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtlab import masks
from vtlab.contracts import OnlineTracker
from vtlab.errors import InputError, VtlabError
from vtlab.formats.borders import crop_boxes, crop_ring, from_row_runs, row_runs
from vtlab.prompts import BoxPrompt, MaskPrompt, PointPrompt, Prompt, Prompts, SkeletonPrompt
from vtlab.registry import TRACKERS
from vtlab.serve.follow import choose, figure_of
from vtlab.serve.jobs import RefusedError
from vtlab.trackers.create import create_tracker
from vtlab.video import Frame

FPS = 25.0
"""Frames per second that trackers are told: the agent says none."""
_SAMPLES: Mapping[str, Prompt] = {
    "rectangle": BoxPrompt((0, 0, 2, 2)),
    "mask": MaskPrompt(polygon=((0, 0), (2, 0), (2, 2))),
    "polygon": PointPrompt(((0, 0), (2, 0), (2, 2)), shape="polygon"),
    "polyline": PointPrompt(((0, 0), (2, 0)), shape="polyline"),
    "points": PointPrompt(((0, 0),)),
    "skeleton": SkeletonPrompt(((0, 0), (2, 0))),
}


def create(tracker: str = "csrt", **params: Any) -> Function:
    """What the agent calls with its `-p` options: `-p tracker=str:csrt`, several names with commas between them."""
    return Function(tuple(tracker.split(",")), params)


@dataclass
class _State:
    """One shape that is followed."""

    tracker: OnlineTracker
    prompt: Prompt
    kind: str
    size: tuple[int, int]
    frame: int = 0


class Function:
    """The functions that the agent calls.

    Args:
        trackers: Names of online trackers; the first made for a shape follows it.
        params: Parameters, where one tracker is used.

    Attributes:
        shapes: Types of shapes that can be followed.
    """

    def __init__(self, trackers: Sequence[str], params: Mapping[str, Any] | None = None):
        self._trackers, self._params = tuple(trackers), dict(params or {})
        for name in self._trackers:
            if not issubclass(TRACKERS.find(name), OnlineTracker) and TRACKERS.card(name).family == "multi":
                raise InputError(f"{name!r} sees the whole video; the agent gives one frame at a time.")
        self.shapes = [kind for kind, sample in _SAMPLES.items() if self._able(sample)]
        if not self.shapes:
            raise InputError(
                f"{', '.join(self._trackers)} follow no shape of CVAT's. Remedy: -p tracker=str:csrt."
            )

    def _able(self, sample: Prompt) -> bool:
        try:
            choose(sample, self._trackers)
        except RefusedError:
            return False
        return True

    @property
    def spec(self) -> Any:
        """What the agent asks first."""
        from cvat_sdk.auto_annotation import TrackingFunctionSpec

        return TrackingFunctionSpec(supported_shape_types=self.shapes)

    def preprocess_image(self, context: Any, image: Any) -> Any:
        """Pillow's image as RGB (H, W, 3), uint8."""
        return np.asarray(image.convert("RGB"))

    def init_tracking_state(self, context: Any, pp_image: Any, shape: Any) -> _State:
        """Start to follow a shape."""
        size = pp_image.shape[:2]
        prompt = to_prompt(shape.type, shape.points, size)
        tracker = create_tracker(choose(prompt, self._trackers), **self._params)
        if not isinstance(tracker, OnlineTracker):
            raise InputError(f"{tracker.card.name!r} sees windows of frames; the agent gives one at a time.")
        tracker.init(Frame(0, 0.0, np.array(pp_image)), Prompts([prompt]))
        return _State(tracker, prompt, shape.type, size)

    def track(self, context: Any, pp_image: Any, state: _State) -> Any:
        """The shape on the next frame; None where it isn't seen."""
        from cvat_sdk.auto_annotation import TrackableShape

        points = self.step(pp_image, state)
        return None if points is None else TrackableShape(type=state.kind, points=points)

    def step(self, pp_image: Any, state: _State) -> list[float] | None:
        """The shape's numbers on the next frame, without CVAT's classes."""
        if pp_image.shape[:2] != state.size:
            raise VtlabError(
                f"The frame has {pp_image.shape[:2]} px (height, width), the first had {state.size}."
            )
        state.frame += 1
        answer = state.tracker.step(Frame(state.frame, state.frame / FPS, np.array(pp_image)))
        figure = figure_of(state.prompt, state.frame, answer)
        return None if figure is None else to_points(figure, state.size)


def to_prompt(kind: str, points: Sequence[float], size: tuple[int, int]) -> Prompt:
    """The prompt of a shape on a frame of size (height, width).

    Raises:
        InputError: It is no such shape.
    """
    if kind not in _SAMPLES:
        raise InputError(f"A {kind!r} can't be followed. Shapes: {', '.join(_SAMPLES)}.")
    numbers = np.asarray(points, np.float64)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise InputError(f"A {kind} should be a list of numbers, got {str(points)[:60]}.")
    if kind == "mask":
        return _mask(numbers, size)
    if len(numbers) % 2 or (kind == "rectangle" and len(numbers) != 4):
        raise InputError(f"A {kind} has {len(numbers)} numbers.")
    if kind == "rectangle":
        x1, y1, x2, y2 = numbers.tolist()
        return BoxPrompt((x1, y1, x2, y2))
    xy = tuple((float(x), float(y)) for x, y in numbers.reshape(-1, 2))
    if kind == "skeleton":
        return SkeletonPrompt(xy)
    shape = {"polygon": "polygon", "polyline": "polyline"}.get(kind, "points")
    return PointPrompt(xy, shape=shape)  # type: ignore[arg-type]


def _mask(numbers: Any, size: tuple[int, int]) -> Prompt:
    """Runs along the rows of the crop, and its first and last column and row."""
    *runs, left, top, right, bottom = (int(v) for v in numbers.tolist())
    if not (0 <= left <= right < size[1] and 0 <= top <= bottom < size[0]):
        raise InputError(
            f"A mask in columns {left} to {right}, rows {top} to {bottom}: the frame is smaller."
        )
    whole = np.zeros(size, bool)
    whole[top : bottom + 1, left : right + 1] = from_row_runs(runs, bottom - top + 1, right - left + 1)
    return MaskPrompt.of(whole)


def to_points(figure: Prompt, size: tuple[int, int]) -> list[float] | None:
    """A figure's numbers, cut to the frame; None where nothing is left."""
    if isinstance(figure, BoxPrompt):
        cut = crop_boxes(figure.xyxy, size)
        return [float(v) for v in cut.tolist()] if np.isfinite(cut).all() else None
    if isinstance(figure, MaskPrompt):
        mask = figure.mask(*size)
        x1, y1, x2, y2 = masks.to_box(mask).astype(int).tolist()
        return [float(v) for v in (*row_runs(mask[y1:y2, x1:x2]), x1, y1, x2 - 1, y2 - 1)]
    assert isinstance(figure, PointPrompt | SkeletonPrompt)
    xy = np.asarray(figure.points)
    if isinstance(figure, PointPrompt) and figure.shape == "polygon":
        xy = crop_ring(xy, size)
        return xy.ravel().tolist() if len(xy) > 2 else None
    if (xy.max(axis=0) < 0).any() or (xy.min(axis=0) > (size[1], size[0])).any():
        return None
    return [float(v) for v in np.clip(xy, 0, (size[1], size[0])).ravel().tolist()]
