"""YOLO exports in ONNX: YOLOv5, v8, v11 and alike with our own decoding, and YOLOX; runs in onnxruntime.

Papers: Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv 2107.08430 (code: Megvii-BaseDetection/YOLOX,
Apache-2.0). YOLOv5, v8 and v11 have no paper; their code and weights (ultralytics) are AGPL-3.0, of which nothing is used
here: an export is read by the layout of its output.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Detector, Image, check_image
from vtlab.detectors.base import COCO_NAMES, check_fraction, class_ids, select
from vtlab.errors import InputError, WeightsError, needs
from vtlab.files import damage_as
from vtlab.registry import register_detector

if TYPE_CHECKING:
    import supervision as sv

LAYOUTS = ("v5", "v8", "end2end")
Raw = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


class _OnnxDetector(Detector, ABC):
    """What both kinds share: the session, its input size, its classes."""

    def __init__(
        self,
        path: str | Path,
        *,
        confidence: float,
        nms: float,
        classes: Sequence[str] | str | None,
        names: Sequence[str] | None,
        size: int,
        threads: int,
    ):
        self._owner = self.card.name
        self._confidence = check_fraction("confidence", confidence, self._owner)
        self._nms = check_fraction("nms", nms, self._owner)
        self._session = _session(Path(path), threads, self._owner)
        with damage_as(WeightsError, path, "an ONNX file of an image detector"):
            source = self._session.get_inputs()[0]
            self._input, shape = source.name, source.shape
            told = _names_in(self._session)
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
            raise WeightsError(
                f"{str(path)!r} is no image detector: its input has the shape {shape}, not (N, 3, H, W)."
            )
        self._size = tuple(n if isinstance(n, int) else size for n in shape[2:])
        self._batched = not isinstance(shape[0], int)
        self._given = tuple(names) if names else told
        self._classes, self._wanted = classes, None
        self.names: tuple[str, ...] = self._given or ()
        if self.names:
            self._wanted = class_ids(classes, self.names, self._owner)

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return the objects of each frame; all frames go through the network together where the export allows it."""
        images = [check_image(image, self._owner) for image in frames]
        if not images:
            return []
        prepared = [self._prepare(image) for image in images]
        batch = np.stack([p[0] for p in prepared])
        groups = [batch] if self._batched else [batch[i : i + 1] for i in range(len(batch))]
        with damage_as(
            WeightsError, self._owner, "an export that takes images one by one, or any number of them"
        ):
            output = np.concatenate([self._session.run(None, {self._input: g})[0] for g in groups])
        if len(output) != len(images):
            raise WeightsError(
                f"{self._owner}: {len(images)} images give an output of the shape {output.shape}, which isn't one answer an "
                "image. Remedy: export the network without non-maximum suppression."
            )
        return [self._one(o, p[1], p[2], image) for o, p, image in zip(output, prepared, images, strict=True)]

    def _one(
        self, output: NDArray[Any], ratio: float, shift: tuple[float, float], image: Image
    ) -> sv.Detections:
        boxes, scores, ids = self._decode(output)
        count = int(self._count(output))
        if not self.names:
            self.names = COCO_NAMES if count == len(COCO_NAMES) else tuple(str(i) for i in range(count))
            self._wanted = class_ids(self._classes, self.names, self._owner)
        if count != len(self.names):
            raise WeightsError(
                f"{self._owner}: the output {output.shape} holds {count} classes, but {len(self.names)} have names "
                f"({', '.join(self.names[:3])}, ...). Remedy: give the names of all classes, or the layout that fits; "
                "exports that also give masks or key points can't be read."
            )
        boxes = (boxes - np.tile(shift, 2)) / ratio
        return select(
            boxes, scores, ids, self.names,
            size=image.shape[:2], threshold=self._confidence, nms=self._nms, wanted=self._wanted,
        )  # fmt: skip

    @abstractmethod
    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], float, tuple[float, float]]: ...

    @abstractmethod
    def _decode(self, output: NDArray[Any]) -> Raw: ...

    @abstractmethod
    def _count(self, output: NDArray[Any]) -> int: ...


@register_detector(
    "yolo-onnx",
    family="detector",
    summary="Any YOLOv5, v8 or v11 export in ONNX, with our own decoding.",
    licence="Apache-2.0 (vtlab); ultralytics' weights AGPL-3.0",
    requires="onnx",
    notice="Weights that ultralytics publishes are AGPL-3.0, and so is what is built on them.",
)
class YoloOnnx(_OnnxDetector):
    """A YOLO export.

    Args:
        path: The .onnx file.
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay.
        classes: Names of the classes that stay; None for all.
        names: Names of all classes; None: those in the file, else COCO's where there are 80, else numbers.
        size: Side of the input in pixels where the export leaves it open.
        layout: "v5" (N, boxes, 5 + classes), "v8" (N, 4 + classes, boxes; also v11), "end2end" (N, boxes, 6 with
            corners, confidence, class), or "auto" by the output's shape.
        threads: Threads of onnxruntime; 0 = its choice.
    """

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
        threads: int = 0,
    ):
        if layout != "auto" and layout not in LAYOUTS:
            raise InputError(
                f"yolo-onnx: layout must be 'auto' or one of {', '.join(LAYOUTS)}, got {layout!r}."
            )
        self._layout = layout
        super().__init__(
            path, confidence=confidence, nms=nms, classes=classes, names=names, size=size, threads=threads
        )

    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], float, tuple[float, float]]:
        return letterbox(image, self._size, centred=True)

    def _decode(self, output: NDArray[Any]) -> Raw:
        return decode_yolo(output, self._kind(output))

    def _kind(self, output: NDArray[Any]) -> str:
        return layout_of(output, len(self.names)) if self._layout == "auto" else self._layout

    def _count(self, output: NDArray[Any]) -> int:
        kind = self._kind(output)
        many = len(self.names) or len(COCO_NAMES)
        return {"v5": output.shape[1] - 5, "v8": output.shape[0] - 4, "end2end": many}[kind]


@register_detector(
    "yolox-onnx",
    family="detector",
    summary="YOLOX's official exports in ONNX.",
    paper="Ge et al.: YOLOX: Exceeding YOLO Series in 2021, arXiv 2021",
    paper_url="https://arxiv.org/abs/2107.08430",
    code="https://github.com/Megvii-BaseDetection/YOLOX",
    licence="Apache-2.0",
    requires="onnx",
)
class YoloxOnnx(_OnnxDetector):
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
        self._decoded = decoded
        super().__init__(
            path, confidence=confidence, nms=nms, classes=classes, names=names, size=size, threads=threads
        )

    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], float, tuple[float, float]]:
        picture, ratio, shift = letterbox(image, self._size, centred=False)
        return (picture[::-1] * 255).astype(np.float32), ratio, shift  # BGR

    def _decode(self, output: NDArray[Any]) -> Raw:
        rows = output.astype(np.float64)
        if not self._decoded:
            grid, stride = _grid(self._size, len(rows))
            rows[:, :2] = (rows[:, :2] + grid) * stride
            rows[:, 2:4] = np.exp(rows[:, 2:4]) * stride
        return decode_yolo(rows, "v5")

    def _count(self, output: NDArray[Any]) -> int:
        return output.shape[1] - 5


def letterbox(
    image: Image, size: tuple[int, ...], *, centred: bool
) -> tuple[NDArray[np.float32], float, tuple[float, float]]:
    """Fit an image into `size` (height, width) with grey borders.

    Returns:
        Picture (3, height, width) in [0, 1], ratio new / old, and where the image begins, (x, y) in pixels.
    """
    import cv2

    height, width = image.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    new = max(round(height * ratio), 1), max(round(width * ratio), 1)
    top, left = ((size[0] - new[0]) // 2, (size[1] - new[1]) // 2) if centred else (0, 0)
    canvas = np.full((size[0], size[1], 3), 114, np.uint8)
    canvas[top : top + new[0], left : left + new[1]] = cv2.resize(
        np.ascontiguousarray(image), (new[1], new[0]), interpolation=cv2.INTER_LINEAR
    )
    picture: NDArray[np.float32] = np.divide(canvas.transpose(2, 0, 1), 255, dtype=np.float32)
    return picture, ratio, (float(left), float(top))


def layout_of(output: NDArray[Any], classes: int = 0) -> str:
    """Layout of one image's output, by its shape, what its columns hold, and the number of classes (0 = not known).

    Six columns are "end2end" where the last one holds whole numbers, the classes; else they are "v5" with one class.
    Otherwise the side that has room for the classes tells, and where that doesn't, "v8" has more columns than rows.

    Raises:
        WeightsError: The output has not two dimensions.
    """
    if output.ndim != 2:
        raise WeightsError(
            f"This export's output has the shape {output.shape} for an image, which is no known YOLO layout; known: "
            "(boxes, 5 + classes), (4 + classes, boxes), (boxes, 6)."
        )
    rows, columns = output.shape
    if columns == 6 and (output[:, 5] == np.round(output[:, 5])).all():
        return "end2end"
    if classes and (rows == 4 + classes) != (columns == 5 + classes):
        return "v8" if rows == 4 + classes else "v5"
    return "v8" if rows < columns else "v5"


def decode_yolo(output: NDArray[Any], layout: str) -> Raw:
    """Boxes (n, 4) xyxy in pixels of the input, scores (n,) and classes (n,) of one image's output.

    Raises:
        WeightsError: The output is too small for the layout.
    """
    rows = output.astype(np.float64)
    rows = rows.T if layout == "v8" else rows
    least = {"end2end": 6, "v5": 6, "v8": 5}[layout]
    if rows.ndim != 2 or rows.shape[1] < least or (layout == "end2end" and rows.shape[1] != least):
        raise WeightsError(
            f"An output of the shape {output.shape} for an image isn't of the layout {layout!r}."
        )
    if layout == "end2end":
        return rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64)
    half = rows[:, 2:4] / 2
    boxes = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1)
    scores = rows[:, 4:] if layout == "v8" else rows[:, 5:] * rows[:, 4:5]
    return boxes, scores.max(axis=1), scores.argmax(axis=1)


def _grid(size: tuple[int, ...], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cells (n, 2) and strides (n, 1) of YOLOX's three (or four) maps."""
    for strides in ((8, 16, 32), (8, 16, 32, 64)):
        cells, steps = [], []
        for stride in strides:
            y, x = np.mgrid[: size[0] // stride, : size[1] // stride]
            cells.append(np.stack([x, y], axis=-1).reshape(-1, 2))
            steps.append(np.full((x.size, 1), stride))
        grid = np.concatenate(cells).astype(np.float64)
        if len(grid) == count:
            return grid, np.concatenate(steps).astype(np.float64)
    raise WeightsError(
        f"This YOLOX export gives {count} boxes, which fits no grid of an input of {size} pixels."
    )


def _session(path: Path, threads: int, owner: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise needs("onnxruntime", "onnx", f"The detector {owner!r}") from None
    if not path.is_file():
        raise WeightsError(f"{owner}: there is no file {str(path)!r}. Give the path of an ONNX export.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own for every kind of bad file
        raise WeightsError(f"{owner}: {str(path)!r} can't be loaded as ONNX: {error}") from error


def _names_in(session: Any) -> tuple[str, ...]:
    """Names of the classes that an export carries as text, `{0: 'person', ...}`; empty without."""
    text = session.get_modelmeta().custom_metadata_map.get("names", "")
    try:
        found = ast.literal_eval(text) if text else {}
    except (ValueError, SyntaxError):
        return ()
    if isinstance(found, dict):
        return tuple(str(found[k]) for k in sorted(found))
    return tuple(str(x) for x in found) if isinstance(found, (list, tuple)) else ()
