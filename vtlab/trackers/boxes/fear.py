"""FEAR-XS: a small Siamese tracker made for phones; the boldest cell wins, nothing is smoothed.

Paper: Borsuk et al., "FEAR: Fast, Efficient, Accurate and Robust Visual Tracker", ECCV 2022,
https://arxiv.org/abs/2112.07957. Official code: https://github.com/PinataFarms/FEARTracker (MIT). The network is
`vtlab.nets.fear`; cropping, decoding and the whole-pixel state follow the official Python tracker. The weights are those of
its phone demo (float16), whose .mlmodel is read as it is.

Differs from the official code: all objects of a frame make one batch, which changes nothing. As there, search regions are
not square but stretched, and boxes are whole pixels inside the image, at least 3 wide and high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Exportable, ExportGraph, Image, WeightFile
from vtlab.geometry import xywh_to_xyxy, xyxy_to_xywh
from vtlab.nets.loading import load
from vtlab.prompts import BoxPrompt
from vtlab.registry import register
from vtlab.trackers.boxes.batch import NetworkTracker, Target
from vtlab.trackers.boxes.crops import Boxes, change_penalty, hann_window, stretch
from vtlab.trackers.boxes.graphs import NO_UPDATE, siamese

if TYPE_CHECKING:
    import torch

# siam_tracker.yaml of the official code, as the two pairs below.
TEMPLATE, SEARCH, STRIDE, CELLS = 128, 256, 16, 16
TEMPLATE_AROUND, SEARCH_AROUND = 0.2, 2.0
"""What is cut around the box, as a fraction of its width and height on each side."""
MIN_SIDE = 3
"""Pixels below which a box does not shrink (`clamp_bbox` of the official code)."""
PENALTY, WINDOW, RATE = 0.062, 0.38, 0.765  # of the smoothing
_SOURCE = "https://github.com/PinataFarms/FEARTracker"
_WEIGHTS = WeightFile(
    "fear_xs_Tracker.mlmodel",
    "https://raw.githubusercontent.com/PinataFarms/FEARTracker/0a3bd039918909c79c1b7e55a4bfb7807520abde/"
    "evaluate/FEARDemo/FEARDemo/Tracker.mlmodel",
    "2c01e12ee22f4effcbe0b4d68120b5ff99929c46280c0b9dca0c46230b7de47f",
    2705930,
    "MIT",
    _SOURCE,
)


@dataclass(eq=False)
class _Target(Target):
    """A target with its template (64, 256) and the colour that fills what lies outside the frame."""

    template: torch.Tensor = field(kw_only=True)
    fill: NDArray[np.float64] = field(kw_only=True)


@register(
    "fear-xs",
    family="sot",
    summary="FEAR-XS: 1.35 M parameters, made for phones; whole-pixel boxes, the template is never updated.",
    accepts={BoxPrompt},
    paper="FEAR: Fast, Efficient, Accurate and Robust Visual Tracker, ECCV 2022",
    paper_url="https://arxiv.org/abs/2112.07957",
    code=_SOURCE,
    licence="MIT",
    requires="torch",
    weights=(_WEIGHTS,),
)
class Fear(NetworkTracker[_Target], Exportable):
    """FEAR-XS for any number of objects in one batch.

    The score is the sigmoid of the class map at the chosen cell, in [0, 1].

    Args:
        weights: Checkpoint to use instead of the official one: a Tracker.mlmodel of this architecture, or a state dict of
            `vtlab.nets.fear.FearXS`.
        smooth: Whether changes of size are penalised and smoothed, as the official code can and by default does not.
        visible_above: Score from which an object counts as seen.
        engine: "torch", or "onnxruntime", "openvino", "tensorrt": what runs the exported files in the folder `weights`
            (docs/tasks/deploy.md).
        device: PyTorch device, or "auto".
        dtype: "float32", "float16" or "bfloat16".
        channels_last: Whether convolutions run on channels-last memory.
        compile: Whether `torch.compile` compiles the network.
        batch: Most objects in one pass of the network.

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another network.
        InputError: An option is out of range.
    """

    def __init__(
        self,
        *,
        weights: str | Path | None = None,
        smooth: bool = False,
        visible_above: float = 0.5,
        engine: str = "torch",
        device: str = "auto",
        dtype: str = "float32",
        channels_last: bool = True,
        compile: bool = False,
        batch: int = 64,
    ):
        from vtlab.nets import fear

        super().__init__(visible_above=visible_above, batch=batch)
        self.smooth = smooth
        self._ready(
            lambda: load(
                fear.FearXS, weights, _WEIGHTS, what="fear-xs", variant_of=fear.variant_of, read=fear.read
            ),
            engine=engine,
            weights=weights,
            network="fear-xs",
            device=device,
            dtype=dtype,
            channels_last=channels_last,
            compile=compile,
        )
        # From 0 to 240 in a crop of 256: the official grid is not symmetric.
        points = STRIDE * (np.arange(CELLS) - CELLS // 2) + SEARCH // 2
        self._points = np.stack([np.tile(points, CELLS), np.repeat(points, CELLS)]).astype(np.float64)
        self._hann = hann_window(CELLS).ravel()

    @staticmethod
    def template_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """template (B, 3, 128, 128) -> tokens (B, 64, 256)."""
        return (network.template(*inputs),)

    @staticmethod
    def step_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """search (B, 3, 256, 256), tokens -> scores (B, 256), distances (B, 4, 256)."""
        search, tokens = inputs
        logits, distances = network(tokens, search)
        return logits.float().sigmoid().flatten(1), distances.flatten(2)

    def _start(self, image: Image, boxes: Boxes) -> list[_Target]:
        import torch

        fill = image.mean(axis=(0, 1))
        around = _around(_whole(xyxy_to_xywh(boxes), image), TEMPLATE_AROUND)
        # Rounded half to even, as cv2.copyMakeBorder does with a float colour.
        crops = [stretch(image, _ints(w), TEMPLATE, fill=np.rint(fill)) for w in around]
        with torch.inference_mode():
            (templates,) = self._ask_template(self._images(crops))
        return [_Target(box, template=t, fill=fill) for box, t in zip(boxes, templates.unbind(), strict=True)]

    def _follow(self, image: Image, targets: Sequence[_Target]) -> tuple[Boxes, NDArray[np.float64]]:
        import torch

        last = _whole(xyxy_to_xywh(np.array([t.box for t in targets])), image)
        around = _around(last, SEARCH_AROUND)
        crops = [
            stretch(image, _ints(w), SEARCH, fill=np.rint(t.fill))
            for w, t in zip(around, targets, strict=True)
        ]
        with torch.inference_mode():
            templates = torch.stack([t.template for t in targets])
            scores, distances = self._ask_step(self._images(crops), templates)
            score, sides = scores.cpu().numpy(), distances.cpu().numpy().astype(np.float64)
        low, high = self._points - sides[:, :2], self._points + sides[:, 2:]
        scale = around[:, 2:] / SEARCH
        best, size = self._choose(score, high - low, last[:, 2:] / scale)
        rows = np.arange(len(targets))
        finite = np.isfinite(score).all(axis=1) & np.isfinite(sides).all(axis=(1, 2))
        found = np.concatenate(
            [
                # The official state is whole pixels, so its errors of rounding are part of the answer.
                np.rint(low[rows, :, best] * scale + around[:, :2]),
                np.maximum(np.rint(size * scale), MIN_SIDE),
            ],
            axis=1,
        )
        found[finite] = _whole(found[finite], image)
        found[~finite] = np.nan
        return np.asarray(xywh_to_xyxy(found)), score[rows, best].astype(np.float64)

    def export_graph(self) -> ExportGraph:
        """See `template_of` and `step_of`."""
        calls = (self.template_of, self.step_of)
        return ExportGraph(
            self._network,
            *siamese(self._network, calls, (TEMPLATE, SEARCH), "tokens", ("scores", "distances")),
            {"network": self._name, **self.around()},
        )

    def around(self) -> dict[str, str]:
        """See `NetworkTracker`."""
        share = (
            "left - share w, top - share h, (1 + 2 share) w, (1 + 2 share) h of the box, cut to whole numbers"
        )
        return {
            "crop": f"a rectangle, stretched: {share}",
            "template_share": str(TEMPLATE_AROUND),
            "search_share": str(SEARCH_AROUND),
            "template_size": str(TEMPLATE),
            "search_size": str(SEARCH),
            "outside": "mean colour of the first frame, rounded",
            "images": "RGB, 0 to 255; the file normalises",
            "window": f"Hann 16 x 16 {WINDOW:g}, penalty {PENALTY:g}, rate {RATE:g}"
            if self.smooth
            else "none",
            "box": f"distances to left, top, right, bottom from point {STRIDE} (cell - {CELLS // 2}) + {SEARCH // 2} of "
            "the best cell (column, row), pixels of the crop; left, top and size rounded in the image",
            "limits": f"whole pixels inside the image, sides {MIN_SIDE} px or more; the prompt's box too",
            "update": NO_UPDATE,
        }

    def _images(self, crops: Sequence[Image]) -> torch.Tensor:
        import torch

        pixels = torch.from_numpy(np.stack(crops)).to(self._device)
        # The network normalises; a view of pixels is channels-last.
        return pixels.permute(0, 3, 1, 2).to(self._dtype)

    def _choose(
        self, score: NDArray[Any], size: NDArray[np.float64], last: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The chosen cells (N,) and the sizes (N, 2) in the crop; `last` are the sizes before, in the crop."""
        rows = np.arange(len(score))
        if not self.smooth:
            best = np.argmax(score, axis=1)
            return best, size[rows, :, best]
        penalty = change_penalty(size, last, PENALTY)
        best = np.argmax(penalty * score * (1 - WINDOW) + self._hann * WINDOW, axis=1)
        rate = (penalty[rows, best] * score[rows, best] * RATE)[:, None]
        once = size[rows, :, best] * rate + last * (1 - rate)
        return best, last * (1 - rate) + rate * once  # the rate acts twice, as in the official code


def _around(boxes: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Boxes (N, 4) as left, top, width, height with `share` of their sides around, cut to whole numbers."""
    size = boxes[:, 2:]
    # Towards 0, not down: the official cast to int32.
    return np.trunc(np.concatenate([boxes[:, :2] - share * size, size * (1 + 2 * share)], axis=1))


def _whole(boxes: NDArray[np.float64], image: Image) -> NDArray[np.float64]:
    """Boxes (N, 4) as left, top, width, height in whole pixels inside the image, at least 3 wide and high.

    One that reaches over the left or upper edge is moved in; it keeps its width and height.
    """
    limits = np.array(image.shape[1::-1], dtype=np.float64)
    low = np.clip(np.rint(boxes[:, :2]), 0, limits)
    # Behind the corner's clip, so a box that leaves on the left keeps its width.
    size = np.trunc(np.clip(low + np.rint(boxes[:, 2:]), 0, limits)) - low
    small = size < MIN_SIDE
    low = np.where(small, np.minimum(low, np.maximum(limits - MIN_SIDE, 0)), low)
    return np.concatenate([low, np.where(small, MIN_SIDE, size)], axis=1)


def _ints(window: NDArray[np.float64]) -> tuple[int, int, int, int]:
    # A window of a box of 3 px can round to nothing.
    left, top, width, height = (int(v) for v in window)
    return left, top, max(width, 1), max(height, 1)
