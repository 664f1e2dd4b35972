"""vtlab's trackers as the classes that research toolkits run: VOT's python protocol, got10k's `Tracker`, pytracking's.

[csrt]                                        # trackers.ini of the VOT toolkit
label = csrt
protocol = python
command = vtlab.serve.classes:Vot
arg_tracker = csrt

got10k.experiments.ExperimentGOT10k(...).run(vtlab.serve.classes.Got10k("csrt"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import OnlineTracker
from vtlab.errors import InputError
from vtlab.geometry import xywh_to_xyxy
from vtlab.prompts import BoxPrompt, MaskPrompt, Prompt, Prompts
from vtlab.serve.sources import decoded
from vtlab.trackers.create import create_tracker
from vtlab.tracks import FrameTracks
from vtlab.video import Frame

FPS = 30.0
"""Frames per second that trackers are told where the toolkit says none."""


class _Run:
    """An online tracker, frame by frame."""

    def __init__(self, tracker: Any, params: Mapping[str, Any]):
        made = create_tracker(tracker, **params)
        if not isinstance(made, OnlineTracker):
            raise InputError(f"{made.card.name!r} sees windows of frames; the toolkit gives one at a time.")
        self._tracker = made
        self._index = 0

    def start(self, image: NDArray[np.uint8], prompts: Sequence[Prompt]) -> FrameTracks:
        """Forget everything and start."""
        self._index = 0
        return self._tracker.init(Frame(0, 0.0, image), Prompts(prompts))

    def go_on(self, image: NDArray[np.uint8], prompts: Sequence[Prompt] = ()) -> FrameTracks:
        """The next frame, on which other objects may come."""
        self._index += 1
        return self._tracker.step(Frame(self._index, self._index / FPS, image), Prompts(prompts))

    @property
    def frame(self) -> int:
        """Number of the last frame."""
        return self._index


class Vot:
    """VOT's python protocol (toolkit 0.9), several objects at once; boxes and masks in, boxes out.

    The protocol sends no masks back: of a tracker of masks the box around each is sent.

    Args:
        tracker: Name of an online tracker.
        params: Its parameters (`arg_NAME` of trackers.ini), texts that are read as YAML.
    """

    multiobject = True

    def __init__(self, tracker: str = "csrt", **params: str):
        from vtlab.files import read_yaml

        read = {name: read_yaml(value, f"arg_{name}", InputError) for name, value in params.items()}
        self._run = _Run(tracker, read)
        self._last: list[tuple[float, float, float, float]] = []

    def initialize(self, frame: Any, new: Any = None, properties: Any = None) -> Any:
        """Start on a frame with its objects."""
        self._last = []
        image, prompts = self._read(frame), self._prompts(new, 0)
        return self._told(self._run.start(image, prompts))

    def update(self, frame: Any, new: Any = None, properties: Any = None) -> Any:
        """Go to the next frame, on which objects may be added."""
        image = self._read(frame)
        prompts = self._prompts(new, self._run.frame + 1)
        return self._told(self._run.go_on(image, prompts))

    @staticmethod
    def _read(frame: Any) -> NDArray[np.uint8]:
        name = frame.get("color", next(iter(frame.values()))) if isinstance(frame, Mapping) else frame
        return decoded(Path(name).read_bytes(), str(name))

    def _prompts(self, new: Any, frame: int) -> list[Prompt]:
        found: list[Prompt] = []
        for entry in new or ():
            region = entry[0] if isinstance(entry, tuple) and isinstance(entry[-1], Mapping) else entry
            number = len(self._last) + 1
            if isinstance(region, np.ndarray) and region.ndim == 2:
                made: Prompt = MaskPrompt.of(region, object_id=number, frame=frame)
                x1, y1, x2, y2 = made.box(*region.shape)
            else:
                x1, y1, x2, y2 = _box_of(region)
                made = BoxPrompt((x1, y1, x2, y2), object_id=number, frame=frame)
            self._last.append((x1, y1, x2 - x1, y2 - y1))
            found.append(made)
        return found

    def _told(self, answer: FrameTracks) -> list[tuple[Any, dict[str, float]]]:
        """A region and its properties for each object, in the order in which they came; unseen ones where they were."""
        rows = {i: row for row, i in enumerate(answer.object_ids.tolist())}
        told: list[tuple[Any, dict[str, float]]] = []
        for number in range(1, len(self._last) + 1):
            row = rows.get(number)
            if row is not None and np.isfinite(answer.boxes[row]).all():
                x1, y1, x2, y2 = answer.boxes[row].tolist()
                self._last[number - 1] = (x1, y1, x2 - x1, y2 - y1)
            seen = row is not None and bool(answer.visible[row])
            sure = float(answer.scores[row]) if seen and row is not None else 0.0
            told.append((self._last[number - 1], {"confidence": sure}))
        return told


def _box_of(region: Any) -> tuple[float, float, float, float]:
    """Edges of a rectangle (x, y, width, height), or around a polygon."""
    numbers = np.asarray(region, np.float64).ravel()
    if len(numbers) == 4:
        x1, y1, x2, y2 = xywh_to_xyxy(numbers).tolist()
        return x1, y1, x2, y2
    if len(numbers) < 6 or len(numbers) % 2:
        raise InputError(f"A region is a rectangle or a polygon, got {len(numbers)} numbers.")
    xy = numbers.reshape(-1, 2)
    (x1, y1), (x2, y2) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
    return x1, y1, x2, y2


class Got10k:
    """got10k-toolkit's tracker: `init(image, box)`, `update(image) -> box`; images are Pillow's, boxes x, y, width, height.

    Coordinates are as the toolkit has them, from 1: a box goes in and comes out in one and the same raster.

    Args:
        tracker: Name of an online tracker of boxes.
        params: Its parameters.
    """

    is_deterministic = True

    def __init__(self, tracker: Any = "csrt", **params: Any):
        self._run = _Run(tracker, params)
        self.name = str(tracker)
        self._box = np.zeros(4)

    def init(self, image: Any, box: Any) -> None:
        """Start on a box."""
        self._box = np.asarray(box, np.float64)
        x1, y1, x2, y2 = xywh_to_xyxy(self._box).tolist()
        self._run.start(_rgb(image), [BoxPrompt((x1 - 1, y1 - 1, x2 - 1, y2 - 1))])

    def update(self, image: Any) -> NDArray[np.float64]:
        """The box on the next image; the last one where it isn't seen."""
        answer = self._run.go_on(_rgb(image))
        if len(answer) and np.isfinite(answer.boxes[0]).all():
            x1, y1, x2, y2 = answer.boxes[0]
            self._box = np.array([x1 + 1, y1 + 1, x2 - x1, y2 - y1])
        return self._box.copy()

    def track(self, img_files: Sequence[str], box: Any, visualize: bool = False) -> tuple[Any, Any]:
        """Boxes (N, 4) and seconds (N,) of a sequence, the first one given."""
        import time

        from PIL import Image

        boxes, seconds = np.zeros((len(img_files), 4)), np.zeros(len(img_files))
        for n, file in enumerate(img_files):
            with Image.open(file) as picture:
                image = picture.convert("RGB")
            begin = time.perf_counter()
            if n:
                boxes[n] = self.update(image)
            else:
                self.init(image, box)
                boxes[0] = box
            seconds[n] = time.perf_counter() - begin
        return boxes, seconds


class Pytracking:
    """pytracking's tracker: `initialize(image, {"init_bbox": xywh})`, `track(image, info) -> {"target_bbox": xywh}`.

    Args:
        tracker: Name of an online tracker.
        params: Its parameters.
    """

    def __init__(self, tracker: Any = "csrt", **params: Any):
        self._run = _Run(tracker, params)
        self._box: list[float] = []

    def initialize(self, image: NDArray[np.uint8], info: Mapping[str, Any]) -> dict[str, Any]:
        """Start on a box, or on a mask."""
        if info.get("init_mask") is not None:
            prompt: Prompt = MaskPrompt.of(info["init_mask"])
        else:
            x1, y1, x2, y2 = xywh_to_xyxy(np.asarray(info["init_bbox"], np.float64)).tolist()
            prompt = BoxPrompt((x1, y1, x2, y2))
        x1, y1, x2, y2 = prompt.box(*image.shape[:2]).tolist()
        self._box = [x1, y1, x2 - x1, y2 - y1]
        self._run.start(image, [prompt])
        return {}

    def track(self, image: NDArray[np.uint8], info: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Where it is on the next image: the last box, and a score of 0, where it isn't seen."""
        answer = self._run.go_on(image)
        seen = len(answer) > 0 and bool(answer.visible[0])
        if len(answer) and np.isfinite(answer.boxes[0]).all():
            x1, y1, x2, y2 = answer.boxes[0].tolist()
            self._box = [x1, y1, x2 - x1, y2 - y1]
        found: dict[str, Any] = {"target_bbox": list(self._box)}
        found["object_presence_score"] = float(answer.scores[0]) if seen else 0.0
        if answer.masks is not None:
            found["segmentation"] = answer.masks[0].astype(np.uint8)
        return found


def _rgb(image: Any) -> NDArray[np.uint8]:
    return np.asarray(image.convert("RGB") if hasattr(image, "convert") else image, np.uint8)
