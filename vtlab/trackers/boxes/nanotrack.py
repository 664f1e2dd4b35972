"""NanoTrack v1, v2, v3: light Siamese trackers (0.3 to 0.5 M parameters) that run in real time on a CPU.

Code: https://github.com/HonglinChu/SiamTrackers (NanoTrack, 2022-2023, Apache-2.0); there is no paper. The networks
are the official ONNX files, run by OpenCV's DNN; cropping, decoding and the update of the box follow the official
Python tracker (`nano_tracker.py`), with its penalty, window influence and learning rate for each version.

The files hold networks for a batch of one, so crops go through them one after another; networks widened to 4 and 8
rows were measured and gave the same answers in the same time. Differs from the official code: boxes are reported half
a pixel further right and down, because the official tracker turns a box into a centre by (w - 1) / 2 and back by
w / 2, so that a target at rest seems to move. Differs from `cv2.TrackerNano`: boxes stay fractional, and v3 (15 x 15
cells) works.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Image, WeightFile
from vtlab.errors import InputError
from vtlab.geometry import cxcywh_to_xyxy, xyxy_to_cxcywh
from vtlab.prompts import BoxPrompt
from vtlab.registry import register
from vtlab.trackers.boxes.batch import BatchedTracker, Target
from vtlab.trackers.boxes.crops import MIN_SIDE, Boxes, Window, crop, hann_window

EXEMPLAR, INSTANCE, STRIDE, CONTEXT = 127, 255, 16, 0.5
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


@dataclass(eq=False)
class _Target(Target):
    """A target with its template's features (1, C, 8, 8) and the colour that fills what lies outside the frame."""

    template: NDArray[np.float32] = field(kw_only=True)
    fill: NDArray[np.float64] = field(kw_only=True)


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
class NanoTrack(BatchedTracker[_Target]):
    """NanoTrack for any number of objects on one pair of networks.

    The score is the probability of foreground at the chosen cell, in [0, 1]. It seldom falls when the object is lost:
    the network was trained on crops that hold their target.

    Args:
        version: 1, 2 or 3.
        penalty: Weight of changes of scale and aspect ratio; None = the official value of the version.
        window: Influence of the Hann window, 0 to 1; None = the official value.
        rate: Learning rate of the box's size; None = the official value.
        visible_above: Score from which the object counts as seen.

    Raises:
        InputError: An option is out of range.
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

        super().__init__(visible_above=visible_above)
        if version not in self._TUNED:
            raise InputError(f"NanoTrack has versions 1, 2 and 3; got {version!r}.")
        tuned = self._TUNED[version]
        self.penalty = tuned[0] if penalty is None else penalty
        self.window = tuned[1] if window is None else window
        self.rate = tuned[2] if rate is None else rate
        files = [str(weights.fetch(w)) for w in self._WEIGHTS[version]]
        self._backbone, self._head = (cv2.dnn.readNetFromONNX(f) for f in files)
        cells = 15 if version == 3 else 16
        self._hann = hann_window(cells).ravel()
        offsets = STRIDE * (np.arange(cells) - cells // 2)
        self._cells = np.stack([np.tile(offsets, cells), np.repeat(offsets, cells)]).astype(np.float64)

    def _start(self, image: Image, boxes: Boxes) -> list[_Target]:
        fill = image.mean(axis=(0, 1))
        made = []
        for box in boxes:
            x, y, *size = xyxy_to_cxcywh(box)
            side = np.rint(_context_side(np.array(size)))
            template = self._features(_crop(image, (x, y), side, EXEMPLAR, fill))
            made.append(_Target(box, template=template, fill=fill))
        return made

    def _features(self, crop: Image) -> NDArray[np.float32]:
        """Features (1, C, h, w) of a crop (H, W, 3) RGB."""
        self._backbone.setInput(_input(crop))
        return np.array(self._backbone.forward(), dtype=np.float32)

    def _maps(self, template: NDArray[np.float32], search: Image) -> tuple[NDArray[np.float32], ...]:
        """Logits (2, cells) of background and foreground, distances (4, cells) to the edges, of a search region."""
        self._head.setInput(template, "input1")
        self._head.setInput(self._features(search), "input2")
        maps = self._head.forward(["output1", "output2"])
        return tuple(np.array(m, dtype=np.float32).reshape(m.shape[1], -1) for m in maps)

    def _follow(self, image: Image, targets: Sequence[_Target]) -> tuple[Boxes, NDArray[np.float64]]:
        before = xyxy_to_cxcywh(np.array([t.box for t in targets]))
        centre, last = before[:, :2], before[:, 2:]
        context = _context_side(last.T)
        sides, scale = np.rint(context * INSTANCE / EXEMPLAR), (EXEMPLAR / context)[:, None]
        maps = [
            self._maps(t.template, _crop(image, tuple(c), side, INSTANCE, t.fill))
            for c, side, t in zip(centre, sides, targets, strict=True)
        ]
        logits, distances = (np.stack(m) for m in zip(*maps, strict=True))
        with np.errstate(over="ignore"):
            score = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1], dtype=np.float64))
        low, high = self._cells - distances[:, :2], self._cells + distances[:, 2:]
        size = high - low
        penalty = self._penalty(size, last * scale)
        best = np.argmax(penalty * score * (1 - self.window) + self._hann * self.window, axis=1)
        rows = np.arange(len(targets))
        rate = (penalty[rows, best] * score[rows, best] * self.rate)[:, None]
        limits = np.array(image.shape[1::-1])
        found = np.concatenate(
            [
                np.clip(centre + (low + high)[rows, :, best] / 2 / scale, 0, limits),
                np.clip(
                    last * (1 - rate) + size[rows, :, best] / scale * rate,
                    np.minimum(MIN_SIDE, limits),
                    limits,
                ),
            ],
            axis=1,
        )
        return cxcywh_to_xyxy(found), score[rows, best]

    def _penalty(self, size: NDArray[np.float64], last: NDArray[np.float64]) -> NDArray[np.float64]:
        """Penalty in (0, 1] for the change of scale and aspect ratio: sizes (N, 2, cells), last sizes (N, 2)."""

        def change(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.maximum(ratio, 1 / ratio)

        with np.errstate(divide="ignore", invalid="ignore"):
            scale = change(_context_side(size.swapaxes(0, 1)) / _context_side(last.T)[:, None])
            ratio = change((last[:, :1] / last[:, 1:]) / (size[:, 0] / size[:, 1]))
            return np.nan_to_num(np.exp(-(ratio * scale - 1) * self.penalty))


def _context_side(size: NDArray[np.float64]) -> Any:
    """Side in pixels of the square with context around (w, h), or around each of (2, ...) sizes."""
    context = CONTEXT * size.sum(axis=0)
    return np.sqrt((size[0] + context) * (size[1] + context))


def _crop(
    image: Image, centre: tuple[float, float], side: float, size: int, fill: NDArray[np.float64]
) -> Image:
    """Cut a square of whole pixels around `centre` and resize it."""
    left, top = (math.floor(c - 0.5 - side / 2) for c in centre)  # as the official code: centres are indices
    return crop(image, Window(left, top, max(int(side), 1)), size, fill=fill)


def _input(crop: Image) -> NDArray[np.float32]:
    """The backbone's input (1, 3, H, W) of an RGB crop: BGR, 0 to 255."""
    return np.ascontiguousarray(crop[..., ::-1].transpose(2, 0, 1)[None], dtype=np.float32)
