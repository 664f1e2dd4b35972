"""Image detectors exported to ONNX: what a file says of itself, and what all layouts share; runs in onnxruntime.

Which layout a file has is read from the names, number and shapes of its outputs and from its metadata, where exporters write
classes and task. A file of another layout than a detector's is refused by name.
"""

from __future__ import annotations

import ast
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Detector, Image, check_image
from vtlab.detectors.base import COCO_NAMES, ORIENTED, Fit, check_fraction, class_ids, select
from vtlab.errors import WeightsError, needs
from vtlab.files import damage_as
from vtlab.geometry import as_boxes

if TYPE_CHECKING:
    import supervision as sv

Array = NDArray[np.float64]

COCO91_NAMES = tuple(
    str(i) if place < 0 else COCO_NAMES[place]
    for i, place in enumerate(
        (lambda gaps: [-1 if i in gaps else i - 1 - sum(g < i for g in gaps if g) for i in range(91)])(
            {0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
        )
    )
)
"""COCO's classes under the numbers of its annotations, 1 to 90; numbers that it does not use name themselves."""

READERS = {
    "yolo": "'yolo-onnx'",
    "yolox": "'yolox-onnx'",
    "detr": "'rf-detr-onnx', 'lw-detr-onnx' or 'd-fine-onnx'",
    "picodet": "'picodet-s' with weights=",
    "yunet": "'yunet' with weights=",
    "fastestdet": "'fastestdet'",
}
"""Layout -> detectors that read it."""


@dataclass
class Raw:
    """What an output holds before anything is left out, in pixels of the input.

    Attributes:
        boxes: (n, 4) xyxy.
        scores: (n,)
        ids: (n,) classes.
        classes: How many classes there are; 0 where the output doesn't say.
        corners: (n, 4, 2) of oriented boxes.
        points: (n, K, 2) key points.
        point_scores: (n, K)
        masks: (n, c) coefficients of `prototypes`, or (n, h, w) logits.
        prototypes: (c, h, w)
    """

    boxes: Array
    scores: Array
    ids: NDArray[np.int64]
    classes: int = 0
    corners: Array | None = None
    points: Array | None = None
    point_scores: Array | None = None
    masks: NDArray[Any] | None = None
    prototypes: NDArray[Any] | None = None


@dataclass(frozen=True)
class Export:
    """An ONNX file of an image detector.

    Attributes:
        path: The file.
        session: onnxruntime's session.
        inputs: Name -> shape, sides that are open as text; the image comes first.
        outputs: Name -> shape.
        metadata: What the exporter wrote.
    """

    path: Path
    session: Any
    inputs: Mapping[str, Sequence[Any]]
    outputs: Mapping[str, Sequence[Any]]
    metadata: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, threads: int, owner: str) -> Export:
        """Open a file.

        Raises:
            WeightsError: There is none, it is no ONNX file, or it takes no images.
            MissingDependencyError: onnxruntime is not installed.
        """
        session = _session(path, threads, owner)
        with damage_as(WeightsError, path, "an ONNX file of an image detector"):
            made = cls(
                path,
                session,
                {i.name: i.shape for i in session.get_inputs()},
                {o.name: o.shape or [] for o in session.get_outputs()},
                dict(session.get_modelmeta().custom_metadata_map),
            )
            shape = next(iter(made.inputs.values()))
        if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
            raise WeightsError(
                f"{str(path)!r} is no image detector: its input has the shape {shape}, not (N, 3, H, W)."
            )
        return made

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes that the metadata holds; empty without."""
        for key in ("names", "class_names", "classes", "labels"):
            found = self._literal(key)
            if isinstance(found, dict) and all(isinstance(k, int) for k in found):
                return tuple(str(found[k]) for k in sorted(found))
            if isinstance(found, (list, tuple)):
                return tuple(str(x) for x in found)
            if isinstance(found, str) and re.search("[,\n]", found):
                return tuple(part.strip() for part in re.split("[,\n]", found) if part.strip())
        return ()

    @property
    def task(self) -> str:
        """What the metadata calls the task: "detect", "segment", "pose", "obb", ...; "" without."""
        return self.metadata.get("task", "")

    @property
    def point_shape(self) -> tuple[int, int] | None:
        """(key points, numbers of each) as the metadata has them."""
        found = self._literal("kpt_shape")
        return (
            (int(found[0]), int(found[1])) if isinstance(found, (list, tuple)) and len(found) == 2 else None
        )

    @property
    def finished(self) -> bool | None:
        """Whether the metadata says that boxes are already chosen (end to end, or suppressed); None: it says nothing."""
        told = [self._literal("end2end")]
        arguments = self._literal("args")
        if isinstance(arguments, dict):
            told.append(arguments.get("nms", False))
        told = [t for t in told if isinstance(t, bool)]
        return any(told) if told else None

    def _literal(self, key: str) -> Any:
        text = self.metadata.get(key, "")
        try:
            return ast.literal_eval(text) if text else None
        except (ValueError, SyntaxError):
            return text

    @property
    def layout(self) -> str:
        """The layout that names, number and shapes of the outputs tell: a key of `READERS`, or ""."""
        names, shapes = set(self.outputs), list(self.outputs.values())
        if {"dets", "labels"} <= names and _last(self.outputs["dets"]) in (4, None):
            return "detr"
        if (
            names >= {"logits", "pred_boxes"}
            or names >= {"logits", "boxes"}
            or names >= {"labels", "boxes", "scores"}
        ):
            return "detr"
        if all(re.fullmatch(r"(cls|obj|bbox|kps)_\d+", n) for n in names):
            return "yunet"
        if len(shapes) > 2 and len(shapes) % 2 == 0 and all(len(s) == 3 for s in shapes):
            half = len(shapes) // 2
            bins = {_last(s) for s in shapes[half:]}
            if [s[1] for s in shapes[:half]] == [s[1] for s in shapes[half:]] and all(
                b and b % 4 == 0 for b in bins
            ):
                return "picodet"
        ranks = [len(s) for s in shapes]
        if ranks == [4] and shapes[0][1] == 85:
            return "fastestdet"
        return "yolo" if ranks in ([3], [3, 4]) else ""


def _last(shape: Sequence[Any]) -> int | None:
    return shape[-1] if len(shape) == 3 and isinstance(shape[-1], int) else None


class OnnxDetector(Detector, ABC):
    """What detectors that read exports share: the session, its input's size, the classes, and what is left in the end.

    Args:
        path: The .onnx file.
        confidence: Lowest confidence that stays.
        nms: Highest IoU of two boxes of one class that both stay.
        classes: Names of the classes that stay; None for all.
        names: Names of all classes; None: those in the file, else COCO's where their number fits, else numbers.
        size: Side of the input in pixels where the export leaves it open.
        threads: Threads of onnxruntime; 0 = its choice.
    """

    layout: ClassVar[str]
    """Layout that the detector reads, as `Export.layout` names it."""

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
        self._export = Export.open(Path(path), threads, self._owner)
        self._refuse_others()
        self._input, shape = next(iter(self._export.inputs.items()))
        self._size = tuple(n if isinstance(n, int) else size for n in shape[2:])
        self._batched = not isinstance(shape[0], int)
        half = "float16" in self._export.session.get_inputs()[0].type
        self._type = np.float16 if half else np.float32
        self._classes, self._wanted = classes, None
        self.names: tuple[str, ...] = tuple(names) if names else self._export.names
        if self.names:
            self._wanted = class_ids(classes, self.names, self._owner)

    def _refuse_others(self) -> None:
        """Refuse a file of another layout.

        Raises:
            WeightsError: The message says what the file is and which detector reads it.
        """
        found, outputs = (
            self._export.layout,
            ", ".join(f"{n} {list(s)}" for n, s in self._export.outputs.items()),
        )
        if found != self.layout:
            told = (
                f"has the outputs of {found.upper() if found == 'detr' else found}. Remedy: the detector {READERS[found]}"
                if found
                else f"has outputs of no layout that is known here. Known: {', '.join(READERS)}"
            )
            raise WeightsError(f"{self._owner}: {str(self._export.path)!r} ({outputs}) {told}.")

    def detect(self, frames: Sequence[Image]) -> list[sv.Detections]:
        """Return the objects of each frame; all frames go through the network together where the export allows it."""
        images = [check_image(image, self._owner) for image in frames]
        if not images:
            return []
        prepared = [self._prepare(image) for image in images]
        batch = np.stack([p[0] for p in prepared]).astype(self._type)
        groups = [slice(None)] if self._batched else [slice(i, i + 1) for i in range(len(batch))]
        with damage_as(
            WeightsError, self._owner, "an export that takes images one by one, or any number of them"
        ):
            answers = [
                self._export.session.run(None, {self._input: batch[g], **self._also(images[g])})
                for g in groups
            ]
            outputs = [np.concatenate(parts) for parts in zip(*answers, strict=True)]
        if any(len(o) != len(images) for o in outputs):
            raise WeightsError(
                f"{self._owner}: {len(images)} images give outputs of the shapes {[o.shape for o in outputs]}, which isn't "
                "one answer an image. Remedy: export the network without non-maximum suppression."
            )
        return [self._one([o[i] for o in outputs], prepared[i][1], image) for i, image in enumerate(images)]

    def _also(self, images: Sequence[Image]) -> dict[str, NDArray[Any]]:
        """What the network takes beside the images."""
        return {}

    def _one(self, outputs: list[NDArray[Any]], fit: Fit, image: Image) -> sv.Detections:
        raw = self._decode(outputs)
        self._name(raw.classes, outputs)
        extras: dict[str, NDArray[Any]] = {}
        if raw.corners is not None:
            extras[ORIENTED] = fit.back(raw.corners)
        if raw.points is not None and raw.point_scores is not None:
            extras |= {"keypoints": fit.back(raw.points), "keypoint_scores": raw.point_scores}
        if raw.masks is not None:
            extras["mask"] = raw.masks
        found = select(
            fit.back(raw.boxes.reshape(-1, 2, 2)).reshape(-1, 4),
            raw.scores, raw.ids, self.names,
            size=image.shape[:2], threshold=self._confidence, nms=self._nms, wanted=self._wanted, extras=extras,
        )  # fmt: skip
        if raw.masks is not None:
            rows = np.asarray(found.data.pop("mask"))
            found.mask = masks_of(
                rows, raw.prototypes, as_boxes(found.xyxy), fit, (self._size, image.shape[:2])
            )
        return found

    def _name(self, count: int, outputs: list[NDArray[Any]]) -> None:
        """Hold the classes of an output against their names.

        Raises:
            WeightsError: They are of another number.
        """
        if not self.names:
            known = {len(n): n for n in (COCO_NAMES, COCO91_NAMES)}
            self.names = known.get(count or len(COCO_NAMES)) or tuple(str(i) for i in range(count))
            self._wanted = class_ids(self._classes, self.names, self._owner)
        if count and count != len(self.names):
            raise WeightsError(
                f"{self._owner}: the outputs {[o.shape for o in outputs]} hold {count} classes, but {len(self.names)} have "
                f"names ({', '.join(self.names[:3])}, ...). Remedy: give the names of all classes, or the layout that fits."
            )

    @abstractmethod
    def _prepare(self, image: Image) -> tuple[NDArray[np.float32], Fit]:
        """The network's input (3, height, width) and how the image lies in it."""

    @abstractmethod
    def _decode(self, outputs: list[NDArray[Any]]) -> Raw:
        """What one image's outputs hold."""


def letterbox(
    image: Image, size: tuple[int, ...], *, centred: bool, border: int = 114
) -> tuple[NDArray[np.float32], float, tuple[float, float]]:
    """Fit an image into `size` (height, width) with grey borders.

    Returns:
        Picture (3, height, width) in [0, 1], ratio new / old, and where the image begins, (x, y) in pixels.
    """
    import cv2

    # 114 is the grey of the borders on which the YOLOs are trained.
    height, width = image.shape[:2]
    ratio = min(size[0] / height, size[1] / width)
    new = max(round(height * ratio), 1), max(round(width * ratio), 1)
    top, left = ((size[0] - new[0]) // 2, (size[1] - new[1]) // 2) if centred else (0, 0)
    canvas = np.full((size[0], size[1], 3), border, np.uint8)
    canvas[top : top + new[0], left : left + new[1]] = cv2.resize(
        np.ascontiguousarray(image), (new[1], new[0]), interpolation=cv2.INTER_LINEAR
    )
    picture: NDArray[np.float32] = np.divide(canvas.transpose(2, 0, 1), 255, dtype=np.float32)
    return picture, ratio, (float(left), float(top))


def cells(size: Sequence[int], strides: Sequence[int]) -> tuple[Array, Array]:
    """Columns and rows (n, 2) and strides (n, 1) of a network's maps, map after map, row by row."""
    places, steps = [], []
    for stride in strides:
        y, x = np.mgrid[: -(-size[0] // stride), : -(-size[1] // stride)]
        places.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        steps.append(np.full((x.size, 1), stride))
    return np.concatenate(places).astype(np.float64), np.concatenate(steps).astype(np.float64)


def masks_of(
    rows: NDArray[Any],
    prototypes: NDArray[Any] | None,
    boxes: Array,
    fit: Fit,
    sizes: tuple[Sequence[int], Sequence[int]],
) -> NDArray[np.bool_]:
    """Masks (n, H, W) of objects within their boxes.

    Args:
        rows: (n, c) coefficients of `prototypes`, or (n, h, w) logits.
        prototypes: (c, h, w), or None.
        boxes: (n, 4) xyxy in pixels of the image.
        fit: How the image lies in the network's input.
        sizes: (height, width) of the input and of the image.
    """
    import cv2

    inside, (height, width) = sizes
    masks = np.zeros((len(rows), height, width), dtype=bool)
    for mask, row, box in zip(masks, rows, boxes, strict=True):
        logits = row if prototypes is None else np.tensordot(row, prototypes, axes=1)
        left, top = np.floor(box[:2]).astype(int)
        right, bottom = min(int(np.ceil(box[2])), width), min(int(np.ceil(box[3])), height)
        share = np.array([logits.shape[1] / inside[1], logits.shape[0] / inside[0]])
        scale = np.array(fit.scale) * share
        # OpenCV counts from the middles of pixels, boxes and scales from their edges: hence the halves.
        shift = (np.array([left, top]) + 0.5) * scale + np.array(fit.shift) * share - 0.5
        placed = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
        part = cv2.warpAffine(
            logits.astype(np.float32),
            placed,
            (right - left, bottom - top),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        mask[top:bottom, left:right] = part > 0  # of logits: more likely than not
    return masks


def _session(path: Path, threads: int, owner: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise needs("onnxruntime", "onnx", f"The detector {owner!r}") from None
    if not path.is_file():
        raise WeightsError(f"{owner}: there is no file {str(path)!r}. Give the path of an ONNX export.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # it warns of every weight that an older exporter lists among the inputs
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of its own for every kind of bad file
        raise WeightsError(f"{owner}: {str(path)!r} can't be loaded as ONNX: {error}") from error
