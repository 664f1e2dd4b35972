"""YOLO exports in ONNX: YOLOv5, v8, v11 and alike (boxes, masks, key points, oriented boxes), and YOLOX; decoded here.

Papers: Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430 (code: Megvii-BaseDetection/YOLOX,
Apache-2.0). YOLOv5, v8 and v11 have no paper; their code and weights (ultralytics) are AGPL-3.0, of which nothing is used
here: an export is read by what it says of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Image, WeightFile
from vtlab.detectors.base import COCO_NAMES, Fit
from vtlab.detectors.exports import Array, OnnxDetector, Raw, cells, letterbox
from vtlab.errors import InputError, WeightsError
from vtlab.registry import register_detector

LAYOUTS = ("v5", "v8", "end2end")
TASKS = ("detect", "segment", "pose", "obb")
STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (8, 16), (16, 32))
"""Strides of the maps of YOLO's detectors: the usual ones, those of the larger (P6), finer (P2) and smaller ones."""


class Columns(NamedTuple):
    """How an output's columns are read.

    Attributes:
        layout: "v5" (boxes, 5 + classes + further), "v8" (4 + classes + further, boxes) or "end2end" (boxes, 6 + further).
        task: One of `TASKS`.
        further: Numbers of a box behind its classes.
    """

    layout: str
    task: str
    further: int


@register_detector(
    "yolo-onnx",
    family="detector",
    summary="Any YOLOv5, v8 or v11 export in ONNX, with our own decoding: boxes, masks, key points, oriented boxes.",
    licence="Apache-2.0 (vtlab); ultralytics' weights AGPL-3.0",
    requires="onnx",
    emits={"boxes", "masks", "points"},
    notice="Weights that ultralytics publishes are AGPL-3.0, and so is what is built on them.",
)
class YoloOnnx(OnnxDetector):
    """A YOLO export.

    Key points come as `data["keypoints"]` (N, K, 2) with `data["keypoint_scores"]` (N, K), oriented boxes as
    `data["xyxyxyxy"]` (N, 4, 2), masks as `mask`.

    Args:
        path: The .onnx file.
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay.
        classes: Names of the classes that stay; None for all.
        names: Names of all classes; None: those in the file, else COCO's where there are 80, else numbers.
        size: Side of the input in pixels where the export leaves it open.
        layout: "v5" (N, boxes, 5 + classes), "v8" (N, 4 + classes, boxes; also v11), "end2end" (N, boxes, 6: corners,
            confidence, class), or "auto": by the file's metadata, the number of its classes and that of its cells.
        task: "detect", "segment", "pose" or "obb" where the file doesn't say it, or "auto".
        keypoints: (key points, numbers of each) where the file doesn't say them; "pose" only.
        threads: Threads of onnxruntime; 0 = its choice.

    Raises:
        WeightsError: The file is of another kind, or what it says doesn't tell its layout; the message says what to give.
    """

    layout = "yolo"

    def __init__(
        self,
        *,
        path: str | Path,
        confidence: float = 0.25,
        nms: float = 0.45,
        classes: Sequence[str] | str | None = None,
        names: Sequence[str] | None = None,
        size: int = 640,
        layout: str = "auto",
        task: str = "auto",
        keypoints: tuple[int, int] | None = None,
        threads: int = 0,
    ):
        for name, value, known in (("layout", layout, LAYOUTS), ("task", task, TASKS)):
            if value != "auto" and value not in known:
                raise InputError(
                    f"yolo-onnx: {name} must be 'auto' or one of {', '.join(known)}, got {value!r}."
                )
        self._given = layout
        self._columns: Columns | None = None
        super().__init__(
            path, confidence=confidence, nms=nms, classes=classes, names=names, size=size, threads=threads
        )
        told = self._export.task or ("segment" if len(self._export.outputs) > 1 else "detect")
        self._task = told if task == "auto" else task
        if self._task not in TASKS:
            raise WeightsError(
                f"yolo-onnx: {str(path)!r} is an export for the task {self._task!r}, not for one of {', '.join(TASKS)}."
            )
        self._points = keypoints or self._export.point_shape or (17, 3)

    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], Fit]:
        picture, ratio, shift = letterbox(image, self._size, centred=True)
        return picture, Fit((ratio, ratio), shift)

    def _decode(self, outputs: list[NDArray[Any]]) -> Raw:
        if self._columns is None:
            self._columns = self._read(outputs)
        raw = decode_yolo(outputs[0], self._columns)
        if self._task == "pose" and raw.points is not None:
            rows = raw.points.reshape(len(raw.boxes), *self._points)
            raw.points = rows[..., :2]
            raw.point_scores = np.clip(rows[..., 2], 0, 1) if rows.shape[2] > 2 else np.ones(rows.shape[:2])
        if self._task == "segment":
            raw.prototypes = outputs[1]
        return raw

    def _read(self, outputs: list[NDArray[Any]]) -> Columns:
        """How the output's columns are to be read."""
        if (self._task == "segment") != (len(outputs) > 1):
            raise WeightsError(
                f"yolo-onnx: a file for the task {self._task!r} has the outputs {[o.shape for o in outputs]}. Remedy: "
                "task='segment' for one with prototypes of masks, which come as a second output, else another."
            )
        further = {"segment": len(outputs[-1]), "pose": int(np.prod(self._points)), "obb": 1}.get(
            self._task, 0
        )
        layout = self._given
        if (
            layout == "auto"
        ):  # without names only COCO's 80 classes are believed, for columns may also be points or angles
            classes = len(self.names) or len(COCO_NAMES)
            layout = layout_of(
                outputs[0], classes, further=further, size=self._size, finished=self._export.finished
            )
            self._refuse_yolox(layout, len(outputs[0]))
        return Columns(layout, self._task, further)

    def _refuse_yolox(self, layout: str, boxes: int) -> None:
        """YOLOX has v5's columns, but one box for each cell, and its files say nothing of themselves."""
        alone = layout == "v5" and not self._export.metadata
        if alone and boxes in [len(cells(self._size, strides)[0]) for strides in STRIDES[:2]]:
            raise WeightsError(
                f"yolo-onnx: {str(self._export.path)!r} gives {boxes} boxes, one for each cell of its input, as YOLOX does. "
                "Remedy: the detector 'yolox-onnx'; or layout='v5' for an export whose boxes are in pixels."
            )


class _Yolox(OnnxDetector):
    layout = "yolo"

    def __init__(self, path: str | Path, *, decoded: bool, **shared: Any):
        self._decoded = decoded
        super().__init__(path, **shared)
        if self._export.task or len(self._export.outputs) > 1:
            raise WeightsError(
                f"{self._owner}: {str(path)!r} is an export of another YOLO (task {self._export.task or 'segment'!r}). "
                "Remedy: the detector 'yolo-onnx'."
            )

    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], Fit]:
        # As YOLOX was trained: the border on the right and below only, values from 0 to 255 that are not standardised.
        picture, ratio, shift = letterbox(image, self._size, centred=False)
        return (picture[::-1] * 255).astype(np.float32), Fit((ratio, ratio), shift)  # BGR

    def _decode(self, outputs: list[NDArray[Any]]) -> Raw:
        rows = outputs[0].astype(np.float64)
        if rows.ndim != 2 or rows.shape[1] < 6:
            raise WeightsError(f"An output of the shape {rows.shape} for an image isn't of YOLOX's layout.")
        if not self._decoded:
            grid, stride = _grid(self._size, len(rows))
            rows[:, :2] = (rows[:, :2] + grid) * stride
            rows[:, 2:4] = np.exp(rows[:, 2:4]) * stride
        return decode_yolo(rows, Columns("v5", "detect", 0))


_YOLOX: dict[str, Any] = {
    "family": "detector",
    "paper": "Ge et al.: YOLOX: Exceeding YOLO Series in 2021, arXiv 2021",
    "paper_url": "https://arxiv.org/abs/2107.08430",
    "code": "https://github.com/Megvii-BaseDetection/YOLOX",
    "licence": "Apache-2.0",
    "requires": "onnx",
}
YOLOX_NANO = WeightFile(
    "yolox_nano_kazuhito00.onnx",
    "https://raw.githubusercontent.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample/3d4f1119d069/model/yolox_nano.onnx",
    sha256="695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
    size=3660092,
    licence="Apache-2.0",
    source="https://github.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample",
)


@register_detector("yolox-onnx", summary="YOLOX's official exports in ONNX.", **_YOLOX)
class YoloxOnnx(_Yolox):
    """A YOLOX export.

    Args:
        path: The .onnx file.
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay.
        classes: Names of the classes that stay; None for all.
        names: Names of all classes; None: those in the file, else COCO's where there are 80, else numbers.
        size: Side of the input in pixels where the export leaves it open.
        decoded: The export gives boxes in pixels (`--decode_in_inference`) instead of offsets on the grid.
        threads: Threads of onnxruntime; 0 = its choice.
    """

    def __init__(
        self,
        *,
        path: str | Path,
        confidence: float = 0.3,
        nms: float = 0.45,
        classes: Sequence[str] | str | None = None,
        names: Sequence[str] | None = None,
        size: int = 640,
        decoded: bool = False,
        threads: int = 0,
    ):
        super().__init__(
            path, decoded=decoded, confidence=confidence, nms=nms, classes=classes, names=names, size=size, threads=threads
        )  # fmt: skip


@register_detector(
    "yolox-nano",
    summary="YOLOX-nano: 80 COCO classes, 0.9 M parameters, 416 x 416; 4 MB of weights.",
    weights=[YOLOX_NANO],
    **_YOLOX,
)
class YoloxNano(_Yolox):
    """YOLOX-nano, trained on COCO.

    Args:
        weights: An .onnx file of YOLOX to use instead; None = the published one.
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay.
        classes: Names of the classes that stay; None for all 80.
        threads: Threads of onnxruntime; 0 = its choice.
    """

    names = COCO_NAMES

    def __init__(
        self,
        *,
        weights: str | Path | None = None,
        confidence: float = 0.3,
        nms: float = 0.45,
        classes: Sequence[str] | str | None = None,
        threads: int = 0,
    ):
        from vtlab.weights import fetch

        super().__init__(
            fetch(YOLOX_NANO) if weights is None else weights, decoded=False,
            confidence=confidence, nms=nms, classes=classes, names=None, size=416, threads=threads,
        )  # fmt: skip


def layout_of(
    output: NDArray[Any],
    classes: int,
    *,
    further: int = 0,
    size: Sequence[int] = (),
    finished: bool | None = None,
) -> str:
    """Layout of one image's output by what is known of its file; several that fit are told apart by its cells, then values.

    Args:
        output: (rows, columns)
        classes: Number of classes.
        further: Numbers of a box behind its classes.
        size: (height, width) of the input in pixels.
        finished: Whether the file says that its boxes are already chosen; None: it says nothing.

    Raises:
        WeightsError: It has not two dimensions, fits no layout, or may be of several.
    """
    known = "(boxes, 5 + classes), (4 + classes, boxes), (boxes, 6)"
    if output.ndim != 2:
        raise WeightsError(
            f"This export's output has the shape {output.shape} for an image, which is no known YOLO layout; known: {known}."
        )
    rows, columns = output.shape
    fits = {
        "end2end": columns == 6 + further and finished is not False,
        "v5": columns == 5 + classes + further and not finished,
        "v8": rows == 4 + classes + further and not finished,
    }
    fitting = [name for name, fit in fits.items() if fit]
    if len(fitting) > 1:
        counts = [len(cells(size, strides)[0]) for strides in STRIDES] if len(size) else []
        by_cells = {"v5": rows in [3 * n for n in counts], "v8": columns in counts}
        fitting = [n for n in fitting if by_cells.get(n)] or fitting
    if len(fitting) > 1 and "end2end" in fitting:
        whole = bool((output[:, 5] == np.round(output[:, 5])).all())  # classes, where others have chances
        fitting = ["end2end"] if whole else [n for n in fitting if n != "end2end"]
    if len(fitting) == 1:
        return fitting[0]
    what = f"may be of the layouts {' and '.join(fitting)}" if fitting else "fits no YOLO layout"
    raise WeightsError(
        f"This export's output of the shape {output.shape} for an image {what} with {classes} classes"
        f"{f' and {further} further numbers' if further else ''}; known: {known}. It may also hold masks, key points or "
        "angles, which a file without metadata doesn't say. Remedy: names=... of all its classes, or layout=... "
        f"({', '.join(LAYOUTS)}) and task=... ({', '.join(TASKS)})."
    )


def decode_yolo(output: NDArray[Any], how: Columns | str) -> Raw:
    """Read one image's output; boxes are in pixels of the input.

    Args:
        output: (rows, columns)
        how: What its columns are; a layout's name stands for boxes and classes alone.

    Raises:
        WeightsError: The output doesn't fit.
    """
    layout, task, further = Columns(how, "detect", 0) if isinstance(how, str) else how
    rows = output.astype(np.float64)
    rows = rows.T if layout == "v8" else rows
    least = further + {"end2end": 6, "v5": 6, "v8": 5}[layout]
    if rows.ndim != 2 or rows.shape[1] < least or (layout == "end2end" and rows.shape[1] != least):
        raise WeightsError(
            f"An output of the shape {output.shape} for an image isn't of the layout {layout!r} for the task {task!r}, "
            f"which has {'' if layout == 'end2end' else 'at least '}{least} numbers for a box."
        )
    behind = rows[:, rows.shape[1] - further :]
    half = rows[:, 2:4] / 2
    boxes = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1)
    if layout == "end2end":
        scores, ids, classes = rows[:, 4], rows[:, 5].astype(np.int64), 0
        boxes = boxes if task == "obb" else rows[:, :4]  # oriented boxes keep centre and size
    else:
        each = rows[:, 4 : rows.shape[1] - further]
        # v5 says how likely there is an object, and how likely each class is if there is one; v8 the product.
        each = each if layout == "v8" else each[:, 1:] * each[:, :1]
        scores, ids, classes = each.max(axis=1), each.argmax(axis=1), each.shape[1]
    raw = Raw(boxes, scores, ids, classes)
    if task == "segment":
        raw.masks = behind
    elif task == "pose":
        raw.points = behind
    elif task == "obb":
        raw.corners = turned(rows[:, :4], behind[:, 0])
        raw.boxes = np.concatenate([raw.corners.min(axis=1), raw.corners.max(axis=1)], axis=1)
    return raw


def turned(boxes: Array, angles: Array) -> Array:
    """Corners (n, 4, 2) of boxes (n, 4) as centre and size, turned by angles (n,) from x to y, in radians."""
    ways = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    local = ways * boxes[:, None, 2:4]
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    x = local[..., 0] * cos - local[..., 1] * sin
    y = local[..., 0] * sin + local[..., 1] * cos
    return np.stack([x, y], axis=-1) + boxes[:, None, :2]


def _grid(size: tuple[int, ...], count: int) -> tuple[Array, Array]:
    """Cells (n, 2) and strides (n, 1) of YOLOX's three (or four) maps."""
    for strides in STRIDES[:2]:
        grid, steps = cells(size, strides)
        if len(grid) == count:
            return grid, steps
    raise WeightsError(
        f"This YOLOX export gives {count} boxes, which fits no grid of an input of {size} pixels."
    )
