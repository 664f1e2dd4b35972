"""NanoTrack v1, v2, v3: light Siamese trackers (0.3 to 0.5 M parameters) that run in real time on a CPU.

Code: https://github.com/HonglinChu/SiamTrackers (NanoTrack, 2022-2023, Apache-2.0); there is no paper. The networks
are the official ONNX files, run by OpenCV's DNN; cropping, decoding and the update of the box follow the official
Python tracker (`nano_tracker.py`), with its penalty, window influence and learning rate for each version.

Differs from `cv2.TrackerNano`: boxes stay fractional, and v3 (15 x 15 cells) works.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vtlab.geometry import cxcywh_to_xyxy, xyxy_to_cxcywh
from vtlab.prompts import BoxPrompt, Prompt, Prompts
from vtlab.protocols import Image, OnlineTracker, WeightFile
from vtlab.registry import register
from vtlab.tracks import FrameTracks

if TYPE_CHECKING:
    from vtlab.video import Frame

EXEMPLAR, INSTANCE, STRIDE, CONTEXT = 127, 255, 16, 0.5
_MIN_SIDE = 10.0
_SOURCE = "https://github.com/HonglinChu/SiamTrackers"
_RAW = "https://raw.githubusercontent.com/HonglinChu/SiamTrackers"


def _files(
    version: str, backbone: tuple[str, str | None, int], head: tuple[str, str | None, int]
) -> tuple[WeightFile, ...]:
    parts = {"backbone": backbone, "head": head}
    return tuple(
        WeightFile(f"nanotrack{version}_{part}.onnx", f"{_RAW}/{path}", digest, size, "Apache-2.0", _SOURCE)
        for part, (path, digest, size) in parts.items()
    )


_V1 = _files(
    "v1",
    ("7f18c02fd49f7b6cb5f9842b63ba9ae78fed083b/NanoTrack/models/onnx/nanotrack_backbone_sim.onnx", None, 0),
    ("8211ff3f862fc68a870dde1ab00451f35af3b1d4/NanoTrack/models/onnx/nanotrack_head_sim.onnx", None, 0),
)
_V2 = _files(
    "v2",
    (
        "master/NanoTrack/models/nanotrackv2/nanotrack_backbone_sim.onnx",
        "530bdd0cd00f19afab79a863e71ba71e3312395a5dc9151af675082bdaaa2fc4",
        1056849,
    ),
    (
        "master/NanoTrack/models/nanotrackv2/nanotrack_head_sim.onnx",
        "0d8c0637be849f092cc7236cae02e55c8b9455ebe37ba50601d6115db4247cd9",
        726198,
    ),
)
_V3 = _files(
    "v3",
    (
        "master/NanoTrack/models/nanotrackv3/nanotrack_backbone.onnx",
        "50be1320abf9384fd3479ea829f95e244cf3f3838190c5ab60c750fb8c1ce828",
        1431635,
    ),
    (
        "master/NanoTrack/models/nanotrackv3/nanotrack_head.onnx",
        "75357903be3f4817c965af16cb5a11fd32b1467f597a408405a98635ac63f61d",
        1183740,
    ),
)
_CARD: dict[str, Any] = {
    "family": "sot",
    "accepts": {BoxPrompt},
    "code": f"{_SOURCE}/tree/master/NanoTrack",
    "licence": "Apache-2.0",
}


@dataclass
class _Target:
    """One followed object: centre (x, y) and size (w, h) in pixels, its template's features, its fill colour."""

    centre: NDArray[np.float64]
    size: NDArray[np.float64]
    template: Any
    fill: NDArray[np.float64]
    label: str | None


@register(
    "nanotrack-v1",
    summary="NanoTrack v1: 0.29 M parameters, trained on GOT-10k.",
    weights=_V1,
    options={"version": 1},
    **_CARD,
)
@register(
    "nanotrack-v2",
    summary="NanoTrack v2: 0.33 M parameters, trained on GOT-10k; the light default.",
    weights=_V2,
    options={"version": 2},
    **_CARD,
)
@register(
    "nanotrack-v3",
    summary="NanoTrack v3: 0.54 M parameters, trained on six datasets; the best of the three.",
    weights=_V3,
    options={"version": 3},
    **_CARD,
)
class NanoTrack(OnlineTracker):
    """NanoTrack for any number of objects on one pair of networks.

    The score is the probability of foreground at the chosen cell, in [0, 1].

    Args:
        version: 1, 2 or 3.
        penalty: Weight of changes of scale and aspect ratio; None = the official value of the version.
        window: Influence of the Hann window, 0 to 1; None = the official value.
        rate: Learning rate of the box's size; None = the official value.
        visible_above: Score from which the object counts as seen.

    Raises:
        WeightsError: The ONNX files are not at hand and can't be fetched.
    """

    _TUNED: ClassVar = {1: (0.148, 0.462, 0.390), 2: (0.150, 0.490, 0.385), 3: (0.138, 0.455, 0.348)}
    _WEIGHTS: ClassVar = {1: _V1, 2: _V2, 3: _V3}

    def __init__(
        self,
        *,
        version: int = 2,
        penalty: float | None = None,
        window: float | None = None,
        rate: float | None = None,
        visible_above: float = 0.5,
    ):
        import cv2

        from vtlab import weights

        tuned = self._TUNED[version]
        self.penalty = tuned[0] if penalty is None else penalty
        self.window = tuned[1] if window is None else window
        self.rate = tuned[2] if rate is None else rate
        self.visible_above = visible_above
        files = [str(weights.fetch(w)) for w in self._WEIGHTS[version]]
        self._backbone, self._head = (cv2.dnn.readNetFromONNX(f) for f in files)
        self._targets: dict[int, _Target] = {}
        cells = 15 if version == 3 else 16
        self._hann = np.outer(np.hanning(cells), np.hanning(cells)).ravel()
        offsets = STRIDE * (np.arange(cells) - cells // 2)
        self._cells = np.stack([np.tile(offsets, cells), np.repeat(offsets, cells)]).astype(np.float64)

    def init(self, frame: Frame, prompts: Prompts) -> FrameTracks:
        """Forget all targets and start on the prompts."""
        self._targets = {}
        return self.step(frame, prompts)

    def step(self, frame: Frame, prompts: Prompts = Prompts()) -> FrameTracks:
        """Follow every target; a prompt starts or restarts its own."""
        given = {p.object_id for p in prompts}
        scores: dict[int, float] = {}
        for object_id, target in self._targets.items():
            if object_id not in given:
                scores[object_id] = self._follow(frame.image, target)
        for prompt in prompts:
            self._targets[prompt.object_id] = self._start(frame.image, prompt)
            scores[prompt.object_id] = 1.0
        ids = sorted(scores)
        targets = [self._targets[i] for i in ids]
        boxes = cxcywh_to_xyxy([[*t.centre, *t.size] for t in targets]) if ids else np.empty((0, 4))
        score = np.array([scores[i] for i in ids])
        return FrameTracks.of(
            ids,
            boxes,
            score,
            score >= self.visible_above,
            labels=[t.label for t in targets] if any(t.label for t in targets) else None,
            source=["manual" if i in given else "tracked" for i in ids],
        )

    def remove(self, object_ids: Iterable[int]) -> None:
        """Stop following these objects."""
        for object_id in object_ids:
            self._targets.pop(object_id, None)

    def _start(self, image: Image, prompt: Prompt) -> _Target:
        box = xyxy_to_cxcywh(prompt.box(*image.shape[:2]))
        centre, size = box[:2] - 0.5, box[2:]  # as the official code: the centre in pixel indices
        fill = image.mean(axis=(0, 1))
        crop = _crop(image, centre, round(_context_side(size)), EXEMPLAR, fill)
        self._backbone.setInput(crop)
        known = self._targets.get(prompt.object_id)
        label = prompt.label or (known.label if known else None)
        return _Target(centre, size, self._backbone.forward().copy(), fill, label)

    def _follow(self, image: Image, target: _Target) -> float:
        """Move the target to where it is found on `image`; return its score."""
        side = _context_side(target.size)
        scale = EXEMPLAR / side
        crop = _crop(image, target.centre, round(side * INSTANCE / EXEMPLAR), INSTANCE, target.fill)
        self._backbone.setInput(crop)
        features = self._backbone.forward()
        self._head.setInput(target.template, "input1")
        self._head.setInput(features, "input2")
        logits, distances = self._head.forward(["output1", "output2"])
        score = 1 / (1 + np.exp(logits[0, 0].ravel() - logits[0, 1].ravel(), dtype=np.float64))
        low = self._cells - distances[0, :2].reshape(2, -1)
        high = self._cells + distances[0, 2:].reshape(2, -1)
        size = high - low
        penalty = self._penalty(size, target.size * scale)
        best = int(np.argmax(penalty * score * (1 - self.window) + self._hann * self.window))
        rate = penalty[best] * score[best] * self.rate
        height, width = image.shape[:2]
        target.centre = np.clip(target.centre + (low + high)[:, best] / 2 / scale, 0, (width, height))
        target.size = np.clip(
            target.size * (1 - rate) + size[:, best] / scale * rate,
            np.minimum(_MIN_SIDE, (width, height)),
            (width, height),
        )
        return float(score[best])

    def _penalty(self, size: NDArray[np.float64], last: NDArray[np.float64]) -> NDArray[np.float64]:
        """Penalty in (0, 1] for the change of scale and aspect ratio of the sizes (2, cells)."""

        def change(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.maximum(ratio, 1 / ratio)

        with np.errstate(divide="ignore", invalid="ignore"):
            scale = change(_context_side(size) / _context_side(last))
            ratio = change((last[0] / last[1]) / (size[0] / size[1]))
            return np.nan_to_num(np.exp(-(ratio * scale - 1) * self.penalty))


def _context_side(size: NDArray[np.float64]) -> Any:
    """Side in pixels of the square with context around (w, h), or around each of (2, N) sizes."""
    context = CONTEXT * size.sum(axis=0)
    return np.sqrt((size[0] + context) * (size[1] + context))


def _crop(
    image: Image, centre: NDArray[np.float64], side: int, size: int, fill: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Cut a square of whole pixels around `centre` and resize it: the network's input (1, 3, size, size), BGR 0-255."""
    from vtlab.trackers._crops import Window, crop

    left, top = np.floor(centre - side / 2).astype(int)
    patch = crop(image, Window(int(left), int(top), max(side, 1)), size, fill=fill)
    return np.ascontiguousarray(patch[..., ::-1].transpose(2, 0, 1)[None], dtype=np.float32)
