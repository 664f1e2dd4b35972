"""What detectors share: names of classes, filters, and making `supervision.Detections`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.contracts import Detector, Image
from vtlab.errors import InputError, near
from vtlab.geometry import as_boxes, clip_boxes
from vtlab.tracks import Source

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Frame

ORIENTED = "xyxyxyxy"
"""Key under which `supervision.Detections.data` holds the corners (N, 4, 2) of oriented boxes."""
COCO80 = (
    "person bicycle car motorbike aeroplane bus train truck boat traffic_light fire_hydrant stop_sign "
    "parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella handbag tie "
    "suitcase frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard "
    "tennis_racket bottle wine_glass cup fork knife spoon bowl banana apple sandwich orange broccoli carrot "
    "hot_dog pizza donut cake chair sofa pottedplant bed diningtable toilet tvmonitor laptop mouse remote "
    "keyboard cell_phone microwave oven toaster sink refrigerator book clock vase scissors teddy_bear hair_drier "
    "toothbrush"
)
COCO_NAMES: tuple[str, ...] = tuple(name.replace("_", " ") for name in COCO80.split())


class Fit(NamedTuple):
    """How an image lies in a network's input: input = image * scale + shift, each (x, y)."""

    scale: tuple[float, float]
    shift: tuple[float, float] = (0.0, 0.0)

    def back(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 2) of the input in the image's pixels."""
        return (xy - np.array(self.shift)) / np.array(self.scale)


def stretch(image: Image, size: tuple[int, ...]) -> tuple[NDArray[np.float32], Fit]:
    """Resize an image to `size` (height, width), whatever its proportions: (3, height, width) in [0, 1]."""
    import cv2

    small = cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    picture: NDArray[np.float32] = np.divide(small.transpose(2, 0, 1), 255, dtype=np.float32)
    return picture, Fit((size[1] / image.shape[1], size[0] / image.shape[0]))


Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of red, green and blue in [0, 1], over what a network was trained on."""
IMAGENET: Statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def standardised(picture: NDArray[np.float32], statistics: Statistics = IMAGENET) -> NDArray[np.float32]:
    """A picture (3, height, width) in [0, 1] minus the mean, by the deviation."""
    less, by = (np.array(v, dtype=np.float32)[:, None, None] for v in statistics)
    return (picture - less) / by


def check_fraction(name: str, value: float, owner: str) -> float:
    """Return `value` as a float in [0, 1], else raise `InputError` that names the parameter."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
        raise InputError(f"{owner}: {name} must be a number from 0 to 1, got {value!r}.")
    return float(value)


def class_ids(
    classes: Sequence[str] | str | None, names: Sequence[str], owner: str
) -> NDArray[np.int64] | None:
    """Numbers of the classes that are asked for, or None for all.

    Raises:
        InputError: The detector has no class of that name.
    """
    if classes is None:
        return None
    wanted = [classes] if isinstance(classes, str) else list(classes)
    for name in wanted:
        if name not in names:
            raise InputError(f"{owner} has no class {name!r}. {near(str(name), names)}")
    return np.array([list(names).index(name) for name in wanted], dtype=np.int64)


def make_detections(
    xyxy: ArrayLike,
    confidence: ArrayLike,
    class_id: ArrayLike,
    names: Sequence[str],
    mask: NDArray[np.bool_] | None = None,
) -> sv.Detections:
    """Detections with class names in `data["class_name"]`.

    Args:
        xyxy: (N, 4) pixels.
        confidence: (N,) in [0, 1].
        class_id: (N,) positions in `names`.
        names: Names of all classes.
        mask: (N, H, W) pixels of each in the whole image, or None.

    Raises:
        InputError: A class has no name.
    """
    import supervision as sv

    boxes = as_boxes(xyxy)
    ids = np.asarray(class_id, dtype=np.int64).reshape(-1)
    if len(ids) and not (ids.min() >= 0 and ids.max() < len(names)):
        odd = next(i for i in ids.tolist() if not 0 <= i < len(names))
        raise InputError(
            f"A detector found the class {odd}, but there are names for {len(names)} classes, from 0. "
            "Remedy: give the names of all its classes (names=...)."
        )
    labels = np.array([names[i] for i in ids.tolist()], dtype=np.str_) if len(ids) else np.empty(0, np.str_)
    return sv.Detections(
        xyxy=boxes,
        mask=mask,
        confidence=np.asarray(confidence, dtype=np.float64).reshape(-1),
        class_id=ids,
        data={"class_name": labels},
    )


def select(
    xyxy: ArrayLike,
    confidence: ArrayLike,
    class_id: ArrayLike,
    names: Sequence[str],
    *,
    size: tuple[int, int],
    threshold: float,
    nms: float,
    wanted: NDArray[np.int64] | None,
    extras: Mapping[str, NDArray[Any]] = MappingProxyType({}),
) -> sv.Detections:
    """Filter raw boxes: confidence, classes, non-maximum suppression within each class, cut to the image.

    Args:
        xyxy: (N, 4) pixels.
        confidence: (N,) in [0, 1].
        class_id: (N,) positions in `names`.
        names: Names of all classes.
        size: (height, width) of the image in pixels.
        threshold: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay; 1 keeps all.
        wanted: Classes that stay, or None for all.
        extras: Arrays with a row for each box, which come along in `data`. Oriented boxes (`ORIENTED`) are compared as such.

    Returns:
        What stays; its `metadata` has the largest confidence that there was before as "largest_score", where there was
        one, and the threshold as "confidence".
    """
    boxes, scores = as_boxes(xyxy), np.asarray(confidence, dtype=np.float64).reshape(-1)
    ids = np.asarray(class_id, dtype=np.int64).reshape(-1)
    able = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    if wanted is not None:
        able &= np.isin(ids, wanted)
    seen = scores[able]
    rows = np.flatnonzero(able & (scores >= threshold))
    cut = clip_boxes(boxes[rows], size[1], size[0])
    solid = (cut[:, 2:] > cut[:, :2]).all(axis=1)
    rows, cut = rows[solid], cut[solid]
    if len(rows) and nms < 1:
        corners = extras[ORIENTED][rows] if ORIENTED in extras else None
        order = _suppress(cut, scores[rows], ids[rows], nms, corners)
        rows, cut = rows[order], cut[order]
    found = make_detections(cut, scores[rows], ids[rows], names)
    found.data |= {name: values[rows] for name, values in extras.items()}
    if len(seen):
        found.metadata |= {"largest_score": float(seen.max()), "confidence": threshold}
    return found


def _suppress(
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    ids: NDArray[np.int64],
    nms: float,
    corners: NDArray[np.float64] | None,
) -> NDArray[np.int64]:
    """Rows that stay, best first, where those that overlap a better one of their class by more than `nms` go."""
    import cv2

    if corners is None:
        xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        chosen = cv2.dnn.NMSBoxesBatched(xywh.tolist(), scores.tolist(), ids.tolist(), 0.0, nms)
        return np.asarray(chosen, dtype=np.int64).reshape(-1)
    kept: list[NDArray[np.int64]] = []
    for number in np.unique(ids):
        mine = np.flatnonzero(ids == number)
        turned = [cv2.minAreaRect(c) for c in corners[mine].astype(np.float32)]
        chosen = cv2.dnn.NMSBoxesRotated(turned, scores[mine].tolist(), 0.0, nms)
        kept.append(mine[np.asarray(chosen, dtype=np.int64).reshape(-1)])
    rows = np.concatenate(kept)
    return rows[np.argsort(-scores[rows], kind="stable")]


class ByFrame(Detector):
    """Base of detectors whose answer is known for each frame number, so that no image is looked at.

    Attributes:
        made_on: The clip whose frames `at` counts; by default the whole video.
    """

    made_on: Source = Source()
    _next = 0

    @abstractmethod
    def at(self, index: int) -> sv.Detections:
        """Return the detections of one frame (0-based)."""

    def reset(self) -> None:
        """Go back to frame 0."""
        self._next = 0

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return the detections of the next frames, from frame 0 after `reset`."""
        found = [self.at(self._next + i) for i in range(len(frames))]
        self._next += len(frames)
        return found

    def detect_frame(self, frame: Frame) -> sv.Detections:
        """Return the detections of this frame, wherever the clip that it is from begins in its video.

        Raises:
            InputError: What is known was made on another part of the video; the message names both ranges.
        """
        return self.at(self.made_on.place_of(frame, f"{self.card.name!r}: detections"))
