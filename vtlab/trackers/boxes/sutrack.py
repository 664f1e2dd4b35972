"""SUTrack: one transformer over search region, templates and a constant text; the newest sure template is kept.

Paper: Chen et al., "SUTrack: Towards Simple and Unified Single Object Tracking", AAAI 2025,
https://arxiv.org/abs/2412.19138. Official code: https://github.com/chenxin-dlut/SUTrack (MIT). The network is
`vtlab.nets.sutrack`; cropping, window and decoding are MCITrack's. Only tracking by boxes in colour video is here; depth,
thermal, event and language inputs are other uses of the same weights.

Differs from the official code: tokens of templates are computed once, which changes nothing; the time between changes of a
template is in seconds (25 frames of 30 a second).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vtlab.contracts import Exportable, ExportGraph, Image, WeightFile
from vtlab.errors import InputError, near
from vtlab.nets.loading import load
from vtlab.prompts import BoxPrompt
from vtlab.registry import register
from vtlab.trackers.boxes.batch import NetworkTracker, Timed
from vtlab.trackers.boxes.crops import (
    Boxes,
    area_window,
    boxes_in_image,
    crop,
    decode_centre,
    hann_window,
    search_crops,
    template_fractions,
)
from vtlab.trackers.boxes.graphs import around_centre, by_centre, noise

if TYPE_CHECKING:
    import torch

    from vtlab.nets.mcitrack import MCITrackConfig

# As in the official files of settings, for all five variants.
SEARCH_FACTOR, TEMPLATE_FACTOR = 4.0, 2.0
"""Widths of search region and template in sizes of the box."""
_PAGE = "https://huggingface.co/xche32/SUTrack"
_SOURCE = "https://github.com/chenxin-dlut/SUTrack"
# The official code looks for SUTRACK_ep0180.pth.tar in a folder of the variant's name; nobody states the hub's names.
_WEIGHTS = {
    name: WeightFile(f"sutrack_{name}.pth.tar", _PAGE, licence="none stated", source=_SOURCE)
    for name in ("t224", "b224", "b384", "l224", "l384")
}
_CARD: dict[str, Any] = {
    "family": "sot",
    "accepts": {BoxPrompt},
    "paper": "SUTrack: Towards Simple and Unified Single Object Tracking, AAAI 2025",
    "paper_url": "https://arxiv.org/abs/2412.19138",
    "code": _SOURCE,
    "licence": "MIT",
    "requires": "torch",
}


@dataclass(eq=False)
class _Target(Timed):
    """A target with the tokens (cells, D) of its templates in use; the first is the prompt's."""

    templates: list[torch.Tensor] = field(kw_only=True)


@register("sutrack-t224", weights=[_WEIGHTS["t224"]], options={"variant": "t224"}, **_CARD)
@register("sutrack-b224", weights=[_WEIGHTS["b224"]], options={"variant": "b224"}, **_CARD)
@register("sutrack-b384", weights=[_WEIGHTS["b384"]], options={"variant": "b384"}, **_CARD)
@register("sutrack-l224", weights=[_WEIGHTS["l224"]], options={"variant": "l224"}, **_CARD)
@register("sutrack-l384", weights=[_WEIGHTS["l384"]], options={"variant": "l384"}, **_CARD)
class SUTrack(NetworkTracker[_Target], Exportable):
    """Box tracker by one transformer, with one template (t224) or the first and the newest sure one (the others).

    The score is the largest product of the network's centre score, a sigmoid, and a Hann window over the search region: in
    (0, 1), and lower for a target that moved far since the last frame.

    Args:
        variant: "t224", "b224", "b384", "l224" or "l384".
        weights: Checkpoint file to use instead of the official one.
        update_above: Score above which a frame's template replaces the one before.
        update_every: Seconds between changes of the template; no change with one template.
        templates: Templates of an object; None = the variant's, 1 or 2.
        visible_above: Score from which the object counts as seen.
        batch: Objects in one pass through the network.
        engine: "torch", or "onnxruntime", "openvino", "tensorrt": what runs the exported files in the folder `weights`
            (docs/tasks/deploy.md).
        device: PyTorch device, or "auto".
        dtype: "float32", "float16" or "bfloat16".
        channels_last: Whether convolutions run on channels-last memory.
        compile: Whether `torch.compile` compiles the network.

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another variant.
        InputError: An option is out of range.
    """

    def __init__(
        self,
        *,
        variant: str = "t224",
        weights: str | Path | None = None,
        update_above: float = 0.7,
        # 25 frames officially, of videos with 30 a second.
        update_every: float = 25 / 30,
        templates: int | None = None,
        visible_above: float = 0.5,
        batch: int = 16,
        engine: str = "torch",
        device: str = "auto",
        dtype: str = "float32",
        channels_last: bool = False,
        compile: bool = False,
    ):
        from vtlab.nets import sutrack

        super().__init__(visible_above=visible_above, batch=batch)
        if variant not in _WEIGHTS:
            raise InputError(f"Unknown variant {variant!r} of SUTrack. {near(variant, _WEIGHTS)}")
        if not update_every > 0 or (templates is not None and templates < 1):
            raise InputError(
                f"update_every must be above 0 s and templates at least 1, got {update_every!r} and {templates!r}."
            )
        self.update_above, self.update_every = update_above, update_every
        self._config: MCITrackConfig = sutrack.CONFIGS[variant]
        self.templates = templates or self._config.templates
        self._ready(
            lambda: load(
                lambda: sutrack.SUTrack(sutrack.CONFIGS[variant]),
                weights,
                _WEIGHTS[variant],
                what=f"sutrack-{variant}",
                variant_of=sutrack.variant_of,
                read=sutrack.read,
            ),
            engine=engine,
            weights=weights,
            network=f"sutrack-{variant}",
            device=device,
            dtype=dtype,
            channels_last=channels_last,
            compile=compile,
        )
        if self._pair is None:  # the network that was loaded knows its sizes best
            self._config = self._network.config
            self.templates = templates or self._config.templates
        window = hann_window(self._config.search_cells, ends=False)
        self._window = self._tensor(window).flatten()

    @staticmethod
    def template_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """template (B, 3, T, T), template_box (B, 4) -> tokens (B, (T / 16)^2, D)."""
        return (network.embed_templates(*inputs),)

    @staticmethod
    def step_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """search (B, 3, S, S), tokens (B, n (T / 16)^2, D) of n templates -> score, size and offset maps."""
        maps: tuple[torch.Tensor, ...] = network(*inputs)
        return maps

    def _start(self, image: Image, boxes: Boxes) -> list[_Target]:
        return [
            _Target(box, started=self._now, templates=[tokens] * self.templates)
            for box, tokens in zip(boxes, self._embed(image, boxes), strict=True)
        ]

    def _follow(self, image: Image, targets: Sequence[_Target]) -> tuple[Boxes, NDArray[np.float64]]:
        import torch

        previous = np.stack([t.box for t in targets])
        crops, sides = search_crops(image, previous, SEARCH_FACTOR, self._config.search)
        with torch.inference_mode():
            tokens = torch.stack([torch.cat(t.templates) for t in targets])
            score, size, offset = self._ask_step(self._images(crops), tokens)
            predicted, scores = decode_centre(score, size, offset, self._window)
        boxes = boxes_in_image(image, predicted.float().cpu().numpy(), previous, sides)
        return boxes, scores.cpu().numpy().astype(np.float64)

    def _learn(self, image: Image, targets: Sequence[_Target], scores: NDArray[np.float64]) -> None:
        chosen = []
        for target, score in zip(targets, scores, strict=True):
            # `due` first: an interval counts, whatever the score is; its chance passes with a low one.
            if target.due(self._now, self.update_every) and score > self.update_above and self.templates > 1:
                chosen.append(target)
        if chosen:
            new = self._embed(image, np.stack([t.box for t in chosen]))
            for target, tokens in zip(chosen, new, strict=True):
                # The prompt's stays for ever, the oldest of the others goes.
                target.templates = [target.templates[0], *target.templates[2:], tokens]

    def _embed(self, image: Image, boxes: Boxes) -> list[torch.Tensor]:
        """Tokens ((T / 16)^2, D) of the template that each box (N, 4) gives."""
        import torch

        found: list[torch.Tensor] = []
        for begin in range(0, len(boxes), self.batch):
            part = boxes[begin : begin + self.batch]
            windows = [area_window(box, TEMPLATE_FACTOR) for box in part]
            size = self._config.template
            crops = [crop(image, w, size, cut_last=True) for w in windows]
            inside = [template_fractions(box, w, size) for box, w in zip(part, windows, strict=True)]
            with torch.inference_mode():
                (tokens,) = self._ask_template(self._images(crops), self._tensor(inside))
            found += [row.clone() for row in tokens]
        return found

    def export_graph(self) -> ExportGraph:
        """See `template_of` and `step_of`."""
        network, config, n = self._network, self._config, self.templates

        def step_inputs(count: int) -> dict[str, torch.Tensor]:
            return {
                "search": noise(count, 3, config.search, config.search),
                "tokens": noise(count, n * config.template_cells**2, config.dim),
            }

        return by_centre(
            network,
            (self.template_of, self.step_of),
            step_inputs,
            (),
            {"network": self._name, **self.around()},
        )

    def around(self) -> dict[str, str]:
        """See `NetworkTracker`."""
        return {
            **around_centre(self._config.template, self._config.search),
            "template_factor": str(TEMPLATE_FACTOR),
            "search_factor": str(SEARCH_FACTOR),
            "templates": f"tokens of {self.templates} templates one after the other, the prompt's first",
            "update": f"the last template each {self.update_every:.3g} s, where score > {self.update_above:g}; "
            "none with one template",
        }
