"""SAM 2: clicks, boxes and masks followed through videos of any length, with memory that does not grow.

Paper: Ravi et al., "SAM 2: Segment Anything in Images and Videos", ICLR 2025, https://arxiv.org/abs/2408.00714.
Official code: https://github.com/facebookresearch/sam2 (Apache-2.0). The networks are those of the package `sam2`;
the inference over a stream of frames is `vtlab.trackers.masks.sam2.inference`, whose masks are those of the package's own
video predictor.

`sam2.1-...-d4sm` and `sam2.1-...-samurai` are the same networks and weights with another rule for what is remembered
(`vtlab.trackers.masks.sam2.d4sm`, `.samurai`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtlab.contracts import Image
from vtlab.errors import InputError
from vtlab.registry import register
from vtlab.segmenters.base import normalise
from vtlab.segmenters.sam2 import FILES, card_of, load_network, prompt_points, title, to_network
from vtlab.trackers.masks.base import ACCEPTS, Hint, MaskAnswer, MaskTracker, masks_of_logits
from vtlab.trackers.masks.sam2.d4sm import DistractorAware
from vtlab.trackers.masks.sam2.memory import LastFrames, MemoryRule
from vtlab.trackers.masks.sam2.samurai import MotionAware

if TYPE_CHECKING:
    import torch

    from vtlab.masks import Mask
    from vtlab.trackers.masks.sam2.inference import Given
    from vtlab.video import Frame

DTYPES = ("float32", "bfloat16", "float16")
MEMORIES = ("last", "d4sm", "samurai")
_MILLIONS = {"tiny": 38.9, "small": 46, "base-plus": 80.8, "large": 224.4}


_RULES: dict[str, dict[str, Any]] = {
    "d4sm": {
        "summary": "distractor-aware memory: frames on which something alike is near are kept for longer.",
        "paper": "A Distractor-Aware Memory for Visual Object Tracking with SAM2, CVPR 2025",
        "paper_url": "https://arxiv.org/abs/2411.17576",
        "code": "https://github.com/alanlukezic/d4sm",
    },
    "samurai": {
        "summary": "the mask that moves as expected, and memories of good frames only.",
        "paper": "SAMURAI: Adapting Segment Anything Model for Zero-Shot Visual Tracking with Motion-Aware Memory, "
        "arXiv 2024",
        "paper_url": "https://arxiv.org/abs/2411.11922",
        "code": "https://github.com/yangchris11/samurai",
    },
}
"""Rule of memory -> what the cards of its variants say instead; weights and licence (Apache-2.0) are SAM 2.1's."""


def _register_all(cls: type[SAM2Tracker]) -> type[SAM2Tracker]:
    for variant in FILES:
        size = variant.partition("-")[2]
        decorate: Callable[[type[SAM2Tracker]], type[SAM2Tracker]] = register(
            variant,
            family="vos",
            summary=f"{title(variant)}, {_MILLIONS[size]} M parameters: clicks, "
            "boxes and masks through any length of video.",
            accepts=ACCEPTS,
            emits={"masks", "boxes"},
            **card_of(variant),
        )
        decorate(cls)
        for memory, told in _RULES.items() if variant.startswith("sam2.1") else ():
            card = card_of(variant) | told
            card["summary"] = f"{title(variant)} with {told['summary']}"
            card["options"] = card["options"] | {"memory": memory}
            also: Callable[[type[SAM2Tracker]], type[SAM2Tracker]] = register(
                f"{variant}-{memory}", family="vos", accepts=ACCEPTS, emits={"masks", "boxes"}, **card
            )
            also(cls)
    return cls


@_register_all
class SAM2Tracker(MaskTracker):
    """SAM 2 over a stream of frames, all objects of a frame in one batch.

    A later prompt of an object corrects its mask on that frame, and the frame counts as prompted from then on. The
    score is the probability that the object is seen, times the estimated IoU of its mask.

    Args:
        variant: "sam2.1-tiny", "-small", "-base-plus", "-large", or the same of "sam2".
        memory: Which frames are remembered: "last" is SAM 2's own rule, the last few; "d4sm" keeps frames with a
            distractor, "samurai" frames whose mask is good and moves as expected.
        official: Decide as the official code of "d4sm" or "samurai" does, its faults included (said in their modules).
        weights: Checkpoint file; None = the official one, looked up by `vtlab.weights`.
        image_size: Side in pixels to which frames are scaled, a multiple of 32; None = 1024, as in training.
        overlap: Let masks overlap, as the package's predictor does by default; otherwise a pixel goes to the
            object that is surest of it.
        max_prompted: Most recent prompted frames of an object that are read and kept; None = all of them.
        device: "auto", "cpu", "cuda", ...
        dtype: "float32", or "bfloat16" or "float16" by autocast. On a processor bfloat16 needs instructions of its own
            (avx512_bf16, AMX) to be faster.
        compile: Compile the networks with `torch.compile` (slow first frames, again for each number of objects).
        batch: Most objects in one pass of the network.

    Raises:
        WeightsError: The checkpoint is missing, damaged or of another variant.
        MissingDependencyError: PyTorch or the package `sam2` is not installed.
        InputError: An option is out of range, or the device is not there.
    """

    memory_policy = (
        "Prompted frames, the last 6 frames as spatial memories and the last 15 as object pointers, for each object; "
        "image features for one frame. With d4sm: 3 recent frames (6 without distractors) and 3 with a distractor; "
        "with samurai: the last 6 good frames and the last one."
    )

    def __init__(
        self,
        *,
        variant: str = "sam2.1-tiny",
        memory: str = "last",
        official: bool = False,
        weights: str | Path | None = None,
        image_size: int | None = None,
        overlap: bool = False,
        max_prompted: int | None = None,
        device: str = "auto",
        dtype: str = "float32",
        compile: bool = False,
        batch: int = 64,
    ):
        super().__init__()
        if dtype not in DTYPES or batch < 1 or (max_prompted is not None and max_prompted < 1):
            raise InputError(
                f"SAM 2 needs dtype in {DTYPES}, batch >= 1 and max_prompted >= 1 or None; got {dtype!r}, {batch}, "
                f"{max_prompted}."
            )
        self._rule = _rule(variant, memory, official)
        self._network = load_network(variant, weights, image_size=image_size, device=device)
        self.overlap, self.max_prompted, self.batch, self.dtype = overlap, max_prompted, batch, dtype
        if compile:
            for part in ("image_encoder", "memory_attention", "memory_encoder", "sam_mask_decoder"):
                getattr(self._network, part).compile(dynamic=part == "memory_attention" or None)
        self._reset()

    def _reset(self) -> None:
        from vtlab.trackers.masks.sam2.inference import Inference

        self._inference = Inference(
            self._network, rule=self._rule, max_prompted=self.max_prompted, batch=self.batch
        )

    def _drop(self, object_ids: list[int]) -> None:
        self._inference.remove(object_ids)

    def _advance(self, frame: Frame, hints: Mapping[int, Hint]) -> MaskAnswer:
        import torch

        height, width = frame.image.shape[:2]
        with torch.inference_mode(), self._autocast():
            given = {i: self._given(hint, height, width) for i, hint in hints.items()}
            results = self._inference.step(self._image(frame.image), given, (height, width))
            masks = masks_of_logits(
                [r.logits for r in results.values()],
                [hints[i].mask if i in hints else None for i in results],
                height,
                width,
                overlap=self.overlap,
            )
        return MaskAnswer(
            list(results),
            np.array([r.score.item() for r in results.values()]),
            np.array([r.appears.item() for r in results.values()], bool),
            masks=masks,
        )

    def _autocast(self) -> AbstractContextManager[Any]:
        import torch

        if self.dtype == "float32":
            return nullcontext()
        return torch.autocast(self._network.device.type, getattr(torch, self.dtype))

    def _image(self, image: Image) -> torch.Tensor:
        """An image in the network's input, scaled as the package's loader of frames does (Pillow, bicubic)."""
        import torch
        from PIL import Image as Pillow

        side = self._network.image_size
        # Pillow's resize in 8 bits, as the package's loader: another one moves logits.
        scaled = np.asarray(Pillow.fromarray(image).resize((side, side)))
        return normalise(torch.from_numpy(scaled / 255.0).permute(2, 0, 1).float().to(self._network.device))

    def _given(self, hint: Hint, height: int, width: int) -> Given:
        import torch

        from vtlab.trackers.masks.sam2.inference import Given

        if hint.mask is not None:
            return Given(mask=self._scaled_mask(hint.mask))
        xy, labels = prompt_points(hint.box, hint.points, hint.positive)
        device = self._network.device
        at = to_network(xy, height, width, self._network.image_size, device)
        return Given(at, torch.tensor(labels, device=device))

    def _scaled_mask(self, mask: Mask) -> torch.Tensor:
        """A mask (S, S) of 0 and 1; one too small to fill half a pixel keeps the pixels it covers most."""
        import torch
        import torch.nn.functional as F

        side = self._network.image_size
        x = torch.from_numpy(mask).to(self._network.device).float()[None, None]
        if mask.shape != (side, side):
            x = F.interpolate(x, (side, side), mode="bilinear", align_corners=False, antialias=True)
        return (x[0, 0] >= x.max().clamp(max=0.5)).float()


def _rule(variant: str, memory: str, official: bool) -> Callable[..., MemoryRule]:
    """What makes the rule of an object."""
    if memory not in MEMORIES or (official and memory == "last"):
        raise InputError(
            f"memory must be one of {', '.join(MEMORIES)}, and official goes with another than 'last'; got {memory!r} and "
            f"official={official}."
        )
    if memory == "d4sm":
        return partial(DistractorAware, official=official)
    if memory == "samurai":
        # As in the official settings of each size.
        weight = 0.15 if variant == "sam2.1-large" else 0.25
        return partial(MotionAware, motion_weight=weight, official=official)
    return LastFrames
