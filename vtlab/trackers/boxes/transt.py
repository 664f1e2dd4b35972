"""TransT: attention fuses template and search features; the best of 1024 predicted boxes is the answer.

Paper: Chen et al., "Transformer Tracking", CVPR 2021, https://arxiv.org/abs/2103.15436. Official code:
https://github.com/chenxin-dlut/TransT (GPL-3.0). The network is `vtlab.nets.transt`; cropping, window and
decoding follow the tracker of the official `pysot_toolkit`, whose boxes stay fractional.

Differs from the official code: everything of the template branch that doesn't depend on the frame is computed
once, and all objects of a frame make one batch; neither changes a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Exportable, ExportGraph, Image, WeightFile
from vtlab.errors import InputError
from vtlab.nets.loading import load
from vtlab.prompts import BoxPrompt
from vtlab.registry import register
from vtlab.trackers.boxes.batch import NetworkTracker, Target
from vtlab.trackers.boxes.crops import (
    Boxes,
    boxes_from_crops,
    context_window,
    crop,
    hann_window,
    limit_center,
)
from vtlab.trackers.boxes.graphs import CENTRE_LIMITS, IMAGENET, MEAN_FILL, NO_UPDATE, siamese

if TYPE_CHECKING:
    import torch

TEMPLATE, SEARCH = 128, 256
"""Sides of the crops in pixels."""
TEMPLATE_CONTEXT, SEARCH_CONTEXT = 1.0, 3.0
"""Context that is added to width and height, in halves of their sum (pysot_toolkit/trackers/tracker.py)."""

_FOLDER = "https://drive.google.com/drive/folders/1GVQV1GoW-ttDJRRqaVAtLUtubtgLhWCE"
_SOURCE = "https://github.com/chenxin-dlut/TransT"


def _file(name: str, inside: str) -> WeightFile:
    return WeightFile(name, _FOLDER, licence="GPL-3.0", source=_SOURCE, inside=inside)


# "transt.pth" is what the official code loads (pytracking/parameter/transt); it states no name for N2's file.
_FILES = {4: _file("transt.pth", "transt.pth"), 2: _file("transt_n2.pth", "")}
_CARD: dict[str, Any] = {
    "family": "sot",
    "accepts": {BoxPrompt},
    "paper": "Transformer Tracking, CVPR 2021",
    "paper_url": "https://arxiv.org/abs/2103.15436",
    "code": _SOURCE,
    "licence": "GPL-3.0 (official code; this implementation is independent of it)",
    "requires": "torch",
}


@dataclass(eq=False)
class _Target(Target):
    """A target with its template's tokens (256, 256) and the colour that fills what lies outside the frame."""

    template: torch.Tensor = field(kw_only=True)
    fill: NDArray[np.float64] = field(kw_only=True)


@register(
    "transt",
    summary="TransT-N4: attention instead of correlation, 23.0 M parameters; the template is never updated.",
    weights=(_FILES[4],),
    options={"fusion_layers": 4},
    **_CARD,
)
@register(
    "transt-n2",
    summary="TransT-N2: two fusion layers instead of four, 16.7 M parameters.",
    weights=(_FILES[2],),
    options={"fusion_layers": 2},
    **_CARD,
)
class TransT(NetworkTracker[_Target], Exportable):
    """TransT for any number of objects in one batch.

    The score is the softmax probability of "target" at the token whose box is taken, in [0, 1], without the
    window's influence. Boxes may reach over the image's border.

    Args:
        fusion_layers: 4 (N4) or 2 (N2).
        weights: Checkpoint file; None = the official one, looked up by `vtlab.weights`.
        window: Influence of the Hann window on the choice of the token, 0 to 1.
        visible_above: Score from which an object counts as seen.
        device: "auto", "cpu", "cuda", ...
        engine: "torch", or "onnxruntime", "openvino", "tensorrt": what runs the exported files in the folder `weights`
            (docs/tasks/deploy.md).
        dtype: "float32", "float16" or "bfloat16"; the two heads always run in float32.
        channels_last: Run the backbone on channels-last tensors, which is faster and changes nothing else.
        compile: Compile the network with `torch.compile` (slow first frame, again for each number of objects).
        batch: Most objects in one pass of the network.

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another variant.
        InputError: An option is out of range, or the device is not there.
    """

    def __init__(
        self,
        *,
        fusion_layers: int = 4,
        weights: str | Path | None = None,
        # Weight of the Hann window in paper and official code.
        window: float = 0.49,
        visible_above: float = 0.5,
        engine: str = "torch",
        device: str = "auto",
        dtype: str = "float32",
        channels_last: bool = True,
        compile: bool = False,
        batch: int = 64,
    ):
        if fusion_layers not in _FILES:
            raise InputError(f"fusion_layers must be 4 (TransT-N4) or 2 (TransT-N2), got {fusion_layers!r}.")
        from vtlab.nets import transt

        super().__init__(visible_above=visible_above, batch=batch)
        self.window = window
        name = "transt" if fusion_layers == 4 else f"transt-n{fusion_layers}"
        self._ready(
            lambda: load(
                lambda: transt.TransT(fusion_layers),
                weights,
                _FILES[fusion_layers],
                what=name,
                variant_of=transt.variant_of,
            ),
            engine=engine,
            weights=weights,
            network=name,
            device=device,
            dtype=dtype,
            channels_last=channels_last,
            compile=compile,
        )
        self._hann = hann_window(SEARCH // transt.TransT.stride).ravel()

    @staticmethod
    def template_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """template (B, 3, 128, 128) -> tokens (B, 256, C)."""
        return (network.template(*inputs),)

    @staticmethod
    def step_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """search (B, 3, 256, 256), tokens -> scores (B, 1024), boxes (B, 1024, 4)."""
        search, tokens = inputs
        logits, boxes = network(tokens, search)
        return logits.softmax(dim=2)[..., 0], boxes

    def _start(self, image: Image, boxes: Boxes) -> list[_Target]:
        import torch

        # Of the first frame for all that follow, as officially.
        fill = image.mean(axis=(0, 1))
        crops = [crop(image, context_window(box, TEMPLATE_CONTEXT), TEMPLATE, fill=fill) for box in boxes]
        with torch.inference_mode():
            (tokens,) = self._ask_template(self._images(crops))
        return [
            _Target(box, template=row, fill=fill) for box, row in zip(boxes, tokens.unbind(), strict=True)
        ]

    def _follow(self, image: Image, targets: Sequence[_Target]) -> tuple[Boxes, NDArray[np.float64]]:
        import torch

        windows = [context_window(t.box, SEARCH_CONTEXT) for t in targets]
        crops = [crop(image, w, SEARCH, fill=t.fill) for w, t in zip(windows, targets, strict=True)]
        with torch.inference_mode():
            templates = torch.stack([t.template for t in targets])
            scores, predicted = self._ask_step(self._images(crops), templates)
            score = scores.cpu().numpy()
        # The window picks the cell, the plain score is the answer: a target may be far from the centre and sure.
        best = np.argmax(score * (1 - self.window) + self._hann * self.window, axis=1)
        rows = np.arange(len(targets))
        boxes = boxes_from_crops(
            predicted.cpu().numpy()[rows, best], np.array([t.box for t in targets]), [w.side for w in windows]
        )
        height, width = image.shape[:2]
        return limit_center(boxes, width, height), score[rows, best].astype(np.float64)

    def export_graph(self) -> ExportGraph:
        """See `template_of` and `step_of`."""
        calls = (self.template_of, self.step_of)
        return ExportGraph(
            self._network,
            *siamese(self._network, calls, (TEMPLATE, SEARCH), "tokens", ("scores", "boxes")),
            {"network": self._name, **self.around()},
        )

    def around(self) -> dict[str, str]:
        """See `NetworkTracker`."""
        return {
            "crop": "p = context (w + h) / 2; side = ceil(sqrt((w + p) (h + p))); left = floor(x - side / 2)",
            "template_context": str(TEMPLATE_CONTEXT),
            "search_context": str(SEARCH_CONTEXT),
            "template_size": str(TEMPLATE),
            "search_size": str(SEARCH),
            "outside": MEAN_FILL,
            "images": IMAGENET,
            "window": f"{1 - self.window:g} score + {self.window:g} Hann 32 x 32 with its zero ends",
            "box": "of the best cell: centre x, y, width, height as fractions of the crop",
            "limits": CENTRE_LIMITS,
            "update": NO_UPDATE,
        }
