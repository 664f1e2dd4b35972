"""What trackers answer, checked against their contract as it comes, so that a mistake is named where it is made."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vtlab.contracts import Observation
from vtlab.errors import AnswerError
from vtlab.tracks import SOURCES, FrameTracks

_NUMBER, _BOOL = (int, float, np.number), (bool, np.bool_)


def check_observation(seen: Any, object_id: int, frame: int, size: tuple[int, int], name: str) -> None:
    """Check what a single-object tracker says of its object on a frame.

    Args:
        seen: What it answered.
        object_id: Its object.
        frame: Index of the frame.
        size: (height, width) of the frame in pixels.
        name: Name of the tracker.

    Raises:
        AnswerError: It is no `Observation`, its box or mask has another shape than the contract says, its score is not in
            [0, 1], or `visible` is no bool.
    """
    if not isinstance(seen, Observation):
        fault = f"must answer with an Observation, got {brief(seen)}"
    elif seen.box is not None and not _is_box(seen.box):
        fault = f"needs a box (x1, y1, x2, y2), got {brief(seen.box)}"
    elif seen.mask is not None and (np.shape(seen.mask) != size or seen.mask.dtype != np.bool_):
        fault = f"needs a bool mask of the frame's size {size} (height, width), got {brief(seen.mask)}"
    elif not isinstance(seen.score, _NUMBER) or not -_SLACK <= seen.score <= 1 + _SLACK:
        fault = f"needs a score in [0, 1], got {brief(seen.score)}"
    elif not isinstance(seen.visible, _BOOL):
        fault = f"needs visible to be True or False, got {brief(seen.visible)}"
    else:
        return
    raise AnswerError(
        f"{name!r} {fault} for object {object_id} on frame {frame}. Remedy: return "
        "Observation((x1, y1, x2, y2), score, visible) from `init` and `step` (vtlab/contracts)."
    )


def _is_box(box: Any) -> bool:
    if type(box) is tuple and {*map(type, box)} == {float}:  # quicker than an array that nobody needs
        return len(box) == 4
    array = box if isinstance(box, np.ndarray) else np.asarray(box)
    return array.shape == (4,) and array.dtype.kind in "fiu"


def check_answer(answer: Any, frame: int, size: tuple[int, int], name: str) -> None:
    """Check what a tracker answers for a frame against the contract of `FrameTracks`.

    Args:
        answer: What it answered.
        frame: Index of the frame.
        size: (height, width) of the frame in pixels.
        name: Name of the tracker.

    Raises:
        AnswerError: It is no `FrameTracks`; ids that are no 64-bit whole numbers from 0, or twice; columns of another
            length, shape or type; a score outside [0, 1]; a box whose edges are infinite or inverted; a mask that isn't the
            frame's size; points of no object or twice. A box that is all NaN says that an object has none, so the
            object is hidden, or has a mask or points.
    """
    if not isinstance(answer, FrameTracks):
        raise AnswerError(
            f"{name!r} must answer with FrameTracks on each frame, got {brief(answer)} on frame {frame}. Remedy: "
            "return FrameTracks.of(object_ids, boxes) from each step (vtlab/contracts)."
        )
    fault = _columns_fault(answer, size)
    if not fault and len(answer.object_ids):
        fault = _values_fault(answer)
    if not fault and (len(answer.point_ids) or len(answer.points)):
        fault = _points_fault(answer)
    if fault:
        raise AnswerError(f"{name!r} answered frame {frame} with {fault}.")


_INF = math.inf
_SLACK = 1e-6
"""What rounding may add to a score, such as a cosine in single precision."""
_KINDS = {"f": "float", "b": "bool", "i": "int64"}


def _is(values: Any, shape: tuple[int, ...], kind: str) -> bool:
    return isinstance(values, np.ndarray) and values.shape == shape and values.dtype.kind == kind


def _columns_fault(answer: FrameTracks, size: tuple[int, int]) -> str:
    """What is wrong with the shapes and types of an answer's columns."""
    n = len(answer.object_ids)
    if not _is(answer.object_ids, (n,), "i"):
        return f"object_ids {brief(answer.object_ids)}. Remedy: an int64 array (N,)"
    if not _is(answer.boxes, (n, 4), "f"):
        return f"boxes {brief(answer.boxes)}. Remedy: a float array of shape ({n}, 4)"
    if not (_is(answer.scores, (n,), "f") and _is(answer.visible, (n,), "b")):
        return f"scores {brief(answer.scores)} and visible {brief(answer.visible)}. Remedy: floats and bools ({n},)"
    if answer.masks is not None and not _is(answer.masks, (n, *size), "b"):
        return f"masks {brief(answer.masks)}. Remedy: bools of shape {(n, *size)} (objects, height, width)"
    if answer.velocities is not None and not _is(answer.velocities, (n, 2), "f"):
        return (
            f"velocities {brief(answer.velocities)}. Remedy: a float array of shape ({n}, 2), pixels a second"
        )
    if answer.labels is not None and len(answer.labels) != n:
        return f"{len(answer.labels)} labels for {n} objects. Remedy: one for each, or None"
    one = isinstance(answer.source, str)
    if not (answer.source in SOURCES if one else len(answer.source) == n and {*answer.source} <= {*SOURCES}):
        return f"the source {answer.source!r}. Remedy: one of {', '.join(SOURCES)}, or one for each object"
    return ""


def _values_fault(answer: FrameTracks) -> str:
    """What is wrong with ids, boxes or scores. For a frame's few objects lists are faster than NumPy's reductions."""
    ids = answer.object_ids.tolist()
    if len(set(ids)) != len(ids):
        return f"object {next(i for i in ids if ids.count(i) > 1)} twice. Remedy: one row for each object"
    if min(ids) < 0:
        return f"the object id {min(ids)}. Remedy: ids are whole numbers from 0 to 2**63 - 1"
    for box, object_id in zip(answer.boxes.tolist(), ids, strict=True):
        x1, y1, x2, y2 = box
        if not (-_INF < x1 <= x2 < _INF and -_INF < y1 <= y2 < _INF) and any(edge == edge for edge in box):
            return (
                f"the box {box} of object {object_id}. Remedy: finite edges with x1 <= x2 and y1 <= y2 in pixels, or "
                "four NaN for an object without a box"
            )
    scores = answer.scores.tolist()
    if not all(-_SLACK <= score <= 1 + _SLACK for score in scores):
        odd, object_id = next(
            (s, i) for s, i in zip(scores, ids, strict=True) if not -_SLACK <= s <= 1 + _SLACK
        )
        return f"the score {odd} of object {object_id}. Remedy: numbers in [0, 1]"
    return _places_fault(answer)


def _places_fault(answer: FrameTracks) -> str:
    """Whether an object is called visible that is nowhere."""
    placed = answer.boxes[:, 0] == answer.boxes[:, 0]
    for row in () if placed.all() else np.flatnonzero(~placed & answer.visible).tolist():
        object_id = answer.object_ids[row]
        if object_id not in answer.point_owners and (answer.masks is None or not answer.masks[row].any()):
            return (
                f"object {object_id}, visible, with the box {answer.boxes[row].tolist()}. Remedy: a box where it is seen, "
                "else visible=False"
            )
    return ""


def _points_fault(answer: FrameTracks) -> str:
    owners, numbers, m = answer.point_owners, answer.point_ids, len(answer.point_ids)
    kinds = {"point_owners": "i", "point_ids": "i", "points": "f", "point_visible": "b", "point_scores": "f"}
    for name, kind in kinds.items():
        shape = (m, 2) if name == "points" else (m,)
        if not _is(values := getattr(answer, name), shape, kind):
            return f"{name} {brief(values)}. Remedy: a {_KINDS[kind]} array of shape {shape}"
    alone = ~np.isin(owners, answer.object_ids)
    if alone.any():
        return f"points of object {owners[alone][0]}, which has no row. Remedy: a row for each object with points"
    keys = list(zip(owners.tolist(), numbers.tolist(), strict=True))
    if len(set(keys)) != len(keys):
        owner, number = next(k for k in keys if keys.count(k) > 1)
        return f"point {number} of object {owner} twice. Remedy: one row for each point"
    if np.isinf(answer.points).any():
        row = int(np.flatnonzero(np.isinf(answer.points).any(axis=1))[0])
        return (
            f"the point {answer.points[row].tolist()} of object {owners[row]}. Remedy: finite pixels, or NaN for a "
            "point without an answer"
        )
    return ""


def brief(value: Any) -> str:
    """A value in a message: arrays by type and shape, others by type and, where it is short, content."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    text = repr(value)
    return f"{type(value).__name__} {text}" if len(text) <= 60 else type(value).__name__
