"""MCITrack: tracks with a hidden state that runs over the frames, and templates chosen from a memory of the video.

Paper: Kang et al., "Exploring Enhanced Contextual Information for Video-Level Object Tracking", AAAI 2025,
https://arxiv.org/abs/2412.11023. Official code: https://github.com/kangben258/MCITrack (no licence file: all rights
reserved; this is written from a description of its behaviour).

Differs from the paper, following the official code: the hidden state is dropped after every frame whose score is
below a threshold; the memory loses its oldest entries, copies of the first template among them, but the first
template always stays in use. Differs from the official code: the state begins anew with each prompt, and the time
between changes of templates is in seconds (70 frames of LaSOT's 30 frames per second).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

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

    from vtlab.nets.mcitrack import MCITrackConfig, State

# As in the official files of settings, for all five variants.
SEARCH_FACTOR, TEMPLATE_FACTOR = 4.0, 2.0
"""Widths of search region and template in sizes of the box."""
_FOLDER = "https://drive.google.com/drive/folders/1x6hTaBpF8dO_G8TsBn9z-or7FtKBF1mb"
_SOURCE = "https://github.com/kangben258/MCITrack"
_WEIGHTS = {
    name: WeightFile(
        f"mcitrack_{name}.pth.tar",
        _FOLDER,
        licence="none stated",
        source=_SOURCE,
        inside=f"mcitrack_{name}/MCITRACK_ep0300.pth.tar",  # as lib/test/parameter/mcitrack.py looks for it
    )
    for name in ("t224", "s224", "b224", "l224", "l384")
}
_CARD: dict[str, Any] = {
    "family": "sot",
    "accepts": {BoxPrompt},
    "paper": "Exploring Enhanced Contextual Information for Video-Level Object Tracking, AAAI 2025",
    "paper_url": "https://arxiv.org/abs/2412.11023",
    "code": _SOURCE,
    "licence": "none stated",
    "requires": "torch",
    "notice": "The official repository states no licence for its weights: all rights are reserved by its authors.",
}


@dataclass(eq=False)
class Template:
    """A template crop (T, T, 3), its target's left, top, width, height as fractions, and its tokens once needed."""

    image: Image
    box: NDArray[np.float32]
    tokens: torch.Tensor | None = None


@dataclass(eq=False)
class Followed(Timed):
    """What is remembered of one object.

    Attributes:
        templates: The templates in use; the first is the prompt's.
        memory: Templates of the video, the oldest first, from which those in use are chosen.
        state: The hidden state's four rows, or None.
        proposed: The hidden state behind the frame that is being looked at.
    """

    templates: list[Template] = field(default_factory=list)
    memory: list[Template] = field(default_factory=list)
    state: State | None = None
    proposed: State | None = None


@register("mcitrack-t224", weights=[_WEIGHTS["t224"]], options={"variant": "t224"}, **_CARD)
@register("mcitrack-s224", weights=[_WEIGHTS["s224"]], options={"variant": "s224"}, **_CARD)
@register("mcitrack-b224", weights=[_WEIGHTS["b224"]], options={"variant": "b224"}, **_CARD)
@register("mcitrack-l224", weights=[_WEIGHTS["l224"]], options={"variant": "l224"}, **_CARD)
@register("mcitrack-l384", weights=[_WEIGHTS["l384"]], options={"variant": "l384"}, **_CARD)
class MCITrack(NetworkTracker[Followed], Exportable):
    """Box tracker with a hidden state over frames and a memory of templates.

    The score is the largest product of the network's centre score, a sigmoid, and a Hann window over the search
    region: in (0, 1), and lower for a target that moved far since the last frame. One object keeps 39 MB (t224) to
    226 MB (l384) of hidden state.

    Args:
        variant: "t224", "s224", "b224", "l224" or "l384".
        weights: Checkpoint file to use instead of the official one.
        update_above: Score from which a frame's template enters the memory (LaSOT 0.8, TrackingNet and TNL2K 0.5,
            UAV123 0.2, GOT-10k 0.5).
        keep_state_above: Score below which the hidden state is dropped (LaSOT 0.88, TrackingNet 0.9).
        update_every: Seconds between changes of the templates in use (LaSOT 70 / 30, GOT-10k every frame).
        memory: Templates in the memory at most.
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
        update_above: float = 0.8,
        keep_state_above: float = 0.88,
        # Official intervals are frames of LaSOT, 30 a second.
        update_every: float = 70 / 30,
        memory: int = 500,
        visible_above: float = 0.5,
        batch: int = 16,
        engine: str = "torch",
        device: str = "auto",
        dtype: str = "float32",
        channels_last: bool = False,
        compile: bool = False,
    ):
        from vtlab.nets import mcitrack

        super().__init__(visible_above=visible_above, batch=batch)
        if variant not in _WEIGHTS:
            raise InputError(f"Unknown variant {variant!r} of MCITrack. {near(variant, _WEIGHTS)}")
        if not update_every > 0 or memory < 1:
            raise InputError(
                f"update_every must be above 0 s and memory at least 1, got {update_every!r} and {memory!r}."
            )
        self.update_above, self.keep_state_above = update_above, keep_state_above
        self.update_every, self.memory = update_every, memory
        self._config: MCITrackConfig = mcitrack.CONFIGS[variant]
        self._ready(
            lambda: load(
                lambda: mcitrack.MCITrack(mcitrack.CONFIGS[variant]),
                weights,
                _WEIGHTS[variant],
                what=f"mcitrack-{variant}",
                variant_of=mcitrack.variant_of,
            ),
            engine=engine,
            weights=weights,
            network=f"mcitrack-{variant}",
            device=device,
            dtype=dtype,
            channels_last=channels_last,
            compile=compile,
        )
        if self._pair is None:  # the network that was loaded knows its sizes best
            self._config = self._network.config
        self._window = self._tensor(hann_window(self._config.search_cells, ends=False)).flatten()

    @staticmethod
    def template_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """template (B, 3, T, T), template_box (B, 4) -> tokens (B, (T / 16)^2, D)."""
        return (network.embed_templates(*inputs),)

    @staticmethod
    def step_of(network: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        """search (B, 3, S, S), tokens (B, n (T / 16)^2, D), the state's four tensors or none -> maps, the new state."""
        search, tokens, *state = inputs
        *maps, new = network(search, tokens, state or None)
        return (*maps, *new)

    def _start(self, image: Image, boxes: Boxes) -> list[Followed]:
        templates = [self._template(image, box) for box in boxes]
        self._embed(templates)
        targets = []
        for box, template in zip(boxes, templates, strict=True):
            # As the official code begins, so that the tokens are as many from the first frame on.
            copies = [template] * self._config.templates
            targets.append(Followed(box, started=self._now, templates=list(copies), memory=list(copies)))
        return targets

    def _follow(self, image: Image, targets: Sequence[Followed]) -> tuple[Boxes, NDArray[np.float64]]:
        import torch

        previous = np.stack([t.box for t in targets])
        crops, sides = search_crops(image, previous, SEARCH_FACTOR, self._config.search)
        with torch.inference_mode():
            score, size, offset, *state = self._ask_step(
                self._images(crops), self._tokens(targets), *self._state(targets)
            )
            predicted, scores = decode_centre(score, size, offset, self._window)
            finite = (
                torch.stack([rows.isfinite().flatten(1).all(dim=1) for rows in state]).all(dim=0).tolist()
            )
        for i, target in enumerate(targets):
            target.proposed = [rows[i] for rows in state] if finite[i] else None
            # A state that is no number would spoil every frame behind it.
            target.state = target.state if finite[i] else None
        boxes = boxes_in_image(image, predicted.cpu().numpy(), previous, sides)
        return boxes, scores.cpu().numpy().astype(np.float64)

    def _learn(self, image: Image, targets: Sequence[Followed], scores: NDArray[np.float64]) -> None:
        for target, score in zip(targets, scores, strict=True):
            # The official rule: an answer below the bound carries nothing on.
            target.state = target.proposed if score >= self.keep_state_above else None
            target.proposed = None
            if score > self.update_above:
                target.memory.append(self._template(image, target.box))
                # The oldest go, copies of the prompt's template among them, as officially; the first in use stays
                # apart.
                del target.memory[: -self.memory]
            if target.due(self._now, self.update_every):
                # Evenly over all that is remembered, the first one always kept.
                step = len(target.memory) // self._config.templates
                chosen = [target.memory[step * i] for i in range(1, self._config.templates)]
                target.templates = [target.templates[0], *chosen]

    def _template(self, image: Image, box: ArrayLike) -> Template:
        window, size = area_window(box, TEMPLATE_FACTOR), self._config.template
        fractions = template_fractions(box, window, size)
        # Tokens follow when the template is first used: most of the memory never is.
        return Template(crop(image, window, size, cut_last=True), fractions)

    def _embed(self, templates: Sequence[Template]) -> None:
        """Compute the tokens of the templates that have none yet."""
        import torch

        new = list({id(t): t for t in templates if t.tokens is None}.values())
        for begin in range(0, len(new), self.batch):
            part = new[begin : begin + self.batch]
            with torch.inference_mode():
                (tokens,) = self._ask_template(
                    self._images([t.image for t in part]), self._tensor([t.box for t in part])
                )
            for template, row in zip(part, tokens, strict=True):
                template.tokens = row.clone()

    def _tokens(self, targets: Sequence[Followed]) -> torch.Tensor:
        """Tokens (B, 5 (T / 16)^2, D) of the templates in use."""
        import torch

        used = [template for target in targets for template in target.templates]
        self._embed(used)
        rows = torch.stack([cast("torch.Tensor", t.tokens) for t in used])
        return rows.unflatten(0, (len(targets), -1)).flatten(1, 2)

    def _state(self, targets: Sequence[Followed]) -> State:
        """The targets' states as one batch; none where all begin, which spares PyTorch work, and files take zeros for."""
        import torch

        known = next((t.state for t in targets if t.state is not None), None)
        if known is None:
            return [] if self._pair is None else self._zeros(len(targets))
        zeros = [torch.zeros_like(rows) for rows in known]
        return [torch.stack([(t.state or zeros)[i] for t in targets]) for i in range(len(known))]

    def _zeros(self, count: int) -> State:
        import torch

        from vtlab.nets.mcitrack import N_LAYERS, N_STATES

        shape = (count, self._config.search_cells**2, 2 * self._config.dim, N_STATES)
        return [torch.zeros(shape) for _ in range(N_LAYERS)]

    def export_graph(self) -> ExportGraph:
        """See `template_of` and `step_of`."""
        network, config = self._network, self._config

        def step_inputs(n: int) -> dict[str, torch.Tensor]:
            return {
                "search": noise(n, 3, config.search, config.search),
                "tokens": noise(n, config.templates * config.template_cells**2, config.dim),
                **{f"state_{i}": noise(*rows.shape) for i, rows in enumerate(self._zeros(n))},
            }

        return by_centre(
            network,
            (self.template_of, self.step_of),
            step_inputs,
            [f"new_state_{i}" for i in range(len(self._zeros(0)))],
            {"network": self._name, **self.around()},
        )

    def around(self) -> dict[str, str]:
        """See `NetworkTracker`."""
        return {
            **around_centre(self._config.template, self._config.search),
            "template_factor": str(TEMPLATE_FACTOR),
            "search_factor": str(SEARCH_FACTOR),
            "templates": f"tokens of {self._config.templates} templates one after the other, the prompt's first",
            "update": "state_*: zeros at first and after a score below "
            f"{self.keep_state_above:g}, else the last new_state_*; templates from a memory of the last {self.memory} "
            f"frames with score > {self.update_above:g}, each {self.update_every:.3g} s",
        }
