"""What makes a sequence hard, measured from truth and frames, and scores broken down by it.

Attributes follow OTB's list (Wu et al., TPAMI 2015) with the thresholds of LaSOT and GOT-10k where OTB gives none:
small (side below 32 px), fast (more than a fifth of its size a frame, as GOT-10k's fast motion), scale change (area
ratio to the first frame outside 1/2 ... 2), aspect change (the same for the aspect ratio), occlusion, out of view,
low resolution (area below 1000 px, LaSOT), blur and camera motion (these two need the frames).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vtlab.errors import InputError
from vtlab.geometry import box_area, box_centers
from vtlab.metrics import pairing, quality
from vtlab.metrics.families import Truth, truth_of
from vtlab.tracks import Tracks
from vtlab.video import Image, Video

if TYPE_CHECKING:
    import pandas as pd

Frames = Video | Sequence[Image]
ATTRIBUTES = {
    "small": "side (square root of the area) below 32 px",
    "low_resolution": "area below 1000 square pixels",
    "fast": "centre moves by more than a fifth of the object's size in a frame",
    "scale_change": "area differs from the object's first by a factor of 2",
    "aspect_change": "aspect ratio differs from the object's first by a factor of 2",
    "occlusion": "marked as hidden by truth, or more than 0.3 of it lies behind another true object",
    "out_of_view": "the box reaches over the edge of the picture",
    "blur": "less than a third of the sharpness that the object has at its median",
    "camera_motion": "the picture moves by more than 1 per cent of its diagonal in a frame",
}
"""Name of each attribute and the rule by which a frame has it."""
_FROM_FRAMES = ("blur", "camera_motion")


def attributes(truth: Tracks, video: Frames | None = None) -> pd.DataFrame:
    """Attributes of each object on each frame.

    Args:
        truth: Ground truth with boxes.
        video: The video, or RGB arrays (H, W, 3) by frame, for blur and camera motion; without it these two
            are missing from the table.

    Returns:
        DataFrame: frame, object_id, and a bool column for each attribute.
    """
    import pandas as pd

    rows = truth.take(np.isfinite(truth.boxes).all(axis=1))
    if not len(rows):
        raise InputError("Attributes need ground truth with boxes.")
    area, center = box_area(rows.boxes), box_centers(rows.boxes)
    side = np.sqrt(np.maximum(area, 1e-9))
    shape = rows.boxes[:, 2:] - rows.boxes[:, :2]
    aspect = np.maximum(shape[:, 0], 1e-9) / np.maximum(shape[:, 1], 1e-9)
    order = np.lexsort((rows.frame, rows.object_id))
    first = _first_rows(rows, order)
    previous = _previous_rows(rows, order)
    moved = np.where(previous >= 0, np.linalg.norm(center - center[previous], axis=1), 0.0)
    table = pd.DataFrame(
        {
            "frame": rows.frame,
            "object_id": rows.object_id,
            "small": side < 32,
            "low_resolution": area < 1000,
            "fast": moved > 0.2 * side,
            "scale_change": _differs(area, area[first]),
            "aspect_change": _differs(aspect, aspect[first]),
            "occlusion": ~rows.visible | (pairing.covered(rows.frame, rows.boxes) > 0.3),
            "out_of_view": _beyond(rows),
        }
    )
    if video is not None:
        blur, motion = _from_frames(rows, video)
        table = table.assign(blur=blur, camera_motion=motion)
    return table


def sequence_attributes(table: pd.DataFrame, *, share: float = 0.1) -> list[str]:
    """Attributes that a sequence has: those of at least `share` of its rows."""
    return [a for a in ATTRIBUTES if a in table and table[a].mean() >= share]


def breakdown(
    tracks: Tracks, truth: Truth, table: pd.DataFrame | None = None, family: str | None = None
) -> pd.DataFrame:
    """Mean quality of the answers (overlap, or points hit) with and without each attribute.

    Args:
        tracks: What a tracker answered.
        truth: Ground-truth `Tracks`, or a sequence that has them.
        table: Result of `attributes`; default: computed from truth alone.
        family: As in `evaluate`.

    Returns:
        DataFrame indexed by attribute: rows (object frames that have it), with, without (mean quality), difference.
    """
    import pandas as pd

    true = truth_of(truth)
    table = attributes(true) if table is None else table
    joined = quality.of_truth(tracks, true, family).merge(table, on=["frame", "object_id"], how="inner")
    out = []
    for name in (a for a in ATTRIBUTES if a in joined):
        has = joined[name].to_numpy(bool)
        values = joined.quality.to_numpy(float)
        inside = float(values[has].mean()) if has.any() else np.nan
        outside = float(values[~has].mean()) if (~has).any() else np.nan
        out.append((name, int(has.sum()), inside, outside, inside - outside))
    return pd.DataFrame(out, columns=["attribute", "rows", "with", "without", "difference"]).set_index(
        "attribute"
    )


def _first_rows(rows: Tracks, order: NDArray[np.int64]) -> NDArray[np.int64]:
    owner = rows.object_id[order]
    starts = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
    first = np.empty(len(rows), np.int64)
    first[order] = order[np.repeat(starts, np.diff(np.concatenate([starts, [len(rows)]])))]
    return first


def _previous_rows(rows: Tracks, order: NDArray[np.int64]) -> NDArray[np.int64]:
    follows = (np.diff(rows.object_id[order]) == 0) & (np.diff(rows.frame[order]) == 1)
    previous = np.full(len(rows), -1)
    previous[order[1:][follows]] = order[:-1][follows]
    return previous


def _differs(value: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.bool_]:
    # In octaves, so that half and double differ as much.
    octaves = np.log2(np.maximum(value, 1e-9) / np.maximum(reference, 1e-9))
    return np.asarray(np.abs(octaves) > 1)


def _beyond(rows: Tracks) -> NDArray[np.bool_]:
    height, width = rows.size or (np.inf, np.inf)
    beyond = (rows.boxes < 0) | (rows.boxes > np.array([np.inf, np.inf, width, height]))
    return np.asarray(beyond.any(axis=1))


def _from_frames(rows: Tracks, video: Frames) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Blur of each row and motion of the picture on its frame."""
    sharpness, motion = np.zeros(len(rows)), np.zeros(len(rows))
    before: NDArray[np.uint8] | None = None
    last = -2
    for frame in rows.frames.tolist():
        grey = _grey(np.asarray(video[frame]))
        here = np.flatnonzero(rows.frame == frame)
        sharpness[here] = [_sharpness(grey, rows.boxes[i]) for i in here]
        if before is not None and last == frame - 1:
            objects = rows.boxes[(rows.frame == frame) | (rows.frame == last)]
            motion[here] = _shift(before, grey, objects)
        before, last = grey, frame
    typical = np.zeros(len(rows))
    for mine in rows.object_rows().values():
        typical[mine] = np.median(sharpness[mine])
    return sharpness < typical / 3, motion > 0.01


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image, dtype=np.uint8)


def _sharpness(grey: NDArray[np.uint8], box: NDArray[np.float64]) -> float:
    """Variance of the Laplacian inside a box (Pech-Pacheco et al., ICPR 2000)."""
    import cv2

    x1, y1 = np.clip(np.floor(box[:2]), 0, None).astype(int)
    patch = grey[y1 : int(np.ceil(box[3])), x1 : int(np.ceil(box[2]))]
    return float(cv2.Laplacian(patch, cv2.CV_32F).var()) if min(patch.shape) >= 3 else 0.0


def _shift(before: NDArray[np.uint8], now: NDArray[np.uint8], objects: NDArray[np.float64]) -> float:
    """Median motion of corners outside the objects' boxes, as a fraction of the picture's diagonal; 0 with fewer than 8.

    Shi and Tomasi's corners (CVPR 1994) followed by pyramidal Lucas-Kanade (Bouguet, 2001).
    """
    import cv2

    mask = np.full(before.shape, 255, np.uint8)
    for x1, y1, x2, y2 in np.clip(objects, 0, None):
        mask[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))] = 0
    corners = cv2.goodFeaturesToTrack(before, 200, 0.01, 7, mask=mask)
    if corners is None or len(corners) < 8:
        return 0.0
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, np.zeros_like(corners))
    steps = (moved - corners)[found.ravel() == 1].reshape(-1, 2)
    return float(np.hypot(*np.median(steps, axis=0)) / np.hypot(*now.shape)) if len(steps) >= 8 else 0.0
