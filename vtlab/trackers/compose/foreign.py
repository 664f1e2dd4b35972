"""Trackers that were written for other toolkits, as they are: `vtlab track -t got10k:my_module.Tracker`.

| spec | what the class has |
| --- | --- |
| `got10k:` | `init(image, box)`, `update(image) -> box`; Pillow's image, boxes x, y, width, height from pixel 1 |
| `pytracking:` | `initialize(image, {"init_bbox": xywh})`, `track(image) -> {"target_bbox": xywh}` |
| `vot:` | VOT's python protocol: `initialize(file, new, properties)`, `update(file)`; a region, or (region, properties) |
| `boxmot:` | `update(dets, image) -> tracks`; rows x1, y1, x2, y2, score, class; and x1, y1, x2, y2, id, score, class, row |
| `supervision:` | `update(detections) -> detections` with `tracker_id` |

After the colon stands `module.Class` or `file.py:Class`; the class is made without arguments. Those of the last two rows
join what a detector finds: their parameters are `detector` and `detector_params`.
"""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import sys
import tempfile
import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.contracts import Associator, Card, Observation, SingleObjectTracker
from vtlab.errors import AnswerError, RegistryError
from vtlab.geometry import box_iou, xywh_to_xyxy
from vtlab.prompts import BoxPrompt, Prompt
from vtlab.registry import TRACKERS, load_file
from vtlab.trackers.compose.by_detection import ByDetection

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Frame

# Overlap from which on a track's box is that of a detection, where its row isn't told: filters smooth what they report.
_SAME = 0.7


def _class(target: str, kind: str) -> Any:
    """The class of `module.Class` or `file.py:Class`."""
    if ".py:" in target:
        return load_file(target, kind)
    module, _, name = target.rpartition(".")
    if not module:
        raise RegistryError(f"{kind}:{target}: give module.Class or file.py:Class.")
    if "" not in sys.path and "." not in sys.path:
        sys.path.append(".")  # a module in the working folder, after all that is installed
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RegistryError(f"{kind}:{target}: {error}.") from error


def _xywh(answer: Any, who: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    box = np.asarray(answer, np.float64).ravel()
    if box.shape != (4,):
        raise AnswerError(f"{who!r} answered {str(answer)[:60]}, expected x, y, width, height.")
    return box


class _Got10k(SingleObjectTracker):
    """A tracker of got10k-toolkit; its boxes count pixels from 1."""

    target: Callable[[], Any]

    def __init__(self) -> None:
        self._inner = type(self).target()

    def init(self, frame: Frame, prompt: Prompt) -> None:
        """Start on a box."""
        from PIL import Image

        x1, y1, x2, y2 = prompt.box(*frame.image.shape[:2])
        self._inner.init(Image.fromarray(frame.image), np.array([x1 + 1, y1 + 1, x2 - x1, y2 - y1]))

    def step(self, frame: Frame) -> Observation:
        """Its next box."""
        from PIL import Image

        box = _xywh(self._inner.update(Image.fromarray(frame.image)), self.card.name)
        return Observation(xywh_to_xyxy(box) - 1)


class _Pytracking(SingleObjectTracker):
    """A tracker of pytracking."""

    target: Callable[[], Any]

    def __init__(self) -> None:
        self._inner = type(self).target()

    def init(self, frame: Frame, prompt: Prompt) -> None:
        """Start on a box."""
        x1, y1, x2, y2 = prompt.box(*frame.image.shape[:2]).tolist()
        self._inner.initialize(frame.image, {"init_bbox": [x1, y1, x2 - x1, y2 - y1]})

    def step(self, frame: Frame) -> Observation:
        """Its next box, and how sure it says to be."""
        told = self._inner.track(frame.image)
        box = _xywh(told["target_bbox"], self.card.name)
        score = float(np.clip(told.get("object_presence_score", 1.0), 0.0, 1.0))
        return Observation(xywh_to_xyxy(box), score, score > 0)


class _Vot(SingleObjectTracker):
    """A tracker of VOT's python protocol, which reads frames from files: they are written without loss, one by one."""

    target: Callable[[], Any]

    def __init__(self) -> None:
        self._inner = type(self).target()
        self._several = bool(getattr(self._inner, "multiobject", False))
        self._folder = Path(tempfile.mkdtemp(prefix="vtlab-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def init(self, frame: Frame, prompt: Prompt) -> None:
        """Start on a box."""
        x1, y1, x2, y2 = prompt.box(*frame.image.shape[:2]).tolist()
        new: tuple[Any, Any] = ((x1, y1, x2 - x1, y2 - y1), {})
        begin = getattr(self._inner, "initialize", None) or self._inner.init
        self._call(begin, frame, [new] if self._several else new)

    def step(self, frame: Frame) -> Observation:
        """Its next region, and how sure it says to be."""
        told = self._call(self._inner.update, frame, [] if self._several else None)
        told = told[0] if self._several else told
        pair = isinstance(told, tuple) and len(told) == 2 and isinstance(told[1], Mapping)
        region, about = told if pair else (told, {})
        score = float(np.clip(about.get("confidence", 1.0), 0.0, 1.0))
        return Observation(self._edges(region), score, score > 0)

    def _edges(self, region: Any) -> Any:
        """Edges of a rectangle x, y, width, height, or around a polygon."""
        numbers = np.asarray(region, np.float64).ravel()
        if len(numbers) >= 6 and len(numbers) % 2 == 0:
            xy = numbers.reshape(-1, 2)
            return np.concatenate([xy.min(axis=0), xy.max(axis=0)])
        return xywh_to_xyxy(_xywh(region, self.card.name))

    def _call(self, method: Any, frame: Frame, new: Any) -> Any:
        """What a method answers, which takes 1 to 3 of the file, new objects and properties."""
        from PIL import Image

        name = Path(self._folder, f"{frame.index:08d}.png")
        Image.fromarray(frame.image).save(name, compress_level=1)
        for other in self._folder.iterdir():
            if other != name and abs(int(other.stem) - frame.index) > 1:
                other.unlink()
        return method(*(str(name), new, {})[: min(len(inspect.signature(method).parameters), 3)])


class _Joined(Associator):
    """What joins detections in another toolkit; ids are counted from 1 in the order in which they come."""

    target: Callable[[], Any]

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all tracks: a new one is made."""
        self._inner = type(self).target()
        self._ids: dict[Any, int] = {}

    def update(self, detections: sv.Detections, frame: Frame) -> sv.Detections:
        """See `Associator`."""
        # A copy: others may change what they are given.
        found: Any = detections[np.ones(len(detections), bool)]
        ids = np.full(len(detections), -1)
        for row, theirs in self._rows(found, frame):
            ids[row] = self._ids.setdefault(theirs, len(self._ids) + 1)
        answer: Any = detections[np.ones(len(detections), bool)]
        answer.tracker_id = ids
        return answer

    @abstractmethod
    def _rows(self, detections: sv.Detections, frame: Frame) -> list[tuple[int, Any]]:
        """(row of the detections, the toolkit's id) of what has an identity."""


class _Boxmot(_Joined):
    """BoxMOT's `update(dets, img)`, whose image has the order blue, green, red."""

    def _rows(self, detections: sv.Detections, frame: Frame) -> list[tuple[int, Any]]:
        n = len(detections)
        scores = np.ones(n) if detections.confidence is None else detections.confidence
        classes = np.zeros(n) if detections.class_id is None else detections.class_id
        table = np.concatenate([detections.xyxy, scores[:, None], classes[:, None]], axis=1)
        # Copies: other toolkits draw on what they are given.
        told = self._inner.update(table, frame.bgr.copy())
        tracks = np.asarray(told, np.float64)
        # BoxMOT's columns: box, id, confidence, class and, in newer versions, the detection's row.
        tracks = tracks.reshape(-1, tracks.shape[-1] if tracks.ndim == 2 else 8)
        if tracks.shape[1] >= 8:
            pairs = [(int(row[7]), int(row[4])) for row in tracks]
        else:
            pairs = _matched(tracks, detections.xyxy)
        return [(row, theirs) for row, theirs in pairs if 0 <= row < n]


def _matched(tracks: Any, boxes: Any) -> list[tuple[int, int]]:
    """Rows of detections whose boxes tracks have, each once, the nearest first."""
    if not len(tracks) or not len(boxes):
        return []
    overlap, found = box_iou(tracks[:, :4], boxes), []
    while overlap.max() >= _SAME:
        track, row = np.unravel_index(int(overlap.argmax()), overlap.shape)
        found.append((int(row), int(tracks[track, 4])))
        # Each row and each track once.
        overlap[track], overlap[:, row] = 0, 0
    return found


class _Supervision(_Joined):
    """supervision's `update(detections)` and roboflow's trackers."""

    def _rows(self, detections: sv.Detections, frame: Frame) -> list[tuple[int, Any]]:
        detections.data["vtlab_row"] = np.arange(len(detections))
        told = self._inner.update(detections)
        if told.tracker_id is None or not len(told):
            return []
        pairs = zip(told.data["vtlab_row"].tolist(), told.tracker_id.tolist(), strict=True)
        return [(row, theirs) for row, theirs in pairs if theirs is not None and theirs >= 0]


def _single(kind: str, base: type) -> Callable[[str], type]:
    @cache
    def make(target: str) -> type:
        card = Card(_name(kind, target), "sot", f"{target}, written for {kind}.", frozenset({BoxPrompt}))
        return type(base.__name__, (base,), {"card": card, "target": staticmethod(_class(target, kind))})

    return make


def _joining(kind: str, base: type) -> Callable[[str], type]:
    @cache
    def make(target: str) -> type:
        card = Card(_name(kind, target), "mot", f"{target}, written for {kind}, and a detector.")
        inner = {"card": Card(card.name, "associator"), "target": staticmethod(_class(target, kind))}
        joined = type(base.__name__, (base,), inner)

        def __init__(self: Any, *, detector: Any = "auto", detector_params: Any = None) -> None:
            ByDetection.__init__(self, detector, joined(), detector_params=detector_params)

        return type(base.__name__, (ByDetection,), {"card": card, "__init__": __init__})

    return make


def _name(kind: str, target: str) -> str:
    """A name that a card may have."""
    return f"{kind}-{re.sub(r'[^a-z0-9.+-]+', '-', target.lower())}"


TRACKERS.bridge("got10k", _single("got10k", _Got10k))
TRACKERS.bridge("pytracking", _single("pytracking", _Pytracking))
TRACKERS.bridge("vot", _single("vot", _Vot))
TRACKERS.bridge("boxmot", _joining("boxmot", _Boxmot))
TRACKERS.bridge("supervision", _joining("supervision", _Supervision))
