"""What detectors, associators, segmenters and embedders answer, asked here alone and checked as it comes.

Whoever uses a part asks it by these functions, `vtlab check` does the same; so a part that breaks its contract is named
where it does, with frame, value and remedy, and no wrong number is made of its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vtlab.contracts import Associator, Card, Detector, Embedder, Image, Segmenter
from vtlab.contracts.answers import brief
from vtlab.errors import AnswerError

if TYPE_CHECKING:
    import supervision as sv

    from vtlab.video import Frame

_UNIT = 1e-2
"""How far from 1 the length of an embedder's vector may be: that of one in half precision is off by some thousandths."""


def detect(detector: Detector, frame: Frame) -> sv.Detections:
    """Ask a detector what it finds on a frame.

    Raises:
        AnswerError: It is no `supervision.Detections`; a box that isn't finite or has its corners exchanged; a score
            outside [0, 1]; columns of another length than the boxes; masks of another size than the image.
    """
    found = detector.detect_frame(frame)
    if fault := detections_fault(found, frame.image.shape[:2]):
        raise _broken("detector", detector, frame.index, fault)
    return found


def detections_fault(found: Any, size: tuple[int, ...]) -> str:
    """What is wrong with an answer of a detector for an image of `size` (height, width); "" if nothing is."""
    import supervision as sv

    if not isinstance(found, sv.Detections):
        return f"{brief(found)}. Remedy: return supervision.Detections, sv.Detections.empty() where nothing is found"
    boxes, n = np.asarray(found.xyxy), len(found.xyxy)
    if boxes.shape != (n, 4) or boxes.dtype.kind not in "fiu":
        return f"boxes {brief(boxes)}. Remedy: numbers of shape (N, 4)"
    if n and not (boxes[:, :2] <= boxes[:, 2:]).all():  # NaN fails, too
        return f"the box {_first(boxes, (boxes[:, :2] <= boxes[:, 2:]).all(axis=1))}. Remedy: x1 <= x2 and y1 <= y2"
    if not np.isfinite(boxes).all():
        return f"the box {_first(boxes, np.isfinite(boxes).all(axis=1))}. Remedy: finite edges in pixels"
    return _columns_fault(found, n) or _masks_fault(found.mask, n, size)


def _columns_fault(found: sv.Detections, n: int) -> str:
    scores, classes, names = found.confidence, found.class_id, found.data.get("class_name")
    for name, values in (("confidence", scores), ("class_id", classes), ("class_name", names)):
        if values is not None and np.shape(values) != (n,):
            return f"{name} {brief(values)} for {n} boxes. Remedy: one for each box"
    if scores is not None and n and not ((scores >= 0) & (scores <= 1)).all():
        return f"the score {_first(scores, (scores >= 0) & (scores <= 1))}. Remedy: numbers in [0, 1]"
    return _shapes_fault(found, n)


def _shapes_fault(found: sv.Detections, n: int) -> str:
    """What is wrong with the oriented boxes and the key points of n detections."""
    corners, points = found.data.get("xyxyxyxy"), found.data.get("keypoints")
    if corners is not None and (np.shape(corners) != (n, 4, 2) or not np.isfinite(corners).all()):
        return f"xyxyxyxy {brief(corners)} for {n} boxes. Remedy: corners of shape ({n}, 4, 2), finite, in pixels"
    if points is not None and (np.ndim(points) != 3 or np.shape(points)[::2] != (n, 2)):
        return f"keypoints {brief(points)} for {n} boxes. Remedy: numbers of shape (N, K, 2)"
    return ""


def _masks_fault(mask: Any, n: int, size: tuple[int, ...]) -> str:
    """What is wrong with the masks of n detections; numbers between 0 and 1 are no masks yet."""
    if not isinstance(mask, np.ndarray):  # none, or supervision's own kinds, which are made of bool
        return ""
    if mask.shape != (n, *size):
        return f"masks {brief(mask)} for {n} boxes. Remedy: bool of shape {(n, *size)} (boxes, height, width)"
    if mask.dtype.kind not in "bui" and not ((mask == 0) | (mask == 1)).all():
        return f"masks of {mask.dtype} values other than 0 and 1. Remedy: bool, such as probabilities > 0.5"
    return ""


def associate(associator: Associator, found: sv.Detections, frame: Frame) -> sv.Detections:
    """Give a frame's detections an identity.

    Raises:
        AnswerError: It returns other rows than it was given, ids that are no whole numbers, or one id twice.
    """
    answer = associator.update(found, frame)
    if fault := identities_fault(answer, found):
        raise _broken("associator", associator, frame.index, fault)
    return answer


def identities_fault(answer: Any, given: sv.Detections) -> str:
    """What is wrong with an answer of an associator for detections; "" if nothing is."""
    import supervision as sv

    if not isinstance(answer, sv.Detections):
        return f"{brief(answer)}. Remedy: return the detections with tracker_id filled"
    if len(answer) != len(given) or not np.array_equal(answer.xyxy, given.xyxy, equal_nan=True):
        return f"{len(answer)} rows for {len(given)} detections. Remedy: the same rows in the same order, -1 without a track"
    ids = answer.tracker_id
    if not isinstance(ids, np.ndarray) or ids.shape != (len(given),) or ids.dtype.kind != "i":
        return f"tracker_id {brief(ids)}. Remedy: whole numbers, one for each row, -1 without a track"
    known = ids[ids > 0].tolist()
    if len(set(known)) != len(known):
        return f"the id {next(i for i in known if known.count(i) > 1)} twice. Remedy: an id once a frame"
    return ""


def segment(
    segmenter: Segmenter,
    image: Image,
    *,
    box: ArrayLike | None = None,
    points: ArrayLike | None = None,
    positive: Sequence[bool] | None = None,
    frame: int | None = None,
) -> tuple[NDArray[np.bool_], float]:
    """Ask a segmenter for the mask (H, W) of a box (4,) and/or clicks (K, 2) on an image, and its score.

    Args:
        segmenter: Whom to ask.
        image: RGB (H, W, 3).
        box: (4,) xyxy, or None.
        points: (K, 2), or None.
        positive: Whether each click is on the object.
        frame: Index of the frame, for the message.

    Raises:
        AnswerError: It is no bool mask of the image's size with a score in [0, 1].
    """
    answer = segmenter.segment(image, box=box, points=points, positive=positive)
    if fault := mask_fault(answer, image.shape[:2]):
        raise _broken("segmenter", segmenter, frame, fault)
    return answer


def mask_fault(answer: Any, size: tuple[int, ...]) -> str:
    """What is wrong with an answer of a segmenter for an image of `size` (height, width); "" if nothing is."""
    if not isinstance(answer, tuple) or len(answer) != 2:
        return f"{brief(answer)}. Remedy: return (mask, score)"
    mask, score = answer
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != tuple(size):
        return (
            f"the mask {brief(mask)}. Remedy: bools of shape {tuple(size)} (height, width), such as mask > 0"
        )
    if not isinstance(score, (int, float, np.number)) or not 0 <= score <= 1:
        return f"the score {score!r}. Remedy: a number in [0, 1]"
    return ""


def embed(
    embedder: Embedder,
    image: Image,
    boxes: NDArray[np.float64],
    *,
    frame: int | None = None,
    width: int | None = None,
) -> NDArray[np.float32]:
    """Ask an embedder for the unit vectors (N, D) of boxes (N, 4) on an image.

    Args:
        embedder: Whom to ask.
        image: RGB (H, W, 3).
        boxes: (N, 4) xyxy.
        frame: Index of the frame, for the message.
        width: D of its earlier vectors, where there were some.

    Raises:
        AnswerError: It isn't one finite vector of length 1 (or 0) for each box, or not as many numbers as before.
    """
    vectors = embedder.embed(image, boxes)
    if fault := vectors_fault(vectors, len(boxes), width):
        raise _broken("embedder", embedder, frame, fault)
    return vectors


def vectors_fault(vectors: Any, n: int, width: int | None = None) -> str:
    """What is wrong with an answer of an embedder for `n` boxes; "" if nothing is."""
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype.kind != "f":
        return f"{brief(vectors)}. Remedy: a float array (N, D), a row for each box"
    if len(vectors) != n:
        return f"{len(vectors)} vectors for {n} boxes. Remedy: a row for each box"
    if n and width and vectors.shape[1] != width:
        return f"vectors of {vectors.shape[1]} numbers, earlier ones had {width}. Remedy: one length for all"
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        return f"NaN or infinite values in the vector of box {row}. Remedy: finite numbers, all 0 where nothing is known"
    length = np.linalg.norm(vectors.astype(np.float64), axis=1)
    fair = (np.abs(length - 1) <= _UNIT) | (length == 0)
    if not fair.all():
        return f"a vector of length {_first(length, fair):.4g}. Remedy: unit vectors, each row divided by its length"
    return ""


def _first(values: NDArray[Any], fair: NDArray[np.bool_] | np.bool_) -> Any:
    """The first value (or row) that isn't fair."""
    return values[int(np.flatnonzero(~np.asarray(fair))[0])].tolist()


def _broken(kind: str, part: Any, frame: int | None, fault: str) -> AnswerError:
    card = getattr(part, "card", None)
    name = card.name if isinstance(card, Card) else type(part).__name__
    function = getattr(part, "params", {}).get("function")
    mine = f" ({getattr(function, '__qualname__', function)})" if function is not None else ""
    where = "" if frame is None else f" on frame {frame}"
    return AnswerError(f"The {kind} {name!r}{mine} answered{where} with {fault} (see vtlab/contracts).")
